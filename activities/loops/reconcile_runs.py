"""Compares the books with Temporal: a run that is active here and gone there ends as `lost`, and frees its player.

Temporal loses a run when somebody terminates it, when its history grows too long, when its data is restored from a
backup or gone. Nothing else would ever notice: the player could not enter that journey again.
"""

import asyncio
import logging
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from prometheus_client import Counter, Gauge
from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError

from activities.clock import Clock
from activities.database import Database
from activities.intake.intake import Intake
from activities.loops.maintenance import heartbeating
from activities.run_delivery.dead_letters import has_untried_start
from activities.run_delivery.deliveries import begin_again, is_start_waiting
from activities.run_delivery.temporal_runs import InTemporal, Standing, concerns_everybody, look_at
from activities.run_effects import end_run
from activities.runs import CheckedRun, active_among, check_again, check_all, due_for_check, is_active
from activities.step_log import has_steps, record_steps
from workflows.background.maintenance import RECONCILE_RUNS, ComparedRuns
from workflows.effects import RUN_OVER, EffectInput, End

logger = logging.getLogger(__name__)

#: Outcome of a run that Temporal has no more, of what was begun anew because Temporal never had it, and what is told of
#: a run that Temporal had played while the books forgot it.
LOST: Final = "lost"
BEGUN_AGAIN: Final = "begun_again"
PLAYED: Final = "played"
AT_ONCE: Final = 50
#: How often a run is looked at, and how long after its end when it is still open then.
EVERY, AFTER_ITS_END, AGAIN_SOON = timedelta(days=1), timedelta(hours=1), timedelta(minutes=10)
#: Of so many runs looked at together more than half may not be gone: rather is it the wrong namespace.
FEWEST_TO_DOUBT: Final = 10

LOST_RUNS: Final = Counter("journeys_runs_lost_total", "Runs that Temporal lost and that were ended here.", ["journey"])
BEGUN: Final = Counter(
    "journeys_runs_begun_again_total", "Runs that Temporal never had and that were begun again.", ["journey"]
)
DOUBTED: Final = Gauge(
    "journeys_runs_missing_en_masse",
    "Active runs that Temporal did not have in the last look, too many to believe it; 0 when all is well.",
)


