"""Scheduled maintenance: workflows that Temporal Schedules start and that belong to no player.

Each is one activity, because all they do is talk to Postgres and to providers. Their value is what Temporal adds: one
at a time whatever number of workers runs, seen and paused by people, and taken up elsewhere when a worker dies.
"""

from datetime import timedelta
from typing import Final

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RetryPolicy

RECONCILE: Final = "reconcile_grants"
RECONCILE_RUNS: Final = "reconcile_runs"
REARM: Final = "rearm_players"
#: After this time without a heartbeat an activity is tried again elsewhere.
HEARTBEAT_TIMEOUT: Final = timedelta(seconds=10)
#: How long each may take in all; the next one begins anew.
RECONCILE_LIMIT: Final = timedelta(minutes=10)
REARM_LIMIT: Final = timedelta(hours=20)
_RETRIES: Final = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))


class Rearmed(BaseModel):
    """How far a look at all players has come: the last one seen, and how many before."""

    brand: str = ""
    player_id: str = ""
    seen: int = 0
    changed: int = 0
    #: Players the rules cannot look at; the log names them.
    failed: int = 0


class ComparedRuns(BaseModel):
    """What became of the runs that were compared with Temporal."""

    open: int = 0
    #: Open although their time was over an hour ago.
    late: int = 0
    lost: int = 0
    begun_again: int = 0
    #: Missing in Temporal, too many to believe it.
    doubted: int = 0


# Without the sandbox: they decide nothing, hold no designer's code, and would import all of it anew each time.
@workflow.defn(name="ReconcileGrants", sandboxed=False)
class ReconcileGrants:
    """Asks the bonus engine about grants in doubt; the number settled."""

    @workflow.run
    async def run(self) -> int:
        """Run once."""
        settled: int = await workflow.execute_activity(
            RECONCILE,
            result_type=int,
            schedule_to_close_timeout=RECONCILE_LIMIT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRIES,
        )
        return settled


@workflow.defn(name="ReconcileRuns", sandboxed=False)
class ReconcileRuns:
    """Compares active runs with Temporal; what became of them."""

    @workflow.run
    async def run(self) -> ComparedRuns:
        """Run once."""
        compared: ComparedRuns = await workflow.execute_activity(
            RECONCILE_RUNS,
            result_type=ComparedRuns,
            schedule_to_close_timeout=RECONCILE_LIMIT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRIES,
        )
        return compared


@workflow.defn(name="RearmPlayers", sandboxed=False)
class RearmPlayers:
    """Looks at every player under the present rules, from where an earlier attempt was."""

    @workflow.run
    async def run(self) -> Rearmed:
        """Run once."""
        rearmed: Rearmed = await workflow.execute_activity(
            REARM,
            result_type=Rearmed,
            schedule_to_close_timeout=REARM_LIMIT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRIES,
        )
        return rearmed


MAINTENANCE_WORKFLOWS: Final = (ReconcileGrants, ReconcileRuns, RearmPlayers)
