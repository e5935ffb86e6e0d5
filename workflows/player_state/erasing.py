"""Erases a player in memory: ends what is under way, and leaves of their row what has to stay."""

from collections.abc import Container, Iterable, Mapping
from datetime import datetime
from typing import Final

from workflows.events import Event
from workflows.player_state.decisions import Decision
from workflows.player_state.state import PlayerState

#: What the player's runs end as.
ERASED: Final = "erased"


def forget(state: PlayerState, now: datetime) -> list[Decision]:
    """Erase a player from their row. Who comes back with a registration of later is a new player.

    Exclusions, refusals and open checks stay, as `erased_player.STAYS` has it. What is dated before `now` counts no
    more, unless it protects: see `too_old`.
    """
    decisions = [*state.leave_boards(now), *state.stop_all(ERASED, now)]
    for journey, entries in state.entries.items():
        state.taken[journey] = state.taken.get(journey, 0) + entries.count
    state.empty(now)
    state.runs = {run_id: run for run_id, run in state.runs.items() if not run.over}
    return decisions


def too_old(
    events: Iterable[tuple[str, Event]], states: Mapping[str, PlayerState], *, but: Container[str]
) -> dict[str, datetime]:
    """By player who was erased: when, where one of these events is from before that; players of `but` left out."""
    found: dict[str, datetime] = {}
    for player_id, event in events:
        at = states[player_id].erased_at
        if at is not None and event.occurred_at <= at and player_id not in but:
            found[player_id] = at
    return found