class RunReconciliation:
    """Looks at active runs, `rate` a second at most. Any number may do it side by side."""

    def __init__(
        self,
        database: Database,
        intake: Intake,
        clock: Clock,
        *,
        rate: int,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.database = database
        self.intake = intake
        self.clock = clock
        self.rate = rate
        self.pause = pause

    @activity.defn(name=RECONCILE_RUNS)
    async def reconcile(self) -> ComparedRuns:
        """Look at every run that is due."""
        async with heartbeating():
            return await self.compare(activity.client())

    async def compare(self, client: Client, *, accept_loss: bool = False) -> ComparedRuns:
        """Look at every run that is due, the longest waiting first.

        When most of many are gone nothing is ended and a person must look, unless `accept_loss` says that they have.
        Raises RPCError while Temporal does not answer; what was looked at before stays done.
        """
        found: Tally[str] = Tally()
        while runs := await self._due():
            seen = await _look_up(client, runs)
            await self._put_off_unread([run for run in runs if run.id not in seen])
            runs = [run for run in runs if run.id in seen]
            lost = await self._active([run for run in runs if seen[run.id].standing is not Standing.OPEN])
            missing = sum(seen[run_id].standing is not Standing.PLAYED for run_id in lost)
            if not accept_loss and len(runs) >= FEWEST_TO_DOUBT and 2 * missing > len(runs):
                await self._doubt(runs, missing)
                found["doubted"] += missing
                break
            DOUBTED.set(0)
            for run in runs:
                found[await self._settle(run, seen[run.id]) if run.id in lost else await self._put_off(run)] += 1
            await self.pause(len(runs) / self.rate)
        return ComparedRuns(**found)

    async def look_at_all_now(self) -> None:
        """Have every active run looked at, as after Temporal or Postgres was restored."""
        async with self.database.transaction() as connection:
            await check_all(connection, self.clock())

    async def _due(self) -> list[CheckedRun]:
        async with self.database.reading() as connection:
            return await due_for_check(connection, self.clock(), min(AT_ONCE, self.rate))

    async def _active(self, runs: Sequence[CheckedRun]) -> set[str]:
        """Which are active, asked after Temporal has answered: a run records its end here before it closes there."""
        async with self.database.reading() as connection:
            return await active_among(connection, [run.id for run in runs])

    async def _put_off(self, run: CheckedRun) -> str:
        """Look at an open run again later; once more soon where it should have ended."""
        now = self.clock()
        late = run.ends_at + AFTER_ITS_END <= now
        at = now + AGAIN_SOON if late else min(now + EVERY, run.ends_at + AFTER_ITS_END)
        async with self.database.transaction() as connection:
            await check_again(connection, [run.id], at)
        return "late" if late else "open"

    async def _put_off_unread(self, runs: Sequence[CheckedRun]) -> None:
        """Look again soon at runs of which Temporal told nothing that could be read; they keep nobody else waiting."""
        if runs:
            async with self.database.transaction() as connection:
                await check_again(connection, [run.id for run in runs], self.clock() + AGAIN_SOON)

    async def _settle(self, run: CheckedRun, seen: InTemporal) -> str:
        """End a run that is gone, or begin one that Temporal never had; what was done."""
        now = self.clock()
        async with self.database.transaction() as connection:
            async with self.intake.locked(connection, run.brand, [run.player_id], now) as players:
                if not await is_active(connection, run.id):
                    return "open"
                if seen.may_begin and (
                    await is_start_waiting(connection, run.id) or await has_untried_start(connection, run.id)
                ):
                    # It has not begun yet; whoever holds its start decides about it.
                    await check_again(connection, [run.id], now + AFTER_ITS_END)
                    return "open"
                state = players.states.get(run.player_id)
                known = None if state is None else state.runs.get(run.id)
                fit = seen.may_begin and known is not None and not known.stopping and now < run.ends_at
                if fit and known is not None and run.input is not None and not await has_steps(connection, run.id):
                    known.place = None
                    await begin_again(connection, run.brand, run.input, now)
                    told = EffectInput(**_whose(run), step="start")
                    await record_steps(connection, told, now, BEGUN_AGAIN)
                    await check_again(connection, [run.id], now + AFTER_ITS_END)
                    BEGUN.labels(run.journey).inc()
                    logger.warning("Run %s was not in Temporal and had done nothing; it begins again.", run.id)
                    return BEGUN_AGAIN
            outcome = LOST if seen.outcome in {None, RUN_OVER} else seen.outcome
            await end_run(connection, self.intake, End(**_whose(run), step="end", outcome=outcome), now)
        if outcome != LOST:
            logger.warning("Run %s ended as %s in a time that Postgres has lost; it is over here too.", run.id, outcome)
            return PLAYED
        LOST_RUNS.labels(run.journey).inc()
        logger.error("Run %s is gone from Temporal and never recorded its end; it is over here as lost.", run.id)
        return LOST

    async def _doubt(self, runs: Sequence[CheckedRun], missing: int) -> None:
        DOUBTED.set(missing)
        logger.error(
            "Temporal has none of %d of %d active runs, so none of them is ended. Is this the right namespace? If its "
            "data is gone for good, run `journeys reconcile --accept-loss`.",
            missing,
            len(runs),
        )
        async with self.database.transaction() as connection:
            await check_again(connection, [run.id for run in runs], self.clock() + AGAIN_SOON)


def _whose(run: CheckedRun) -> dict[str, Any]:
    return {"brand": run.brand, "player_id": run.player_id, "journey": run.journey, "run_id": run.id}


async def _look_up(client: Client, runs: Sequence[CheckedRun]) -> dict[str, InTemporal]:
    """What Temporal has of each, without those of which it cannot be read. Raises RPCError that concerns them all."""
    found = await asyncio.gather(*(look_at(client, run.id) for run in runs), return_exceptions=True)
    seen: dict[str, InTemporal] = {}
    for run, one in zip(runs, found, strict=True):
        if isinstance(one, InTemporal):
            seen[run.id] = one
        elif not isinstance(one, Exception) or (isinstance(one, RPCError) and concerns_everybody(one)):
            raise one
        else:
            logger.error("What Temporal has of run %s cannot be read; it is looked at later.", run.id, exc_info=one)
    return seen
