"""Loyalty programs that figures are taken with."""
