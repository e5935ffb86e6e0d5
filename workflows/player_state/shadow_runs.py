"""What a player's row knows of shadow runs: releases that are played beside live runs, and do nothing.

They stand apart from `runs`, so no entry rule, arm, goal or limit ever meets one.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from workflows.events import Event
from workflows.player_state.active_run import leaves_by
from workflows.player_state.decisions import Decision, ShadowStart, Start, Stop, Wake
from workflows.player_state.tournament_player import TournamentPlayer
from workflows.rules.failures import RuleFailure
from workflows.rules.index import RuleIndex
from workflows.rules.tied_to_run import ties_of
from workflows.shadows import shadow_run_id

#: Shadow runs that a player's row holds; beyond that none begins.
MOST_SHADOW_RUNS: Final = 20
#: How long after it must be over a shadow run is forgotten that never said so: Temporal has lost it.
LOST_AFTER: Final = timedelta(days=1)


@dataclass(slots=True)
class ShadowRun:
    """What the player's row knows of a shadow run under way. `beside` is the live run that it is compared with."""

    journey: str
    version: int
    beside: str
    ends_at: datetime
    seq: int = 0
    stopping: bool = False
    #: What the event that started the live run says in the fields that exits are tied to.
    ties: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class ShadowedPlayer(TournamentPlayer):
    """A player with the shadow runs beside theirs."""

    shadows: dict[str, ShadowRun] = field(default_factory=dict)

    def begin_shadow(self, start: Start, rules: RuleIndex) -> list[Decision]:
        """Begin a shadow run beside one that begins, where its journey has a shadow and the player is drawn for it."""
        shadow = rules.shadows.get(start.journey)
        if shadow is None or start.refused is not None or start.arm != "treated":
            return []
        if len(self.shadows) >= MOST_SHADOW_RUNS or not shadow.draws(self.brand, self.player_id):
            return []
        run_id = shadow_run_id(shadow.id, start.run_id)
        ties = ties_of(rules.journeys[start.journey].tied_by, start.trigger)
        self.shadows[run_id] = ShadowRun(start.journey, shadow.version, start.run_id, start.ends_at, ties=ties)
        return [ShadowStart(run_id, shadow.id, shadow.version, start)]

    def wake_shadows(
        self, event: Event, rules: RuleIndex, now: datetime, failures: list[RuleFailure]
    ) -> list[Decision]:
        """What an event is to each shadow run: its exit, or something that its release waits for."""
        decisions: list[Decision] = []
        for run_id in sorted(self.shadows):
            run = self.shadows[run_id]
            journey = rules.journeys.get(run.journey)
            if run.ends_at + LOST_AFTER < now:
                del self.shadows[run_id]
            elif run.stopping or journey is None:
                pass
            elif leaves_by(journey, event, run.ties, failures):
                decisions += self._stop_shadow(run_id, f"exit_on:{event.type}")
            elif journey.at(run.version).can_use(event, failures):
                run.seq += 1
                decisions.append(Wake(run_id, run.seq, event))
        return decisions

    def stop_shadows(self, reason: str, *, beside: str | None = None) -> list[Decision]:
        """End the shadow runs beside a live one, or every one."""
        chosen = [one for one, run in sorted(self.shadows.items()) if beside is None or run.beside == beside]
        return [decision for one in chosen for decision in self._stop_shadow(one, reason)]

    def number_beside(self, beside: str) -> list[tuple[str, int]]:
        """Number a delivery to each shadow run beside a live one that is told something by a person."""
        numbered: list[tuple[str, int]] = []
        for run_id, run in sorted(self.shadows.items()):
            if run.beside == beside and not run.stopping:
                run.seq += 1
                numbered.append((run_id, run.seq))
        return numbered

    def end_shadow(self, run_id: str) -> None:
        """Forget a shadow run that is over."""
        self.shadows.pop(run_id, None)

    def _stop_shadow(self, run_id: str, reason: str) -> list[Decision]:
        run = self.shadows[run_id]
        if run.stopping:
            return []
        run.stopping = True
        run.seq += 1
        return [Stop(run_id, run.seq, reason)]
