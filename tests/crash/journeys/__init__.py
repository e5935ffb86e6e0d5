"""Journeys that are over within seconds, so that a crash test sees them end."""
