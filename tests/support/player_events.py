"""One player's life under a few journeys, for tests of the pure core: no database, no clock."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar

from workflows import Event, Player, journey
from workflows.declaration import Journey
from workflows.player_state.decisions import Decision, Start
from workflows.player_state.state import Mode, PlayerState
from workflows.rules.failures import RuleFailure
from workflows.rules.index import RuleIndex
from workflows.rules.segments import Segment
from workflows.rules.triggers import Trigger

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
BRAND = "acme"
D = TypeVar("D")


def declared(name: str, *triggers: Trigger, ends_after: timedelta = timedelta(days=14), **declarations: Any) -> Journey:
    """A journey as the registry hands it over, called `name`; it listens to what `listens` says."""

    async def play(player: Player, trigger: Event) -> None:
        """Never played here."""

    play.__name__ = play.__qualname__ = name
    definition = journey(*triggers, ends_after=ends_after, **declarations)(play).definition
    return replace(definition, listens_to=frozenset(kind.type for kind in definition.listens))


def rules(*journeys: Journey, segments: Sequence[Segment] = ()) -> RuleIndex:
    return RuleIndex({one.name: one for one in journeys}, {one.name: one for one in segments})


def stored(state: PlayerState) -> PlayerState:
    """The state as the next transaction reads it."""
    return PlayerState.from_json(state.brand, state.player_id, json.loads(json.dumps(state.to_json())))


def only(kind: type[D], decisions: Iterable[Decision]) -> list[D]:
    return [decision for decision in decisions if isinstance(decision, kind)]


class _NoFailures(list[RuleFailure]):
    def append(self, failure: RuleFailure) -> None:
        raise AssertionError(str(failure))

    def extend(self, failures: Iterable[RuleFailure]) -> None:
        for failure in failures:
            self.append(failure)

    def __iadd__(self, failures: Iterable[RuleFailure]) -> Self:  # type: ignore[override,misc]  # as in list itself
        self.extend(failures)
        return self


#: For tests in which no rule may raise.
NO_FAILURES = _NoFailures()


class Life:
    """Things happen to one player, one transaction each: the state is stored and read in between."""

    def __init__(self, *journeys: Journey, segments: Sequence[Segment] = (), player_id: str = "p-1") -> None:
        self.rules = rules(*journeys, segments=segments)
        self.state = PlayerState(BRAND, player_id)
        self.now = NOON
        self.events = 0
        #: Rules that raised. A test that expects some gives it a plain list.
        self.failures: list[RuleFailure] = NO_FAILURES

    def event(self, kind: type[Event], /, *, ago: timedelta = timedelta(0), **data: Any) -> Event:
        self.events += 1
        base = kind.example().model_dump(by_alias=False) | {
            "event_id": f"e-{self.events}",
            "event_source": "/test",
            "occurred_at": self.now - ago,
        }
        return kind.model_validate(base | data)

    def happens(
        self,
        kind: type[Event],
        /,
        *,
        after: timedelta = timedelta(0),
        ago: timedelta = timedelta(0),
        mode: Mode = "live",
        **data: Any,
    ) -> list[Decision]:
        """`after` this much time we hear of an event, which happened `ago`."""
        self.now += after
        event = self.event(kind, ago=ago, **data)
        decisions = self.state.advance(event, self.rules, self.now, self.failures, mode=mode)
        self.state = stored(self.state)
        return decisions

    def passes(self, duration: timedelta) -> list[Decision]:
        """Time goes by, then the sweep looks at the player."""
        self.now += duration
        decisions = self.state.tick(self.rules, self.now, self.failures)
        self.state = stored(self.state)
        return decisions

    def enters(self, name: str) -> list[Decision]:
        """A person puts the player into a journey."""
        self.events += 1
        by = {"type": "person", "id": str(self.events)}
        decisions = self.state.enter(self.rules.journeys[name], None, self.now, by)
        self.state = stored(self.state)
        return decisions

    def run_ends(self, run_id: str) -> None:
        """The run of the treated arm has said its last word."""
        self.state.end(run_id, self.now)
        self.state = stored(self.state)

    def run_of(self, journey: str) -> str:
        """The id of the player's newest run of a journey."""
        return [run_id for run_id, run in self.state.runs.items() if run.journey == journey][-1]


def journeys_entered(decisions: Iterable[Decision]) -> list[str]:
    """The journeys of the runs that are really played or tracked."""
    return [start.journey for start in only(Start, decisions) if start.refused is None]


def started(decisions: Iterable[Decision]) -> list[str]:
    """The ids of the runs that are really played or tracked."""
    return [start.run_id for start in only(Start, decisions) if start.refused is None]
