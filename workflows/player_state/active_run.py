"""What a player's row knows of runs under way and of entries, and what a run has yet to hear.

While a release rolls, or when a run goes on under a later one, an event may come to a process whose journey does not
listen to its type, or which has no such journey. The event is kept, and the run hears of it as soon as a process that
knows better has the player in hand.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from workflows.declaration import Journey
from workflows.events import Event
from workflows.player_state.decisions import Arm
from workflows.rules.failures import RuleFailure

#: Events that a run remembers as missed. Beyond that the oldest go, as from its inbox.
MOST_MISSED: Final = 100


@dataclass(frozen=True)
class Behind:
    """What a run is to hear now: these events, by source and id, and all of these types since it began."""

    types: frozenset[str]
    missed: frozenset[tuple[str, str]]


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

    def miss(self, event: Event) -> None:
        """Remember an event that only another process can judge."""
        self.missed = [*self.missed, (event.type, event.event_source, event.event_id)][-MOST_MISSED:]

    def behind(self, matters: frozenset[str]) -> Behind | None:
        """What it is to hear, by a process that knows these types to matter; None if that one knows no better."""
        new = matters.difference(self.about) if self.about else frozenset[str]()
        missed = frozenset((source, event_id) for kind, source, event_id in self.missed if kind in matters)
        return Behind(new, missed) if new or missed else None

    def can_use(self, journey: Journey, event: Event, failures: list[RuleFailure]) -> bool:
        """Whether it may wait for an event now or later, by the release it plays or by one it was on."""
        if journey.at(self.version).can_use(event, failures):
            return True
        return any(journey.at(one).can_use(event, failures) for one in self.earlier)

    def unheard(self, journey: Journey, version: int) -> frozenset[str]:
        """The types of events that another release waits for and of which not every one has come to this run."""
        heard = [journey.at(one) for one in (self.version, *self.earlier)]
        whole = frozenset[str]().union(*(one.listens_to.difference(one.filters) for one in heard))
        return journey.at(version).listens_to - whole

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


def hears(journey: str, kind: str) -> str:
    """The name under which a process says that it knows a type of events to matter to a journey's runs."""
    return f"hears:{journey}:{kind}"
