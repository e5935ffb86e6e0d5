"""Scheduled maintenance: workflows that Temporal Schedules start and that belong to no player.

Each is one activity, because all they do is talk to Postgres and to providers. Their value is what Temporal adds: one
at a time whatever number of workers runs, seen and paused by people, and taken up elsewhere when a worker dies.
"""

import asyncio
from datetime import timedelta
from typing import Final

from pydantic import AwareDatetime, BaseModel
from temporalio import workflow
from temporalio.common import RetryPolicy

RECONCILE: Final = "reconcile_grants"
COMPARE_GRANTS: Final = "compare_grants"
RECONCILE_RUNS: Final = "reconcile_runs"
REARM: Final = "rearm_players"
RETAIN: Final = "retain_records"
ERASE: Final = "erase_players"
WATCH: Final = "watch_experiments"
LEARN: Final = "learn_scores"
SCORE: Final = "score_players"
FIND_DOUBLES: Final = "find_doubles"
#: After this time without a heartbeat an activity is tried again elsewhere.
HEARTBEAT_TIMEOUT: Final = timedelta(seconds=10)
#: How long each may take in all; the next one begins anew.
RECONCILE_LIMIT: Final = timedelta(minutes=10)
RETAIN_LIMIT: Final = timedelta(hours=10)
LEARN_LIMIT: Final = timedelta(hours=6)
WATCH_LIMIT: Final = timedelta(minutes=50)
ERASE_LIMIT: Final = timedelta(hours=10)
REARM_LIMIT: Final = timedelta(hours=20)
DOUBLES_LIMIT: Final = timedelta(hours=10)
_RETRIES: Final = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))


class Rearmed(BaseModel):
    """How many players a look has seen, and what became of them."""

    seen: int = 0
    changed: int = 0
    #: Players the rules cannot look at; the log names them.
    failed: int = 0
    #: Everybody had been looked at under the same rules.
    skipped: bool = False


class PlayerShare(BaseModel):
    """A share of all players, by a hash of their ids or of their brands."""

    number: int = 0
    of: int = 1

    @property
    def name(self) -> str:
        """As a job remembers it."""
        return f"{self.number}/{self.of}"


class ComparedRuns(BaseModel):
    """What became of the runs that were compared with Temporal."""

    open: int = 0
    #: Open although their time was over an hour ago.
    late: int = 0
    lost: int = 0
    begun_again: int = 0
    #: Over in Temporal and not in the books, which had forgotten it.
    played: int = 0
    #: Missing in Temporal, too many to believe it.
    doubted: int = 0


class WatchedExperiments(BaseModel):
    """How many experiments were looked at, and what was done to them."""

    seen: int = 0
    #: Arms stopped because of harm, and experiments closed because their shares were wrong.
    stopped: int = 0
    broken: int = 0


class Now(BaseModel):
    """The moment that a long activity works for, the same however often it is begun again."""

    at: AwareDatetime


class LearnedScores(BaseModel):
    """How many models were learned that score players from now on, and how many that do not."""

    champions: int = 0
    shadows: int = 0


class ScoredPlayers(BaseModel):
    """How many players were scored, and how many scores were told because they moved."""

    seen: int = 0
    told: int = 0


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


@workflow.defn(name="CompareGrants", sandboxed=False)
class CompareGrants:
    """Compares a day's rewards with the bonus engine's own list; how many disagree, by how."""

    @workflow.run
    async def run(self) -> dict[str, int]:
        """Run once."""
        counts: dict[str, int] = await workflow.execute_activity(
            COMPARE_GRANTS,
            result_type=dict[str, int],
            schedule_to_close_timeout=RETAIN_LIMIT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRIES,
        )
        return counts


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
    """Looks at every player under the present rules, from where an earlier look was."""

    @workflow.run
    async def run(self, shards: int = 0) -> Rearmed:
        """Run once, in so many shares at a time; 0 is what was started before there were shares."""
        given: list[list[PlayerShare]] = [[PlayerShare(number=number, of=shards)] for number in range(shards)] or [[]]
        looks = [
            workflow.execute_activity(
                REARM,
                args=shard,
                result_type=Rearmed,
                schedule_to_close_timeout=REARM_LIMIT,
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                retry_policy=_RETRIES,
            )
            for shard in given
        ]
        shares: list[Rearmed] = await asyncio.gather(*looks)
        return Rearmed(
            seen=sum(one.seen for one in shares),
            changed=sum(one.changed for one in shares),
            failed=sum(one.failed for one in shares),
            skipped=all(one.skipped for one in shares),
        )


@workflow.defn(name="RetainRecords", sandboxed=False)
class RetainRecords:
    """Makes the months to come and forgets what is due; by table, how much."""

    @workflow.run
    async def run(self) -> dict[str, int]:
        """Run once."""
        counts: dict[str, int] = await workflow.execute_activity(
            RETAIN,
            result_type=dict[str, int],
            schedule_to_close_timeout=RETAIN_LIMIT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRIES,
        )
        return counts


@workflow.defn(name="ErasePlayers", sandboxed=False)
class ErasePlayers:
    """Does what is open of the erasures that were asked for; how many were certified."""

    @workflow.run
    async def run(self) -> int:
        """Run once."""
        done: int = await workflow.execute_activity(
            ERASE,
            result_type=int,
            schedule_to_close_timeout=ERASE_LIMIT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRIES,
        )
        return done


@workflow.defn(name="WatchExperiments", sandboxed=False)
class WatchExperiments:
    """Stops arms that do harm and looks at goals as planned; what was done."""

    @workflow.run
    async def run(self) -> WatchedExperiments:
        """Run once."""
        watched: WatchedExperiments = await workflow.execute_activity(
            WATCH,
            result_type=WatchedExperiments,
            schedule_to_close_timeout=WATCH_LIMIT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRIES,
        )
        return watched


@workflow.defn(name="ScorePlayers", sandboxed=False)
class ScorePlayers:
    """Learns what is due to be learned anew, then scores the players; how many were told."""

    @workflow.run
    async def run(self) -> ScoredPlayers:
        """Run once."""
        await workflow.execute_activity(
            LEARN,
            Now(at=workflow.now()),
            result_type=LearnedScores,
            start_to_close_timeout=LEARN_LIMIT / 2,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRIES,
        )
        scored: ScoredPlayers = await workflow.execute_activity(
            SCORE,
            Now(at=workflow.now()),
            result_type=ScoredPlayers,
            start_to_close_timeout=LEARN_LIMIT / 2,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRIES,
        )
        return scored


@workflow.defn(name="FindDoubles", sandboxed=False)
class FindDoubles:
    """Searches for accounts that are likely one person's; how many tasks were opened."""

    @workflow.run
    async def run(self, shards: int) -> int:
        """Run once, in so many shares of the brands at a time."""
        searches = [
            workflow.execute_activity(
                FIND_DOUBLES,
                PlayerShare(number=number, of=shards),
                result_type=int,
                schedule_to_close_timeout=DOUBLES_LIMIT,
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                retry_policy=_RETRIES,
            )
            for number in range(shards)
        ]
        opened: list[int] = await asyncio.gather(*searches)
        return sum(opened)


MAINTENANCE_WORKFLOWS: Final = (
    ReconcileGrants,
    CompareGrants,
    ReconcileRuns,
    RearmPlayers,
    RetainRecords,
    ErasePlayers,
    WatchExperiments,
    ScorePlayers,
    FindDoubles,
)
