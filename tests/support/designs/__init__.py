"""Journeys that only tests play, as a designer's package outside the engine would hold them."""
