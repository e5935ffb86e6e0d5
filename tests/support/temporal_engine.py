"""A whole engine for one test: real Postgres, real effects, a Temporal whose clock jumps.

What production spreads over processes is here in one: intake, dispatcher, sweeper, worker. Only
the clock differs: effects read the moment at which Temporal says they began.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from temporalio import activity
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from activities.engine import WorkerEngine, worker_engine
from activities.settings import settings_from
from activities.tables import deliveries, grants, messages, runs, steps, tasks
from tests.support.engine import ZONE
from tests.support.workers import all_workers
from workflows import Event, PlayerRegistered
from workflows.forms import travelling
from workflows.run_protocol import Position

BRAND = "acme"
REACHABLE = {
    "first_name": "Olena",
    "phone": "+380441234567",
    "language": "uk",
    "timezone": ZONE,
    "country": "UA",
    "currency": "EUR",
    "opted_in": ["email", "sms", "push", "in_app"],
}
Row = dict[str, Any]


class Theatre:
    """One player on the engine: things happen, time passes, effects are seen."""

    def __init__(self, environment: WorkflowEnvironment, player_id: str, now: datetime) -> None:
        self.environment = environment
        self.player_id = player_id
        self.now = now
        self.events = 0
        #: The player's runs of each journey in the order they were entered, as of the last delivery.
        self.run_ids: dict[str, list[str]] = {}

    def attach(self, built: WorkerEngine) -> None:
        """Take the engine whose clock this is."""
        self.engine = built
        self.dispatcher = built.dispatcher(self.environment.client)
        self.sweeper = built.sweeper()

    def clock(self) -> datetime:
        """Virtual time: of the effect under way, else of the test."""
        return activity.info().started_time if activity.in_activity() else self.now

    async def registers(self, *, mode: Any = "live", **facts: Any) -> None:
        """The player registers, reachable and opted in everywhere unless `facts` says otherwise."""
        email = f"{self.player_id}@synthetic.example"
        await self.happens(PlayerRegistered, mode=mode, **REACHABLE | {"email": email} | facts)

    async def happens(
        self, kind: type[Event], /, *, mode: Any = "live", times: int = 1, ago: timedelta = timedelta(0), **data: Any
    ) -> None:
        """Something happened to the player; what it causes reaches Temporal before this returns."""
        batch = []
        for _ in range(times):
            self.events += 1
            event_id = f"{self.player_id}-{self.events}"
            own = {kind.unique_field: event_id} if kind.unique_field else {}
            envelope: dict[str, Any] = {"event_id": event_id, "event_source": "/test", "occurred_at": self.now - ago}
            event = kind(**envelope | own | data)
            batch.append((self.player_id, event))
        await self.engine.intake.ingest(BRAND, batch, self.now, mode=mode)
        await self.deliver()

    async def deliver(self) -> None:
        """Hand every delivery to Temporal."""
        while await self.dispatcher.run_once():
            pass
        self.run_ids = {}
        for run in await self.rows(runs):
            self.run_ids.setdefault(run["journey"], []).append(run["id"])

    async def advance(self, duration: timedelta) -> None:
        """Let time pass: timers fire, effects happen, ticks are swept at the end."""
        await self.environment.sleep(duration)
        self.now = await self.environment.get_current_time()
        while await self.sweeper.run_once():
            pass
        await self.deliver()

    async def ends(self, journey: str, entry: int = 1) -> str:
        """Let time pass, a day at a time and a quarter of a year at most, until the run is over; its outcome."""
        handle = self.handle(journey, entry)
        for _ in range(90):
            if (await handle.describe()).close_time is not None:
                break
            await self.advance(timedelta(days=1))
        outcome: str = await handle.result()
        return outcome

    async def answers(self, form: str, answer: Mapping[str, Any]) -> None:
        """A person fills in the open task of this form."""
        async with (
            self.engine.database.transaction() as connection,
            self.engine.intake.locked(connection, BRAND, [self.player_id], self.now) as players,
        ):
            task = (
                await connection.execute(
                    sa.update(tasks)
                    .where(tasks.c.player_id == self.player_id, tasks.c.form == form, tasks.c.state == "open")
                    .values(state="completed", answer=dict(answer), closed_at=self.now)
                    .returning(tasks.c.run_id, tasks.c.step, tasks.c.journey)
                )
            ).one()
            hears = travelling(answer, self.engine.registry.forms[task.journey][form], task.step)
            players.answer(self.player_id, task.run_id, task.step, hears)
        await self.deliver()

    def handle(self, journey: str, entry: int = 1) -> WorkflowHandle[Any, str]:
        """The run of the player's `entry`-th entry into a journey."""
        return self.environment.client.get_workflow_handle(self.run_ids[journey][entry - 1], result_type=str)

    async def position(self, journey: str) -> Position:
        """Where the run stands."""
        position: Position = await self.handle(journey).query("position", result_type=Position)
        return position

    # ---- what was seen -----------------------------------------------------------------------

    async def sent(self) -> list[str]:
        """`template/channel` of every message handed over, oldest first."""
        return [f"{m['template']}/{m['channel']}" for m in await self.rows(messages) if m["status"] == "sent"]

    async def suppressed(self) -> dict[str, str]:
        """`template/channel` of every message that was not, and why."""
        return {
            f"{m['template']}/{m['channel']}": m["reason"] for m in await self.rows(messages) if m["status"] != "sent"
        }

    async def granted(self) -> list[str]:
        """Kinds of the rewards the player has, oldest first."""
        return [g["kind"] for g in await self.rows(grants) if g["status"] == "confirmed"]

    async def asked(self) -> list[tuple[str, str, str]]:
        """`(form, team, state)` of every task, oldest first."""
        return [(t["form"], t["team"], t["state"]) for t in await self.rows(tasks)]

    async def entered(self) -> dict[str, tuple[str, str, str | None]]:
        """Arm, state and outcome of the newest run of each journey."""
        return {r["journey"]: (r["arm"], r["state"], r["outcome"]) for r in await self.rows(runs)}

    async def story(self, journey: str) -> list[str]:
        """`step: outcome` of every line of a journey's runs, in their order."""
        found = await self.rows(steps, order="seq")
        return [f"{s['step']}: {s['outcome']}" for s in found if s["run_id"].startswith(f"{journey}:")]

    async def rows(self, table: sa.Table, order: str | None = None) -> list[Row]:
        """The player's rows of a table, in the order they came about."""
        by = {"messages": "created_at", "grants": "created_at", "tasks": "created_at", "runs": "entered_at"}
        async with self.engine.database.reading() as connection:
            found = await connection.execute(
                sa.select(table)
                .where(table.c.player_id == self.player_id)
                .order_by(table.c[order or by[table.name]], *table.primary_key.columns)
            )
            return [dict(row._mapping) for row in found]

    async def undelivered(self) -> int:
        """How many deliveries Temporal has not taken."""
        async with self.engine.database.reading() as connection:
            count: int = (await connection.execute(sa.select(sa.func.count()).select_from(deliveries))).scalar_one()
            return count


@asynccontextmanager
async def theatre(
    environment: WorkflowEnvironment, player_id: str, variables: Mapping[str, str], now: datetime | None = None
) -> AsyncIterator[Theatre]:
    """A theatre for one player, its worker running. `now` is a moment to wait for first."""
    here = await environment.get_current_time()
    if now is not None and now > here:
        await environment.sleep(now - here)
        here = await environment.get_current_time()
    stage = Theatre(environment, player_id, here)
    async with worker_engine(settings_from(dict(variables)), stage.clock) as built:
        stage.attach(built)
        async with all_workers(environment.client, built, workflow_failure_exception_types=[Exception]):
            yield stage
