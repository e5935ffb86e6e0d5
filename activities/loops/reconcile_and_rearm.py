"""Scheduled maintenance: reconciles grants in doubt, and rearms players under the present rules."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from prometheus_client import Counter
from sqlalchemy import text
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.clock import Clock
from activities.database import Database
from activities.intake.intake import Intake, LockedPlayers
from activities.loops.sweeper import for_each
from activities.processes import Processes
from activities.rewards import Grants
from workflows.background.reconcile_and_rearm import HEARTBEAT_TIMEOUT, REARM, RECONCILE, Rearmed

REARM_AT_ONCE: Final = 100

REARMED: Final = Counter("journeys_rearm_players_total", "Players looked at under the present rules.", ["became"])


class Maintenance:
    """The activities of scheduled maintenance. `rate` is how many players a second are rearmed."""

    def __init__(
        self,
        database: Database,
        intake: Intake,
        grants: Grants,
        clock: Clock,
        *,
        rate: int,
        processes: Processes | None = None,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.database = database
        self.intake = intake
        self.grants = grants
        self.clock = clock
        self.processes = processes or Processes(database, intake.rules)
        self.rate = rate
        self.batch = min(REARM_AT_ONCE, rate)
        self.pause = pause

    @property
    def activities(self) -> Sequence[Callable[..., Any]]:
        """What a worker must be given."""
        return [self.reconcile, self.rearm]

    @activity.defn(name=RECONCILE)
    async def reconcile(self) -> int:
        """Settle grants in doubt until a pass settles none; how many were settled."""
        settled = 0
        async with heartbeating():
            while count := await self.grants.reconcile_once():
                settled += count
        return settled

    @activity.defn(name=REARM)
    async def rearm(self) -> Rearmed:
        """Look at every player by id; what is unchanged is not written.

        It goes on behind the last batch that Temporal heard of, so a few players are looked at twice after a
        crash, which changes nothing. Players who come meanwhile come under the present rules anyway.
        """
        details = activity.info().heartbeat_details
        so_far = Rearmed.model_validate(details[0]) if details else Rearmed()
        while batch := await self._next_players(so_far):
            if activity.is_worker_shutdown():
                raise ApplicationError("This worker ends; another one goes on from here.", type="WorkerEnds")
            so_far = await self._rearm(batch, so_far)
            activity.heartbeat(so_far)
            await self.pause(len(batch) / self.rate)
        return so_far

    async def _next_players(self, so_far: Rearmed) -> list[tuple[str, str]]:
        parameters = {"brand": so_far.brand, "id": so_far.player_id, "limit": self.batch}
        async with self.database.reading() as connection:
            return [(row.brand, row.id) for row in await connection.execute(_NEXT_PLAYERS, parameters)]

    async def _rearm(self, batch: Sequence[tuple[str, str]], so_far: Rearmed) -> Rearmed:
        """One batch, a transaction a brand."""
        now, failed = self.clock(), 0
        unchanged: set[tuple[str, str]] = set()
        async with self.database.reading() as connection:
            elsewhere = (await self.processes.look(connection)).moments

        def rearm_one(brand: str, players: LockedPlayers, player_id: str) -> None:
            state = players.states[player_id]
            before = state.to_json()
            decisions = state.rearm(self.intake.rules, now, players.failures, elsewhere=elsewhere)
            players.record(player_id, decisions)
            if not decisions and state.to_json() == before:
                unchanged.add((brand, player_id))
                del players.states[player_id]

        for brand in sorted({brand for brand, _ in batch}):
            ids = [player_id for of, player_id in batch if of == brand]
            async with self.database.transaction() as connection:
                failed += len(await for_each(connection, self.intake, brand, ids, now, partial(rearm_one, brand)))
        changed = len(batch) - len(unchanged) - failed
        for became, count in (("changed", changed), ("unchanged", len(unchanged)), ("failed", failed)):
            REARMED.labels(became).inc(count)
        brand, player_id = batch[-1]
        return Rearmed(
            brand=brand,
            player_id=player_id,
            seen=so_far.seen + len(batch),
            changed=so_far.changed + changed,
            failed=so_far.failed + failed,
        )


@asynccontextmanager
async def heartbeating() -> AsyncIterator[None]:
    """Tell Temporal that we live, for as long as the block lasts."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(HEARTBEAT_TIMEOUT.total_seconds() / 3)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()


_NEXT_PLAYERS = text("SELECT brand, id FROM players WHERE (brand, id) > (:brand, :id) ORDER BY brand, id LIMIT :limit")
