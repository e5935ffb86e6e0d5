"""What people decided about a journey of a brand: closed to newcomers, held at its next effects, or stopped.

The tables `journey_controls`, `journey_control_history` and `held_runs`, which only this module writes. An effect asks
in the transaction that would do it, so a hold is in force as soon as it is committed.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.step_log import HELD, record_steps
from activities.tables import held_runs, journey_control_history, journey_controls, runs
from workflows.effects import EffectInput, Held

ControlAction = Literal["close", "open", "hold", "resume", "stop"]

#: How long a process may take to notice that a journey was closed, in seconds.
READ_EVERY: Final = 0.5
_BEGINNING: Final = (datetime.fromisoformat("1970-01-01T00:00:00+00:00"), "")
#: The type of the error that such an effect raises.
JOURNEY_HELD: Final = "JourneyHeld"
#: When an effect of a run that an older release plays, which knows no hold, is tried again.
TRY_AGAIN_AFTER: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Controls:
    """Whether a journey is closed and whether it is held, in one brand."""

    closed: bool = False
    held: bool = False


class ControlChange(NamedTuple):
    """Somebody's decision about a journey, as the history keeps it. `job_id` names the bulk job that carries it out."""

    action: ControlAction
    actor: str
    reason: str
    at: datetime
    job_id: str | None = None


class HeldRun(NamedTuple):
    """A run that waits for the end of a hold."""

    run_id: str
    player_id: str
    since: datetime


#: What an action makes of the controls; None leaves one as it is.
_MAKES: Final[dict[ControlAction, tuple[bool | None, bool | None]]] = {
    "close": (True, None),
    "open": (False, None),
    "hold": (None, True),
    "resume": (None, False),
    "stop": (True, None),
}


async def controls_of(connection: AsyncConnection, brand: str, journey: str, *, lock: bool = False) -> Controls:
    """The controls of a journey. With `lock` nobody changes them before the transaction ends."""
    if lock:
        new = insert(journey_controls).values(brand=brand, journey=journey)
        await connection.execute(new.on_conflict_do_nothing())
    query = select(journey_controls.c.closed, journey_controls.c.held).where(
        journey_controls.c.brand == brand, journey_controls.c.journey == journey
    )
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    return Controls() if row is None else Controls(*row)


async def all_controls(connection: AsyncConnection, brand: str) -> dict[str, Controls]:
    """The controls of every journey of a brand about which somebody ever decided."""
    mine = journey_controls.c
    rows = await connection.execute(select(mine.journey, mine.closed, mine.held).where(mine.brand == brand))
    return {row.journey: Controls(row.closed, row.held) for row in rows}


async def apply_control(
    connection: AsyncConnection, brand: str, journey: str, change: ControlChange, request: str | None = None
) -> Controls:
    """Carry out a decision on controls that the transaction has locked, and write it into the history.

    One that changes nothing leaves no line, except for a stop, which always does something. `request` is what makes
    the decision the same one when it is sent again.
    """
    before = await controls_of(connection, brand, journey, lock=True)
    closed, held = _MAKES[change.action]
    after = Controls(before.closed if closed is None else closed, before.held if held is None else held)
    if after == before and change.action != "stop":
        return before
    mine = (journey_controls.c.brand == brand, journey_controls.c.journey == journey)
    await connection.execute(update(journey_controls).where(*mine).values(closed=after.closed, held=after.held))
    line = {"brand": brand, "journey": journey, "request": request, **change._asdict()}
    await connection.execute(insert(journey_control_history).values(line))
    return after


async def find_change(connection: AsyncConnection, brand: str, request: str) -> tuple[str, ControlChange] | None:
    """The decision that came with this idempotency key, and the journey it was about; None if there is none."""
    lines = journey_control_history.c
    query = select(lines.journey, *(lines[name] for name in ControlChange._fields))
    row = (await connection.execute(query.where(lines.brand == brand, lines.request == request))).one_or_none()
    return None if row is None else (row[0], ControlChange(*row[1:]))


