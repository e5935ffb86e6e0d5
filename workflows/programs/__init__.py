"""Loyalty programs that are shipped and loaded by nobody but who names them in `JOURNEYS`."""
