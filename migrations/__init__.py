"""Schema migrations; run by `journeys migrate`."""
