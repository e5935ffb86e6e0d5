"""What a journey declares about itself: its function, what starts it, who may enter, what counts as success.

Pure values, read by every decision; `run.py` makes the workflow that plays them.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any, Final

from pydantic import JsonValue

from workflows.errors import DesignError
from workflows.events import Event
from workflows.field_types import Product
from workflows.rules.failures import RuleFailure
from workflows.rules.hearing import Places, everywhere_alike, takes
from workflows.rules.measures import Measure
from workflows.rules.tied_to_run import require_same
from workflows.rules.triggers import On, Trigger
from workflows.rules.where import Where, passes, require_event_type
from workflows.run_journal import MovedRun

__all__ = ["Again", "again", "always", "every", "goal", "once", "per"]


@dataclass(frozen=True)
class Entry:
    """How often one player may enter one journey.

    A player is never in it twice at a time, except under `per(field)`, where it is never twice for
    one value of the field.
    """

    kind: str
    period: timedelta | None = None
    field: str | None = None


#: As urgent as any other journey.
USUAL_PRIORITY: Final = 50
MOST_PRIORITY: Final = 100

once = Entry("once")
"""One entry in a player's life."""

always = Entry("always")
"""Enter on every trigger, unless a run of the same journey is still under way."""


def every(period: timedelta) -> Entry:
    """At most one entry in any `period`, counted from the last entry."""
    if period <= timedelta(0):
        raise DesignError("every(...) needs a positive period; use always for no limit.")
    return Entry("every", period=period)


def per(field: str) -> Entry:
    """One entry for each value of the trigger's `field`, such as a withdrawal's payment id.

    The last 64 values are remembered; an older one could enter again.
    """
    return Entry("per", field=field)


@dataclass(frozen=True)
class Goal:
    """What success is, and how soon after entry it counts."""

    kind: type[Event]
    within: timedelta
    where: Where | None = None
    #: The field in which the event says the same as the one that started the run.
    same: str | None = None

    def matches(self, event: Event, failures: list[RuleFailure]) -> bool:
        """Whether `event` is meant; a `where` that raises says no."""
        return isinstance(event, self.kind) and passes(self.where, event, failures)


def goal(kind: type[Event], *, within: timedelta, where: Where | None = None, same: str | None = None) -> Goal:
    """Count the run as successful when `kind` happens `within` this time after entry.

    With `same="payment_id"` only where it says there what the event that started the run said. An event about a
    reward, such as `RewardClaimed`, counts only for the run that gave this reward.

    A goal measures and does not end the run; use `exit_on` for that. It is measured in the
    control arm too, and also after the run is over.
    """
    if within <= timedelta(0):
        raise DesignError("goal(...) needs a positive within=, such as within=days(7).")
    return Goal(require_event_type(kind, "goal"), within, where, require_same(kind, same, "goal"))


JourneyFunction = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, eq=False)
class Journey:
    """A journey as its designer declared it.

    `listens` holds what the designer declared. The last eight are read off the code and its releases by
    `registry.load`: until then they say nothing.
    """

    name: str
    function: JourneyFunction
    triggers: tuple[Trigger, ...]
    entry: Entry
    goal: Goal | None
    exit_on: tuple[On, ...]
    ends_after: timedelta
    control: int
    late_after: timedelta
    listens: frozenset[type[Event]]
    waives: Mapping[str, str] = field(default_factory=dict)
    #: The brands it is for; empty: every one.
    brands: frozenset[str] = frozenset()
    #: The kind of gambling its messages and rewards are about; None: what the deployment is about.
    product: Product | None = None
    #: Whether it is for players with a manager of their own: what it gives is a VIP reward.
    vip: bool = False
    #: Whether what it gives is the player's due and no offer: withheld for no comparison, counted by no budget.
    earned: bool = False
    #: The group of journeys of which a player plays one at a time; None: it is in nobody's way.
    one_of: str | None = None
    #: Who goes first where a player cannot have everything, the highest; 0 to 100.
    priority: int = USUAL_PRIORITY
    #: By currency: what it may give all players together in a day (UTC), in minor units; empty: as much as it likes.
    budget: Mapping[str, int] = field(default_factory=dict)
    #: The team that may let a reward pass beyond a budget; None: it is refused.
    approval: str | None = None
    #: The workflow that plays it, a subclass of `run.JourneyRun`; None where it is only decided about.
    workflow_class: type[Any] | None = None
    #: Types of events that wake a run.
    listens_to: frozenset[str] = frozenset()
    #: Of some of them, what its waits ask: an event that none of them takes wakes no run.
    filters: Mapping[str, tuple[Where, ...]] = field(default_factory=dict)
    #: What is left of both for a run that has come to a step.
    places: Places = everywhere_alike
    #: The measures that its code reads, which are kept for every player.
    measures: tuple[Measure, ...] = ()
    #: Whether its code cannot do without the event it begins with.
    uses_trigger: bool = False
    #: The number of the release that the present code is; 0 while it is none.
    version: int = 0
    #: The release that players enter on, where the present code is one that nobody plays but shadows.
    live: int | None = None
    #: The frozen code of every other version that runs may still be on.
    versions: Mapping[int, "Journey"] = field(default_factory=dict)
    #: What its designer decided for runs that come from another release, by the number of that.
    migrations: dict[int, Callable[[MovedRun], None]] = field(default_factory=dict)

    @cached_property
    def about(self) -> frozenset[str]:
        """The types of events that wake a run of it, of whatever version, end it, or are its goal."""
        ends = {rule.kind.type for rule in self.exit_on}
        heard = self.listens_to.union(*(one.listens_to for one in self.versions.values()))
        return heard | ends | ({self.goal.kind.type} if self.goal else set[str]())

    def can_use(self, event: Event, failures: list[RuleFailure]) -> bool:
        """Whether a run of it may wait for `event`, now or later; a `where` that raises says no."""
        return takes(event, self.listens_to, self.filters, failures)

    def is_for(self, brand: str) -> bool:
        """Whether players of this brand may enter it."""
        return not self.brands or brand in self.brands

    @property
    def tied_by(self) -> frozenset[str]:
        """The fields of the starting event that its exits and its goal are tied to."""
        rules = (*self.exit_on, self.goal)
        return frozenset(one.same for one in rules if isinstance(one, On | Goal) and one.same is not None)

    @property
    def description(self) -> str:
        """The first sentence of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def at(self, version: int) -> "Journey":
        """The journey as a run of that version plays it: the present code for version 0, and for one not known here."""
        return self.versions.get(version, self)

    def knows(self, version: int) -> bool:
        """Whether the code of that version is here."""
        return version in {0, self.version} or version in self.versions

    @property
    def entered_on(self) -> int:
        """The version that players who enter now are on."""
        return self.version if self.live is None else self.live

    @property
    def version_names(self) -> frozenset[str]:
        """The names of the versions whose code is here."""
        return frozenset(version_name(self.name, number) for number in {self.version, *self.versions} if number)


def version_name(journey: str, version: int) -> str:
    """How processes call a version when they tell each other what they know."""
    return f"{journey}@{version}"


@dataclass(frozen=True)
class Again:
    """What `again(...)` returns: the arguments of the journey's next chapter."""

    arguments: Mapping[str, JsonValue]


def again(**arguments: JsonValue) -> Again:
    """Begin the next chapter of a journey that lives for years.

    Write `return again(chapter=2)`: the arguments reach the journey function by name. Events not
    yet used, deadlines and step counters are carried over. It must be returned from the journey
    function itself; calling it without `return` does nothing, and is refused at start-up.
    """
    return Again(arguments)
