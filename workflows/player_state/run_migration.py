"""A run told to move to another release of its journey: what that does to the player's row, and what the run hears."""

from collections.abc import Iterable

from workflows.events import Event
from workflows.player_state.decisions import Decision, Migrate, Wake
from workflows.player_state.state import PlayerState
from workflows.rules.failures import RuleFailure
from workflows.rules.index import RuleIndex


def migrate(
    state: PlayerState,
    run_id: str,
    version: int,
    do: Iterable[str],
    past: Iterable[Event],
    rules: RuleIndex,
    failures: list[RuleFailure],
) -> list[Decision]:
    """Tell a run to move to another release; nothing where it is on that, is ending, or has no workflow.

    `past` are the player's events since the run began that `ActiveRun.unheard` names. The run hears those that the
    release waits for and it was not told, in their order, so that each is heard once.
    """
    run = state.runs.get(run_id)
    journey = None if run is None else rules.journeys.get(run.journey)
    if run is None or journey is None or not run.has_workflow:
        return []
    if run.over or run.stopping or run.version == version:
        return []
    run.seq += 1
    decisions: list[Decision] = [Migrate(run_id, run.seq, version, tuple(do))]
    for event in past:
        if run.takes_along(journey, version, event.on_clock_of(state.timezone), failures):
            run.seq += 1
            decisions.append(Wake(run_id, run.seq, event))
    run.earlier = sorted({*run.earlier, run.version} - {version})
    run.version, run.place = version, None
    return decisions
