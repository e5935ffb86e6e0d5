"""Journeys that need one provider each."""
