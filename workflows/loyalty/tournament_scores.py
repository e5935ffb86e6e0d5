"""What a player has scored in an instance of a tournament: sums in the player's row, from which a standing follows.

Every sum commutes: in which order events and their voids come changes neither score nor place.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from workflows.events import Event
from workflows.loyalty.tournaments import MOST_SCORE, MOST_VALUES, Tournament, day_in
from workflows.rules.streak_state import micros

#: Instances of which a player's row holds a score at a time.
MOST_ENTRIES: Final = 50
#: Of the best events so many are kept: as many may be voided before the next best is forgotten.
MOST_TOPS: Final = 10
_WITHIN_JSON: Final = 2**62
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

#: An event's value and its moment in microseconds since 1970.
Top = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Score:
    """Where a player stands by themselves; `order` sorts the best first."""

    score: int
    reached_at: datetime
    #: How many events made it.
    rounds: int

    def order(self, draw: int) -> tuple[int, datetime, int, int]:
        """What decides the place: more, then earlier, then with fewer events, then by the draw."""
        return (-self.score, self.reached_at, self.rounds, draw)


@dataclass(slots=True)
class TournamentEntry:
    """What a player's row holds of an instance until it is cut."""

    #: What happened before does not count: the opening, or the player's word.
    since: datetime
    #: When the instance is cut, and this may be forgotten.
    until: datetime
    #: By day of the zone the sum, or by value how often it was there.
    parts: dict[str, int] = field(default_factory=dict)
    #: The best events, the best first; and voids that came before their events.
    tops: list[Top] = field(default_factory=list)
    missing: list[Top] = field(default_factory=list)
    reached: datetime | None = None
    rounds: int = 0
    #: Whether the player lost the place, for good.
    out: bool = False

    def add(self, declared: Tournament, event: Event, amount: int, at: datetime, *, undone: bool) -> None:
        """Count an event that the tournament counts, or take it out again where it was `undone`."""
        self.rounds += -1 if undone else 1
        self.reached = at if self.reached is None else max(self.reached, at)
        match declared.how:
            case "best":
                self._rank((amount, micros(at)), undone=undone)
            case "distinct":
                key = declared.measure.mark(event) or ""
                if key in self.parts or len(self.parts) < MOST_VALUES:
                    self.parts[key] = self.parts.get(key, 0) + (-1 if undone else 1)
            case "sum":
                key = day_in(declared, at)
                moved = self.parts.get(key, 0) + (-amount if undone else amount)
                self.parts[key] = max(-_WITHIN_JSON, min(_WITHIN_JSON, moved))

    def score(self, declared: Tournament) -> Score:
        """The player's score as it is now."""
        reached, number = self.reached or self.since, 0
        match declared.how:
            case "best":
                number = self.tops[0][0] if self.tops else 0
                reached = _EPOCH + timedelta(microseconds=self.tops[0][1]) if self.tops else reached
            case "distinct":
                number = min(declared.measure.most, sum(times > 0 for times in self.parts.values()))
            case "sum":
                days = self.parts.values()
                number = sum(days) if declared.most is None else sum(min(declared.most, one) for one in days)
        return Score(max(0, min(MOST_SCORE, number)), reached, max(0, self.rounds))

    def _rank(self, top: Top, *, undone: bool) -> None:
        here, there = (self.missing, self.tops) if undone else (self.tops, self.missing)
        if top in there:
            there.remove(top)
            return
        here.append(top)
        here.sort(key=lambda one: (-one[0], one[1]))
        del here[MOST_TOPS:]


@dataclass(frozen=True, slots=True)
class StandingChanged:
    """A player's standing is another one; of several in a transaction the last counts."""

    board: int
    instance: str
    score: Score
    draw: int
    named: bool


@dataclass(frozen=True, slots=True)
class StandingTooLate:
    """An event, or what takes one back, came when its instance was cut: it is noted and changes no place."""

    board: int


@dataclass(frozen=True, slots=True)
class StandingsLost:
    """The player loses every place, and their name is in no list any more."""


@dataclass(frozen=True, slots=True)
class NameShown:
    """Whether the player's name is shown on boards."""

    shown: bool


#: What follows for boards.
StandingDecision = StandingChanged | StandingTooLate | StandingsLost | NameShown