async def history_of(connection: AsyncConnection, brand: str, journey: str, limit: int) -> Sequence[ControlChange]:
    """The latest decisions about a journey, the newest first."""
    lines = journey_control_history.c
    query = select(*(lines[name] for name in ControlChange._fields))
    mine = query.where(lines.brand == brand, lines.journey == journey).order_by(lines.id.desc()).limit(limit)
    return [ControlChange(*row) for row in await connection.execute(mine)]


# ---- effects ------------------------------------------------------------------------------------


async def held_by(connection: AsyncConnection, request: EffectInput, now: datetime) -> Held | None:
    """The answer of an effect whose journey is held, to be given instead of doing it; None when it may be done.

    To be asked in the transaction that would do it, after whatever lock it waits for. When it is held, the run is
    noted as one that must be told when it may go on.

    Raises ApplicationError for a run of an older release, which would not understand the answer: it tries again.
    """
    if not (await controls_of(connection, request.brand, request.journey)).held:
        return None
    # Whoever ends the hold waits for us here, and so finds this run noted; or we see that it has ended.
    mine = (journey_controls.c.brand == request.brand, journey_controls.c.journey == request.journey)
    still = await connection.scalar(select(journey_controls.c.held).where(*mine).with_for_update(read=True))
    if not still:
        return None
    if not request.knows_hold:
        raise ApplicationError(
            f"{request.journey} is held; this is tried again until it is resumed.",
            type=JOURNEY_HELD,
            next_retry_delay=TRY_AGAIN_AFTER,
            category=ApplicationErrorCategory.BENIGN,
        )
    noted = insert(held_runs).values(
        run_id=request.run_id,
        brand=request.brand,
        journey=request.journey,
        player_id=request.player_id,
        step=request.step,
        since=now,
    )
    await connection.execute(noted.on_conflict_do_update(index_elements=["run_id"], set_={"step": request.step}))
    await record_steps(connection, request, now, HELD)
    return Held()


async def next_held(
    connection: AsyncConnection, brand: str, journey: str, limit: int, after: tuple[datetime, str] = _BEGINNING
) -> list[HeldRun]:
    """Runs of a journey that wait for the end of a hold, the longest waiting first, behind `after`: since when, run."""
    row = held_runs.c
    behind = (row.since >= after[0], tuple_(row.since, row.run_id) > after)
    query = select(row.run_id, row.player_id, row.since).where(row.brand == brand, row.journey == journey, *behind)
    found = await connection.execute(query.order_by(row.since, row.run_id).limit(limit))
    return [HeldRun(*one) for one in found]


async def forget_held(connection: AsyncConnection, run_ids: Sequence[str]) -> None:
    """Forget runs that have been told to go on."""
    await connection.execute(delete(held_runs).where(held_runs.c.run_id.in_(run_ids)))


async def count_held(connection: AsyncConnection, brand: str, journey: str) -> int:
    """How many runs of a journey wait for the end of a hold."""
    waiting = select(func.count()).select_from(held_runs.join(runs, runs.c.id == held_runs.c.run_id))
    mine = (held_runs.c.brand == brand, held_runs.c.journey == journey, runs.c.state == "active")
    return (await connection.scalar(waiting.where(*mine))) or 0


# ---- intake -------------------------------------------------------------------------------------


class ClosedJourneys:
    """Which journeys let nobody in, as this process last saw it: half a second ago at most."""

    def __init__(self, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._read_at: float | None = None
        self._closed: dict[str, frozenset[str]] = {}
        self._reading = asyncio.Lock()

    async def of(self, connection: AsyncConnection, brand: str) -> frozenset[str]:
        """The closed journeys of a brand. Costs a query each half second; raises what the database raises."""
        if self._stale():
            async with self._reading:
                if self._stale():
                    await self._read(connection)
        return self._closed.get(brand, frozenset())

    def _stale(self) -> bool:
        return self._read_at is None or self._timer() - self._read_at >= READ_EVERY

    async def _read(self, connection: AsyncConnection) -> None:
        began, row = self._timer(), journey_controls.c
        closed = (await connection.execute(select(row.brand, row.journey).where(row.closed))).all()
        brands = {one.brand for one in closed}
        self._closed = {brand: frozenset(one.journey for one in closed if one.brand == brand) for brand in brands}
        self._read_at = began
