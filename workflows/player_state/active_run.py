"""What a player's row knows of runs under way and of entries, and what a run has yet to hear.

While a release rolls, or when a run goes on under a later one, an event may come to a process whose journey does not
listen to its type, or which has no such journey. The event is kept, and the run hears of it as soon as a process that
knows better has the player in hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from workflows.declaration import USUAL_PRIORITY, Journey
from workflows.events import Event
from workflows.player_state.decisions import Arm
from workflows.rules.failures import RuleFailure
from workflows.rules.tied_to_run import is_of_run, is_tied, ties_of

#: Values of the field of `per(field)` that a player's row remembers, the newest.
REMEMBERED_KEYS: Final = 64
#: Events that a run remembers as of no more use where it stood, the newest.
MOST_PASSED: Final = 50
#: Events that a run remembers as missed. Beyond that the oldest go, as from its inbox.
MOST_MISSED: Final = 100


@dataclass(frozen=True)
class Behind:
    """What a run is to hear: these events, by source and id, and all of these types since it began."""

    types: frozenset[str]
    missed: frozenset[tuple[str, str]]

    def names(self, event: Event) -> bool:
        """Whether it is one of these."""
        return event.type in self.types or (event.event_source, event.event_id) in self.missed


def leaves_by(journey: Journey, event: Event, ties: Mapping[str, str], failures: list[RuleFailure]) -> bool:
    """Whether an event ends a run of the journey that began with `ties`."""
    return any(rule.matches(event, failures) and is_tied(event, rule.same, ties) for rule in journey.exit_on)


@dataclass(slots=True)
class ActiveRun:
    """What the player's row knows of a run under way."""

    journey: str
    arm: Arm
    ends_at: datetime
    goal_until: datetime | None = None
    #: When what let the player in happened; a goal before that was not the journey's doing.
    since: datetime | None = None
    seq: int = 0
    stopping: bool = False
    reached: bool = False
    #: It has ended and stays only until its goal can no longer be reached.
    over: bool = False
    #: The release of the journey that it plays.
    version: int = 0
    #: Those it was on before. It hears what they wait for as well: until its next wait it plays one of them.
    earlier: list[int] = field(default_factory=list)
    #: The types of events that matter to it, by the latest release that had the player in hand; none of a run from
    #: before this was noted.
    about: list[str] = field(default_factory=list)
    #: Type, source and id of events that matter to it and came to a process that could not judge them.
    missed: list[tuple[str, str, str]] = field(default_factory=list)
    #: The last step it is known to have come to that left it less to wait for.
    place: str | None = None
    #: Type, source and id of events that its journey waits for somewhere, and that it was past.
    passed: list[tuple[str, str, str]] = field(default_factory=list)
    #: What the event that started it says in the fields that its exits and its goal are tied to.
    ties: dict[str, str] = field(default_factory=dict)
    #: Whether a run of the control arm is played with its offers withheld; one from before that was only tracked.
    played: bool = False
    #: The group of journeys of which the player plays one at a time, and who goes first in it.
    one_of: str | None = None
    priority: int = USUAL_PRIORITY

    @classmethod
    def entered(
        cls,
        journey: Journey,
        arm: Arm,
        at: datetime,
        ends_at: datetime,
        goal_until: datetime | None,
        trigger: Event | None,
    ) -> "ActiveRun":
        """A run that begins with an entry, because of what happened `at`."""
        return cls(
            journey.name,
            arm,
            ends_at,
            goal_until,
            at,
            version=journey.entered_on,
            about=sorted(journey.about),
            ties=ties_of(journey.tied_by, trigger),
            played=arm == "control",
            one_of=journey.one_of,
            priority=journey.priority,
        )

    @property
    def has_workflow(self) -> bool:
        """Whether a workflow plays it, which hears of events and says itself when it is over."""
        return self.arm == "treated" or self.played

    def is_goal(self, run_id: str, journey: Journey, event: Event, failures: list[RuleFailure]) -> bool:
        """Whether an event is what the journey is for, is tied to this run where it must be, and happened in time."""
        goal = journey.goal
        if goal is None or self.goal_until is None or not goal.matches(event, failures):
            return False
        began_before = self.since is None or self.since <= event.occurred_at
        in_time = began_before and event.occurred_at <= self.goal_until
        return in_time and is_tied(event, goal.same, self.ties) and is_of_run(event, run_id)

    def miss(self, event: Event) -> None:
        """Remember an event that only another process can judge."""
        self.missed = [*self.missed, (event.type, event.event_source, event.event_id)][-MOST_MISSED:]

    def behind(self, matters: frozenset[str]) -> Behind | None:
        """What it is to hear, by a process that knows these types to matter; None if that one knows no better."""
        new = matters.difference(self.about) if self.about else frozenset[str]()
        missed = frozenset((source, event_id) for kind, source, event_id in self.missed if kind in matters)
        return Behind(new, missed) if new or missed else None

    def can_use(self, journey: Journey, event: Event, failures: list[RuleFailure]) -> bool:
        """Whether the release it plays, or one it was on, waits for an event anywhere."""
        if journey.at(self.version).can_use(event, failures):
            return True
        return any(journey.at(one).can_use(event, failures) for one in self.earlier)

    def come_to(self, journey: Journey, step: str) -> bool:
        """Note that it has come to a step; whether that leaves it less to wait for.

        What is noted may be behind where it stands and never ahead. A run that moves, and one of no release, may come
        by any step again.
        """
        if not self.version or self.earlier or not journey.knows(self.version):
            return False
        places = journey.at(self.version).places
        there = places(step)
        here = None if self.place is None else places(self.place)
        if there is None or (here is not None and not there.is_less_than(here)):
            return False
        self.place = step.partition("#")[0]
        return True

    def is_past(self, journey: Journey, event: Event, failures: list[RuleFailure]) -> bool:
        """Whether no wait that it can still come to takes an event that `can_use` says its journey waits for."""
        if self.place is None or self.earlier or not journey.knows(self.version):
            return False
        hearing = journey.at(self.version).places(self.place)
        return hearing is not None and not hearing.takes(event, failures)

    def pass_by(self, event: Event) -> None:
        """Remember an event that it was past, should it move to a release that waits for it."""
        self.passed = [*self.passed, (event.type, event.event_source, event.event_id)][-MOST_PASSED:]

    def unheard(self, journey: Journey, version: int) -> Behind:
        """What another release may wait for and this run was not told.

        Types of which not every event has come to it, whatever it waited for, and events that it was past.
        """
        heard = [journey.at(one) for one in (self.version, *self.earlier)]
        whole = frozenset[str]().union(*(one.listens_to.difference(one.filters) for one in heard))
        types = journey.at(version).listens_to
        passed = frozenset((source, event_id) for kind, source, event_id in self.passed if kind in types)
        return Behind(types - whole, passed)

    def takes_along(self, journey: Journey, version: int, event: Event, failures: list[RuleFailure]) -> bool:
        """Whether it is to hear a past event because it moves to another release; then it is remembered no more."""
        known = (event.type, event.event_source, event.event_id)
        if not journey.at(version).can_use(event, failures):
            return False
        if known not in self.passed:
            return not self.can_use(journey, event, failures)
        self.passed = [one for one in self.passed if one != known]
        return True

    def caught_up(self, matters: frozenset[str]) -> None:
        """It has heard what a process that knows these types to matter could tell."""
        self.about = sorted(matters.union(self.about))
        self.missed = [one for one in self.missed if one[0] not in matters]


@dataclass(slots=True)
class Entries:
    """How often and when a player last entered a journey."""

    count: int = 0
    last: datetime | None = None
    keys: list[str] = field(default_factory=list)

    def note(self, at: datetime, key: str | None) -> None:
        """Count one more, remembered by `key` if it has any."""
        self.count += 1
        self.last = at
        if key is not None:
            self.keys = [*self.keys, key][-REMEMBERED_KEYS:]


def come_to(runs: Mapping[str, ActiveRun], run_id: str, step: str, journeys: Mapping[str, Journey]) -> str | None:
    """Note that a player's run has come to a step; the place that is to be stored, None where that changes nothing."""
    run = runs.get(run_id)
    journey = None if run is None else journeys.get(run.journey)
    return run.place if run is not None and journey is not None and run.come_to(journey, step) else None


def hears(journey: str, kind: str) -> str:
    """The name under which a process says that it knows a type of events to matter to a journey's runs."""
    return f"hears:{journey}:{kind}"
