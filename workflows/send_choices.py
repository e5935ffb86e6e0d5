"""`at=best_hour(...)` and `via=best_channel(...)`: what a designer writes, and what the choice is asked and answers.

How it is chosen is `gate/send_choice.py`.
"""

import re
from dataclasses import dataclass
from typing import Self

from pydantic import AwareDatetime, BaseModel, Field

from workflows.channels import CHANNELS, Channel
from workflows.effect_input import EffectInput
from workflows.errors import DesignError

__all__ = ["best_channel", "best_hour"]

#: Fewer are no choice.
_LEAST_CHANNELS = 2


class BestChannel(tuple[Channel, ...]):
    """Channels of which the best for the player is taken; the first is for whom that is not known."""

    __slots__ = ()

    @property
    def words(self) -> str:
        """What is said of it in a diagram."""
        *others, last = self
        return f"the best of {', '.join(others)} and {last}, else {self[0]}"


@dataclass(frozen=True)
class BestHour:
    """The player's best hour, and the one for whom that is not known."""

    otherwise: str

    @property
    def words(self) -> str:
        """What is said of it in a diagram."""
        return f"at the player's best hour, else {self.otherwise}"


def best_channel(*channels: Channel) -> BestChannel:
    """The channel that reaches the player best: `via=best_channel("email", "push")`; the first while that is not known.

    Learned from what of the player's messages was followed and opened by a person. Each channel that is open keeps a
    small chance, and the others of the list are tried where the chosen one fails. Without the player's consent to
    `profiling`, or with a sign of harm, it is the first one that is open.
    """
    if unknown := [one for one in channels if one not in CHANNELS]:
        raise DesignError(f"best_channel(...) knows no channel {unknown[0]!r}; they are {', '.join(sorted(CHANNELS))}.")
    if len(set(channels)) < _LEAST_CHANNELS or len(set(channels)) < len(channels):
        raise DesignError("best_channel(...) chooses among two channels or more, each named once, the usual one first.")
    return BestChannel(channels)


def best_hour(otherwise: str) -> BestHour:
    """The hour at which the player usually is here: `at=best_hour("18:00")`; that hour of theirs while it is not known.

    By day alone, from visits and nothing else. A message goes at the next such hour, at once where it is that hour now;
    what serves the player is not put off.
    """
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", str(otherwise)):
        raise DesignError(f'best_hour({otherwise!r}): write the usual hour as "18:00".')
    return BestHour(otherwise)


class Choose(EffectInput):
    """Choose the channel of a message, or its hour, or both."""

    template: str
    #: To choose among, the usual one first; empty where no channel is chosen.
    channels: list[Channel] = Field(default_factory=list)
    #: The usual hour; None where no hour is chosen.
    otherwise: str | None = None


class Choice(BaseModel):
    """What was chosen, with which chance, and why; `options` has the chances of all that could have been."""

    chosen: str
    chance: float
    options: dict[str, float]
    why: str

    @classmethod
    def fixed(cls, chosen: str, why: str) -> Self:
        """What is so without any chance."""
        return cls(chosen=chosen, chance=1.0, options={chosen: 1.0}, why=f"{chosen}: {why}.")


class Chosen(BaseModel):
    """The choices about one message. `at` is when it goes; None: at once."""

    channel: Choice | None = None
    hour: Choice | None = None
    at: AwareDatetime | None = None
    #: What chose. Another way of learning has another name, so that what each has done can be told apart.
    by: str = "own_history"
    #: The version of what was learned of all players; None where that had no part in it.
    model: int | None = None
    #: The channels of the choice in the order they were declared; kept as JSON, `options` has an order of its own.
    declared: list[Channel] = Field(default_factory=list)
