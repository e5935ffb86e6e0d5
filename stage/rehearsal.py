"""The test kit for journeys, by its public name: `from stage.rehearsal import player, rehearse`."""

from stage.testing.rehearsal import Cast, Rehearsal, Rehearse, player, rehearse

__all__ = ["Cast", "Rehearsal", "Rehearse", "player", "rehearse"]
