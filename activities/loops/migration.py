"""Moves the runs of a journey to another release of it, a batch at a time.

Each run is told in one transaction under its player's lock: the row of the run and the player's name the release, the
order is written, and the past that only this release waits for is delivered behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import ClassVar, Final, NamedTuple

from sqlalchemy import ColumnElement, and_, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities import bulk_jobs
from activities.bulk_jobs import Job, insert_job, set_total
from activities.intake.intake import Intake
from activities.intake.run_catch_up import Past, past_events
from activities.loops.bulk_work import Batch, BulkWork, Meant, Obstacle
from activities.processes import Processes
from activities.step_log import record_steps
from activities.tables import HAS_WORKFLOW, players, runs
from workflows.background.bulk_job import BulkJobKind
from workflows.declaration import Journey, version_name
from workflows.effects import EffectInput
from workflows.events import Event
from workflows.player_state.run_migration import migrate
from workflows.player_state.state import PlayerState

MIGRATE: Final[BulkJobKind] = "migrate"
#: So many seconds' worth of runs may be on their way, and always this many. Seven at a time of 50 a second made live
#: runs wait seven times as long on a machine that could not move 50; one at a time, half as long again.
IN_TIME_S, FEW = 0.02, 1
#: Seconds after which a run that has not moved is taken to be held, or in the middle of something long.
GIVEN_UP_AFTER_S: Final = 3.0


class MovingRuns(NamedTuple):
    """The runs that a migration means, of one version that they come from."""

    version: int
    runs: int
    oldest: datetime


async def forecast_migration(connection: AsyncConnection, brand: str, journey: str, version: int) -> list[MovingRuns]:
    """Count what a migration would move now, by the version that the runs are on."""
    chosen = select(runs.c.version, func.count(), func.min(runs.c.entered_at)).where(*_meant(brand, journey, version))
    found = await connection.execute(chosen.group_by(runs.c.version).order_by(runs.c.version))
    return [MovingRuns(*row) for row in found]


async def begin_migration(connection: AsyncConnection, job: Job, now: datetime) -> Job | None:
    """Insert a job that moves the runs that are on other versions; None when there is one of its id.

    Wake it afterwards. It takes the place of one that moves them elsewhere.
    """
    await bulk_jobs.one_at_a_time(connection, job.brand, MIGRATE, job.subject)
    before = await bulk_jobs.running(connection, job.brand, MIGRATE, job.subject)
    if not await insert_job(connection, job):
        return None
    await bulk_jobs.cancel(connection, before, now)
    meant = _meant(job.brand, job.subject, int(job.detail["version"]))
    counted = await connection.scalar(select(func.count()).select_from(runs).where(*meant))
    return await set_total(connection, job, counted or 0)


async def unready(
    connection: AsyncConnection, processes: Processes, intake: Intake, journey: str, version: int
) -> str | None:
    """Why runs of a journey cannot move to a version yet; None when every living process knows it."""
    known = intake.rules.journeys.get(journey)
    name = version_name(journey, version)
    here = known is not None and known.knows(version)
    others = await processes.without(connection, name)
    if here and not others:
        return None
    count = others + (not here)
    return f"{count} living process{' does' if count == 1 else 'es do'} not know {name} yet"


@dataclass
class OnTheirWay:
    """The runs of one job that were told and may not have moved: how many there may be, and since when each."""

    most: int
    since: dict[str, float] = field(default_factory=dict)


class RunMoves(BulkWork):
    """Tells the runs that a migration means to move. One that is told twice, or is ending, is left alone.

    A run that moves is played from its top, before live runs that wait for the same workers. So they are told one by
    one up to 50 a second, and none while the one before is on its way: where the workers cannot keep up, it goes as
    slowly as they do. Whoever has the workers for more asks for more a second, and more are then on their way.
    """

    kind: ClassVar[BulkJobKind] = MIGRATE
    batches_a_second: ClassVar[int] = 50

    @cached_property
    def _on_their_way(self) -> dict[str, "OnTheirWay"]:
        """By job."""
        return {}

    async def obstacle(self, connection: AsyncConnection, job: Job) -> Obstacle | None:
        """That a living process does not know the version: it would put off the run, or judge its events by another."""
        version = int(job.detail["version"])
        why = await unready(connection, self.processes, self.intake, job.subject, version)
        return None if why is None else Obstacle(why)

    async def next(self, connection: AsyncConnection, job: Job, limit: int) -> Sequence[Meant]:
        """The next active runs of other versions, in the order in which they began."""
        at, _, run_id = job.cursor.partition(" ")
        after = {"at": datetime.fromisoformat(at) if at else _BEGINNING, "run": run_id}
        whose = {"brand": job.brand, "journey": job.subject, "version": int(job.detail["version"]), "limit": limit}
        found = await connection.execute(_NEXT, whose | after)
        return [Meant(row.player_id, f"{row.entered_at.isoformat()} {row.id}", row.id) for row in found]

    async def behind(self, job_id: str) -> bool:
        """Whether too many of the runs that were told do not play the release yet."""
        told = self._on_their_way.get(job_id)
        if told is None:
            return False
        since = self.pacing.timer() - GIVEN_UP_AFTER_S
        named = [run_id for run_id, at in told.since.items() if at > since]
        moving = select(runs.c.id).where(runs.c.id.in_(named), runs.c.moving_from.is_not(None))
        async with self.database.reading() as connection:
            left = (await connection.scalars(moving)).all() if named else []
        told.since = {run_id: told.since[run_id] for run_id in left}
        return len(left) >= told.most

    async def tidy(self, _connection: AsyncConnection, job: Job, done: Sequence[Meant]) -> None:
        """Remember whom a batch has told, and nobody once the job is done."""
        if not done:
            self._on_their_way.pop(job.id, None)
            return
        most = max(FEW, int(int(job.detail["per_second"]) * IN_TIME_S))
        told = self._on_their_way.setdefault(job.id, OnTheirWay(most))
        told.since |= dict.fromkeys([one.run_id for one in done], self.pacing.timer())

    async def prepare(self, batch: Batch, some: Sequence[Meant]) -> None:
        """Read what these runs have not heard for want of it."""
        journey, version = batch.players.rules.journeys[batch.job.subject], int(batch.job.detail["version"])
        wanted = []
        for one in some:
            state = batch.players.states.get(one.player_id)
            run = None if state is None else state.runs.get(one.run_id)
            if run is not None:
                since = datetime.fromisoformat(one.cursor.partition(" ")[0])
                wanted.append(Past(one.run_id, one.player_id, since, run.unheard(journey, version)))
        batch.past.clear()
        batch.past.update(await past_events(batch.connection, batch.job.brand, wanted))

    async def do(self, batch: Batch, one: Meant) -> str:
        """Tell a run to move, and what it has not heard for want of it; `left` if it is there already or ending."""
        job, players = batch.job, batch.players
        state, rules = players.states.get(one.player_id), players.rules
        run = None if state is None else state.runs.get(one.run_id)
        if state is None or run is None:
            return "left"
        version, do = int(job.detail["version"]), [str(step) for step in job.detail["do"]]
        past, before = batch.past.get(one.run_id, ()), run.version
        decisions = migrate(state, one.run_id, version, do, past, rules, players.failures)
        if not decisions:
            return "left"
        players.record(one.player_id, decisions)
        step = EffectInput(
            brand=job.brand, player_id=one.player_id, journey=job.subject, run_id=one.run_id, step=f"migrate#{run.seq}"
        )
        why = {"by": job.created_by, "reason": job.detail["reason"], "job": job.id}
        await record_steps(batch.connection, step, batch.now, "told", why | {"version": version, "before": before})
        return "moved"


async def told_by_moving(connection: AsyncConnection, run_id: str, journey: Journey, version: int) -> list[Event]:
    """The past events that a run would be told if it moved to a version now; none where the books have no such run."""
    whose = select(runs.c.brand, runs.c.player_id, runs.c.entered_at, players.c.state).join(
        players, and_(players.c.brand == runs.c.brand, players.c.id == runs.c.player_id)
    )
    row = (await connection.execute(whose.where(runs.c.id == run_id))).one_or_none()
    state = None if row is None else PlayerState.from_json(row.brand, row.player_id, row.state)
    run = None if state is None else state.runs.get(run_id)
    if row is None or state is None or run is None or run.version == version:
        return []
    wanted = Past(run_id, row.player_id, row.entered_at, run.unheard(journey, version))
    past = await past_events(connection, row.brand, [wanted])
    told = (event.on_clock_of(state.timezone) for event in past.get(run_id, ()))
    return [event for event in told if run.takes_along(journey, version, event, [])]


def _meant(brand: str, journey: str, version: int) -> tuple[ColumnElement[bool], ...]:
    mine = (
        runs.c.brand == brand,
        runs.c.journey == journey,
        runs.c.state == "active",
        or_(runs.c.arm == "treated", runs.c.played),
    )
    return (*mine, runs.c.version != version)


_BEGINNING: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
# The first bound on the instant is for the index, which knows no ids.
_NEXT: Final = text(
    f"""
    SELECT id, player_id, entered_at FROM runs
    WHERE brand = :brand AND journey = :journey AND state = 'active' AND {HAS_WORKFLOW} AND version <> :version
      AND entered_at >= :at AND (entered_at, id) > (:at, :run)
    ORDER BY entered_at, id LIMIT :limit
    """  # noqa: S608 - our own words
)
