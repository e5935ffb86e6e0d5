"""Spins that journeys have given to a player, and what a player's row knows of a wheel."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from workflows.player_state.sparse_storage import parts_of, sparse

#: Spins given by journeys that one row holds; beyond it goes what ends first of those before, the least to lose.
MOST_GIVEN: Final = 20


@dataclass(frozen=True, slots=True)
class GivenSpin:
    """A spin of a wheel that a step of a run has given, good until a moment; the run waits for what comes of it."""

    wheel: str
    run_id: str
    step: str
    until: datetime

    @property
    def key(self) -> str:
        """The effect that gave it."""
        return f"{self.run_id}/{self.step}"


@dataclass(slots=True)
class WheelDay:
    """How a player stands with a wheel: the newest of its days, and what was spun on it."""

    day: str = ""
    #: All spins of that day, which number them, and those of them that journeys gave.
    spun: int = 0
    given: int = 0
    #: Blanks in a row, and when the newest spin was, whatever the day.
    blanks: int = 0
    last: datetime | None = None

    def on(self, day: str) -> "WheelDay":
        """The same on a day: a new one begins with nothing spun."""
        return self if self.day == day else WheelDay(day, blanks=self.blanks, last=self.last)

    def with_(self, other: "WheelDay") -> "WheelDay":
        """Those of two accounts that become one: spins of one day add up, so that two have no more than one."""
        newest = max(self, other, key=lambda one: one.day)
        last = max((one.last for one in (self, other) if one.last is not None), default=None)
        newest = replace(newest, blanks=max(self.blanks, other.blanks), last=last)
        if self.day != other.day:
            return newest
        return replace(newest, spun=self.spun + other.spun, given=self.given + other.given)

    def stored(self) -> dict[str, Any] | tuple[str, int]:
        """What differs from nothing; day and number as long as they say it all, for processes of before read that."""
        return sparse(self, _PARTS) if self.given or self.blanks or self.last else (self.day, self.spun)


_PARTS: Final = parts_of(WheelDay)


def _of_before(stored: Any) -> Any:
    """Rows of before journeys gave spins have a day and a number."""
    return {"day": stored[0], "spun": stored[1]} if isinstance(stored, list | tuple) else stored


#: As it is read from a row.
KnownWheelDay = Annotated[WheelDay, BeforeValidator(_of_before)]


def still_good(given: Iterable[GivenSpin], now: datetime) -> list[GivenSpin]:
    """Those whose time is not over, the one that ends first first."""
    return sorted((one for one in given if now < one.until), key=lambda one: (one.until, one.key))
