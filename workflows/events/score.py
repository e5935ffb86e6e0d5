"""What a model, ours or the operator's own, says of a player."""

from typing import Annotated

from pydantic import Field

from workflows.events.base import Event
from workflows.field_types import Count, Label, Text, Whole

__all__ = ["ScoreChanged"]

Percent = Annotated[int, Field(ge=0, le=100), Whole]


class ScoreChanged(
    Event,
    type="score.changed",
    example={
        "score": "churn",
        "from_percent": 41,
        "to_percent": 72,
        "why": ["a long time since the last deposit", "fewer days than before"],
        "model": 3,
    },
):
    """A score of the player moved, in percent, not basis points. From the nightly scoring, or the operator's model.

    `from_percent` is what the event before it said, 0 for the first: the sum of all moves is the score of now, which a
    segment reads by `score_percent`. `why` are its reasons, the strongest first, at most ten.
    """

    score: Label
    from_percent: Percent
    to_percent: Percent
    why: Annotated[list[Text], Field(max_length=10)] = Field(default_factory=list)
    #: The version of the model; 0 for one that counts none.
    model: Count = 0
