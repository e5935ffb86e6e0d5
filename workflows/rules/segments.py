"""`@segment`: who belongs together, as a plain function of a player's statistics.

What a segment reads is found in its code, so that only events which can change its answer ask it again. What it
reads also says when the answer may change although nothing happens, so nobody has to poll.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import FunctionType
from typing import Any, Final

from workflows.errors import DesignError
from workflows.events import DepositApproved, Event, GameSessionStarted, SessionLogin
from workflows.local_time import LocalTime
from workflows.player_state.profiling import is_withheld, objects_to_profiling
from workflows.player_state.projection import PlayerProjection
from workflows.rules.measures import Measure
from workflows.rules.series import changes_at, value

__all__ = ["Segment", "Statistics", "segment"]

#: What counts as a visit for the player's usual hours.
VISITS: Final = (SessionLogin, GameSessionStarted, DepositApproved)


@dataclass(frozen=True)
class Segment:
    """A named set of players. Test it with `player.matches`, enter by `entered(...)`, count it over the API."""

    name: str
    function: "Callable[[Statistics], bool]" = field(compare=False)

    @property
    def description(self) -> str:
        """The first sentence of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    def evaluate(self, known: PlayerProjection, now: datetime) -> tuple[bool, datetime | None]:
        """Whether the player is in it, and when that may change although nothing happens."""
        statistics = Statistics(known, now)
        return bool(self.function(statistics)), statistics.changes_at


def segment(function: "Callable[[Statistics], bool]") -> Segment:
    """Declare a segment under the function's own name.

    The function must be pure: it runs in the transaction of every event that can change its answer, and when the
    passing of time can. Read measures and event types by their own names, not through variables, so that they are
    found in the code.
    """
    if not isinstance(function, FunctionType):
        raise DesignError(f"@segment belongs on a plain function of the player's statistics, not on {function!r}.")
    if not function.__name__.isidentifier():
        raise DesignError("@segment takes the function's name for the segment's; a lambda has none.")
    return Segment(function.__name__, function)


def require_segment(value: Any, call: str) -> Segment:
    """`value`, if it is a segment; raises a `DesignError` that names the call otherwise."""
    if isinstance(value, Segment):
        return value
    described = "a measure" if isinstance(value, Measure) else getattr(value, "__name__", None) or repr(value)
    raise DesignError(f"{call} takes a segment, not {described}; put @segment above the function and name it here.")


class Statistics:
    """Everything a segment may know of a player, at one moment.

    There is no "now" here on purpose: what depends on the time is asked with a duration (`quiet`, `registered_for`,
    a measure's window), and then the engine knows when to ask again.
    """

    def __init__(self, known: PlayerProjection, now: datetime) -> None:
        self._known = known
        self._now = now
        #: The earliest moment at which an answer given here may change by itself.
        self.changes_at: datetime | None = None

    def __getitem__(self, measure: Measure) -> int:
        """The present value of a measure; 0 before the first event.

        A score, what is usual and a pattern are 0 of a player who objected to being profiled.
        """
        return self._value(measure, to_protect=False)

    def _value(self, measure: Measure, *, to_protect: bool) -> int:
        if is_withheld(self._known, measure, to_protect=to_protect):
            return 0
        held = self._known.series.get(measure.series)
        if held is None:
            return 0
        present = self._known.present(self._now)
        self._changes(changes_at(held, measure, present))
        return value(held, measure, present)

    def changed(self, pattern: Measure, *, to_protect: bool = False) -> bool:
        """Whether the player plays in another way than before: of `week_days(...)`, `choices(...)`, `level(...)`.

        It can change when a week of the player's is over; False while there is too little to tell, and of
        who objected to being profiled, except where it is asked `to_protect` them.
        """
        if not pattern.is_pattern:
            raise DesignError(
                f"player.changed(...) takes week_days(...), choices(...) or level(...), not {pattern.words}."
            )
        return bool(self._value(pattern, to_protect=to_protect))

    def matches(self, other: Segment) -> bool:
        """Whether the player is in another segment."""
        return bool(require_segment(other, "player.matches(...)").function(self))

    def count(self, kind: type[Event]) -> int:
        """How many events of `kind` there were, ever."""
        return self._known.counts.get(kind.type, 0)

    def first(self, kind: type[Event]) -> datetime | None:
        """When the first event of `kind` happened."""
        return self._known.first.get(kind.type)

    def last(self, kind: type[Event]) -> datetime | None:
        """When the newest event of `kind` happened."""
        return self._known.last.get(kind.type)

    def quiet(self, kind: type[Event], duration: timedelta) -> bool:
        """Whether the last event of `kind` is at least `duration` ago; False if there never was one."""
        return self._ago(self.last(kind), duration)

    def registered_for(self, duration: timedelta) -> bool:
        """Whether the player registered at least `duration` ago; False while the registration is unknown."""
        return self._ago(self._known.registered_at, duration)

    def locally(self, when: LocalTime) -> bool:
        """Whether it is now such a time of the week on the player's clock: `player.locally(weekend)`."""
        present = self._known.present(self._now)
        self._changes(when.changes_at(self._now, present.timezone))
        return when.holds(self._now.astimezone(present.zone))

    @property
    def favourite_category(self) -> str | None:
        """The game category with the highest stakes so far; None where the player objects to being profiled."""
        return None if self.objects_to_profiling else self._known.favourite_category

    @property
    def usual_hours(self) -> tuple[int, ...]:
        """The fewest hours of the player's day (0 to 23) that hold half of all visits, busiest first.

        Empty where the player objects to being profiled.
        """
        return () if self.objects_to_profiling else self._known.usual_hours

    @property
    def objects_to_profiling(self) -> bool:
        """Whether the player objected to being profiled: their newest word on the channel `profiling` is a No."""
        return objects_to_profiling(self._known)

    @property
    def deposits(self) -> int:
        """How many deposits were approved so far."""
        return self.count(DepositApproved)

    @property
    def deposited_minor(self) -> int:
        """The sum of all approved deposits in minor units."""
        return self._known.deposited_minor

    @property
    def mean_deposit_minor(self) -> int:
        """Mean approved deposit in minor units; 0 before the first."""
        return self.deposited_minor // self.deposits if self.deposits else 0

    @property
    def tier(self) -> str | None:
        """Loyalty tier, as of the last `loyalty.tier_changed`."""
        return self._fact("tier")

    @property
    def language(self) -> str | None:
        """BCP 47 language tag."""
        return self._fact("language")

    @property
    def country(self) -> str | None:
        """ISO 3166 alpha-2 code."""
        return self._fact("country")

    @property
    def currency(self) -> str | None:
        """ISO 4217 code of the player's wallet."""
        return self._fact("currency")

    @property
    def timezone(self) -> str | None:
        """IANA zone."""
        return self._fact("timezone")

    @property
    def is_test(self) -> bool:
        """Whether this is an account of the operator's own."""
        return bool(self._known.facts.get("is_test", False))

    def _fact(self, name: str) -> str | None:
        fact: str | None = self._known.facts.get(name)
        return fact

    def _ago(self, moment: datetime | None, duration: timedelta) -> bool:
        if moment is None:
            return False
        if moment + duration <= self._now:
            return True
        self._changes(moment + duration)
        return False

    def _changes(self, at: datetime | None) -> None:
        if at is not None and (self.changes_at is None or at < self.changes_at):
            self.changes_at = at
