"""What is not asked of a player who objected to being profiled, and what is asked all the same to protect them.

The objection is a No to the channel `profiling`. From that moment on nothing is read that judges a player by how they
used to behave: scores, what is usual for them, whether they play in another way than before, at which hours they come
and what they like best. What was counted stays in their row, so that a Yes later finds it.
"""

from typing import Final

from workflows.events import ScoreChanged
from workflows.player_state.consents import said
from workflows.player_state.projection import PlayerProjection
from workflows.rules.measures import Measure

PROFILING: Final = "profiling"


def objects_to_profiling(player: PlayerProjection) -> bool:
    """Whether the newest word of the player on `profiling` is a No; no word is no objection."""
    return said({key: given for key, (given, _) in player.consents.items()}, PROFILING) is False


def is_withheld(player: PlayerProjection, measure: Measure, *, to_protect: bool = False) -> bool:
    """Whether the answer of a measure would be a profile of a player who objected to one.

    `to_protect` asks for the player's own protection, which a licence demands and no objection ends.
    """
    judges = measure.is_usual or measure.is_pattern or measure.kind is ScoreChanged
    return judges and not to_protect and objects_to_profiling(player)
