"""Journeys of which a player plays one at a time, and who goes first: `one_of=` and `priority=` of a journey.

What a run's journey declared when it was entered stands in the player's row, so a release changes nothing for runs
under way.
"""

from collections.abc import Mapping
from typing import Final

from workflows.declaration import Journey
from workflows.player_state.active_run import ActiveRun

#: As what a run ends, or an entry is refused, that had to give way.
OUTRANKED: Final = "outranked"


def rivals(runs: Mapping[str, ActiveRun], journey: Journey) -> dict[str, ActiveRun]:
    """The runs under way of other journeys of its group, by id."""
    if journey.one_of is None:
        return {}
    return {
        run_id: run
        for run_id, run in sorted(runs.items())
        if run.one_of == journey.one_of and run.journey != journey.name and not (run.over or run.stopping)
    }


def must_give_way(runs: Mapping[str, ActiveRun], journey: Journey) -> bool:
    """Whether a run of its group is under way that goes first; of equals the one that came first does."""
    return any(run.priority >= journey.priority for run in rivals(runs, journey).values())
