"""Releases that are played beside the live ones with every effect withheld, and what they would have done.

The tables `shadows`, `shadow_runs` and `shadow_steps`, which only this module writes. A shadow run stands in none of
the tables of live runs: whatever counts, compares, holds, stops or forgets those never meets it.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import orjson
from sqlalchemy import bindparam, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from activities.database import insert_rows
from activities.run_delivery import deliveries
from activities.run_delivery.deliveries import DeliveryRow
from activities.tables import shadow_runs, shadow_steps, shadows
from workflows.effects import Done, EffectInput, End
from workflows.json_object import JsonObject
from workflows.player_state.decisions import ShadowStart
from workflows.shadows import NO_SHADOWS, SHADOW_STOPPED, STOP_NUMBER, Shadow, Shadows
from workflows.withheld import WouldBe

#: How long a process may take to notice that a shadow was started or stopped, in seconds.
READ_EVERY: Final = 0.5


class ShadowRow(NamedTuple):
    """A row of `shadows`: a release that is or was shadowed in a brand, by whom and since when."""

    id: int
    brand: str
    journey: str
    version: int
    percent: float
    started_by: str
    started_at: datetime
    stopped_by: str | None
    stopped_at: datetime | None


class ShadowStep(NamedTuple):
    """What an effect of a shadow run would have come to, and what the run was answered."""

    step: str
    at: datetime
    outcome: str
    detail: JsonObject
    answer: JsonObject


_COLUMNS: Final = [shadows.c[name] for name in ShadowRow._fields]
_STEP_COLUMNS: Final = [shadow_steps.c[name] for name in ShadowStep._fields]


async def newest_shadow(
    connection: AsyncConnection, brand: str, journey: str, *, lock: bool = False
) -> ShadowRow | None:
    """The shadow of a journey that was started last, whether it is under way or not; None if there was none."""
    mine = select(*_COLUMNS).where(shadows.c.brand == brand, shadows.c.journey == journey)
    newest = mine.order_by(shadows.c.id.desc()).limit(1)
    # Whoever begins a shadow run must not wait for who stops the shadow: intake holds players meanwhile.
    row = (await connection.execute(newest.with_for_update(key_share=True) if lock else newest)).one_or_none()
    return None if row is None else ShadowRow(*row)


async def start_shadow(
    connection: AsyncConnection, brand: str, shadow: Mapping[str, object], actor: str, now: datetime
) -> ShadowRow | None:
    """Shadow a release; `shadow` says `journey`, `version` and `percent`. None while another one is under way."""
    values = {"brand": brand, **shadow, "started_by": actor, "started_at": now}
    made = insert(shadows).values(values).on_conflict_do_nothing().returning(*_COLUMNS)
    row = (await connection.execute(made)).one_or_none()
    return None if row is None else ShadowRow(*row)


async def stop_shadow(connection: AsyncConnection, shadow: ShadowRow, actor: str, now: datetime) -> ShadowRow:
    """Begin no further run of a shadow. The caller has locked it, and has those under way ended.

    They do nothing more from the moment of the commit; `ShadowStops` ends them in the books and tells each, or it would
    wait for whatever it waits for.
    """
    stopped = update(shadows).where(shadows.c.id == shadow.id).values(stopped_by=actor, stopped_at=now)
    return ShadowRow(*(await connection.execute(stopped.returning(*_COLUMNS))).one())


async def next_shadow_runs(
    connection: AsyncConnection, shadow_id: int, after: str, limit: int
) -> list[tuple[str, str]]:
    """Run and player of the runs of a shadow that are under way, by their ids, behind `after`."""
    mine = (shadow_runs.c.shadow_id == shadow_id, shadow_runs.c.ended_at.is_(None), shadow_runs.c.id > after)
    found = select(shadow_runs.c.id, shadow_runs.c.player_id).where(*mine).order_by(shadow_runs.c.id).limit(limit)
    return [(row.id, row.player_id) for row in await connection.execute(found)]


async def end_stopped_runs(connection: AsyncConnection, brand: str, run_ids: Sequence[str], now: datetime) -> int:
    """End shadow runs whose shadow was stopped, and have each told so; how many were under way."""
    ended = await connection.execute(_END_RUNS, {"runs": [*run_ids], "now": now, "outcome": SHADOW_STOPPED})
    told = [DeliveryRow.stop(run_id, STOP_NUMBER, SHADOW_STOPPED) for run_id in ended.scalars()]
    if told:
        await connection.execute(deliveries.INSERT, {"brand": brand, "rows": orjson.dumps(told).decode()})
        deliveries.wake_dispatchers(connection)
    return len(told)


async def brands_shadowing(connection: AsyncConnection, journey: str, version: int) -> list[str]:
    """The brands in which a release is shadowed, or was and a run of it has yet to be ended or told that it is over."""
    rows = await connection.execute(_SHADOWING, {"journey": journey, "version": version})
    return [str(brand) for brand in rows.scalars()]


_SHADOWING: Final = text(
    """
    SELECT DISTINCT s.brand FROM shadows s
    WHERE s.journey = :journey AND s.version = :version AND (
        s.stopped_at IS NULL
        OR EXISTS (SELECT FROM shadow_runs r
                   WHERE r.shadow_id = s.id AND r.ended_at IS NULL AND r.ends_at > now() - interval '1 day')
        OR EXISTS (SELECT FROM shadow_runs r JOIN deliveries d ON d.run_id = r.id WHERE r.shadow_id = s.id))
    ORDER BY 1
    """
)


# ---- runs -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewShadowRun:
    """A row for `INSERT_RUNS`."""

    id: str
    shadow_id: int
    player_id: str
    beside: str
    ends_at: datetime

    @classmethod
    def of(cls, player_id: str, start: ShadowStart) -> "NewShadowRun":
        """The shadow run that begins beside a live one."""
        live = start.beside
        return cls(start.run_id, start.shadow_id, player_id, live.run_id, live.ends_at)


INSERT_RUNS: Final = text(
    """
    INSERT INTO shadow_runs (id, shadow_id, brand, player_id, beside, ends_at)
    SELECT id, shadow_id, :brand, player_id, beside, ends_at
    FROM json_to_recordset(CAST(:rows AS json))
      AS t (id text, shadow_id bigint, player_id text, beside text, ends_at timestamptz)
    """
)


# In the order of their ids, as whoever else locks several of them.
_END_RUNS: Final = text(
    """
    UPDATE shadow_runs SET ended_at = :now, outcome = :outcome
    WHERE id IN (SELECT id FROM shadow_runs WHERE id = ANY(:runs) AND ended_at IS NULL ORDER BY id FOR NO KEY UPDATE)
    RETURNING id
    """
).bindparams(bindparam("runs", type_=ARRAY(Text)))


async def hold_shadow_run(connection: AsyncConnection, run_id: str) -> bool:
    """Keep a shadow run from ending until the transaction does; False for one that is over, or whose shadow is."""
    going_on = (shadow_runs.c.id == run_id, shadow_runs.c.ended_at.is_(None), shadows.c.stopped_at.is_(None))
    held = select(shadow_runs.c.id).join(shadows).where(*going_on).with_for_update(of=shadow_runs)
    return (await connection.execute(held)).one_or_none() is not None


async def end_shadow_run(connection: AsyncConnection, end: End, now: datetime) -> None:
    """Record the end of a shadow run with the last lines of its story, unless one is recorded."""
    mine = (shadow_runs.c.id == end.run_id, shadow_runs.c.ended_at.is_(None))
    ended = update(shadow_runs).where(*mine).values(ended_at=now, outcome=end.outcome).returning(shadow_runs.c.id)
    if (await connection.execute(ended)).one_or_none() is not None:
        await record_shadow_step(connection, end, WouldBe(end.outcome, Done(), end.detail), now)


# ---- steps ----------------------------------------------------------------------------------------


async def steps_of(connection: AsyncConnection, run_id: str, step: str) -> list[ShadowStep]:
    """What the effects of a step would have come to so far."""
    mine = (shadow_steps.c.run_id == run_id, shadow_steps.c.line == 0, shadow_steps.c.step == step)
    return [ShadowStep(*row) for row in await connection.execute(select(*_STEP_COLUMNS).where(*mine))]


async def steps_of_verb(connection: AsyncConnection, run_id: str, verb: str) -> list[ShadowStep]:
    """What the effects of a verb in a shadow run would have come to."""
    mine = (shadow_steps.c.run_id == run_id, shadow_steps.c.line == 0, shadow_steps.c.step.startswith(f"{verb}:"))
    return [ShadowStep(*row) for row in await connection.execute(select(*_STEP_COLUMNS).where(*mine))]


async def record_shadow_step(
    connection: AsyncConnection, request: EffectInput, would_be: WouldBe, now: datetime
) -> None:
    """Write what an effect would have come to, and the lines that came with it, once however often this is tried."""
    common: JsonObject = {"run_id": request.run_id}
    lines = [
        {**common, "step": s.step, "line": s.line, "at": s.at, "outcome": s.outcome, "detail": s.detail}
        for s in request.story
    ]
    if lines:
        await insert_rows(connection, insert(shadow_steps).on_conflict_do_nothing(), lines)
    told: JsonObject = {"detail": {**would_be.detail}, "answer": would_be.answer.model_dump(mode="json")}
    own = {"step": request.step, "line": 0, "at": now, "outcome": would_be.outcome}
    written = insert(shadow_steps).values(**common, **own, **told)
    # A message that waits for another morning has been decided on more channels by then.
    key = ["run_id", "step", "line", "outcome"]
    await connection.execute(written.on_conflict_do_update(index_elements=key, set_=told))


# ---- intake ---------------------------------------------------------------------------------------


class RunningShadows:
    """Which releases are shadowed, as this process last saw it: half a second ago at most."""

    def __init__(self, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._read_at: float | None = None
        self._running: dict[str, dict[str, Shadow]] = {}
        self._reading = asyncio.Lock()

    async def of(self, connection: AsyncConnection, brand: str) -> Shadows:
        """The shadows of a brand by journey. Costs a query each half second; raises what the database raises."""
        if self._stale():
            async with self._reading:
                if self._stale():
                    await self._read(connection)
        return self._running.get(brand, NO_SHADOWS)

    def _stale(self) -> bool:
        return self._read_at is None or self._timer() - self._read_at >= READ_EVERY

    async def _read(self, connection: AsyncConnection) -> None:
        began, row = self._timer(), shadows.c
        columns = (row.brand, row.id, row.journey, row.version, row.percent)
        running: dict[str, dict[str, Shadow]] = {}
        for brand, *shadow in await connection.execute(select(*columns).where(row.stopped_at.is_(None))):
            one = Shadow(*shadow)
            running.setdefault(brand, {})[one.journey] = one
        self._running, self._read_at = running, began


#: Forgets the steps of up to `:limit` shadow runs that had to be over before `:before`, and then those runs.
FORGET_STEPS: Final = text(
    """
    DELETE FROM shadow_steps WHERE run_id = ANY(ARRAY(
        SELECT id FROM shadow_runs WHERE ends_at < :before ORDER BY ends_at, id LIMIT :limit))
    """
)
FORGET_RUNS: Final = text(
    """
    DELETE FROM shadow_runs WHERE id = ANY(ARRAY(
        SELECT id FROM shadow_runs WHERE ends_at < :before ORDER BY ends_at, id LIMIT :limit))
    """
)
#: Erases the steps of up to `:limit` shadow runs of a player that are over, and then those runs.
ERASE_STEPS: Final = text(
    """
    DELETE FROM shadow_steps WHERE run_id = ANY(ARRAY(
        SELECT id FROM shadow_runs WHERE brand = :brand AND player_id = :player AND ended_at IS NOT NULL LIMIT :limit))
    """
)
ERASE_RUNS: Final = text(
    """
    DELETE FROM shadow_runs WHERE id = ANY(ARRAY(
        SELECT id FROM shadow_runs s WHERE brand = :brand AND player_id = :player AND ended_at IS NOT NULL
          AND NOT EXISTS (SELECT FROM shadow_steps t WHERE t.run_id = s.id) LIMIT :limit))
    """
)
