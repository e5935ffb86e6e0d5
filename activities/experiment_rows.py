"""The tables `experiments`, `assignments` and `experiment_looks`: who was drawn into which arm, and what was found.

Only this module writes them. An assignment is written once and never again: the row wins over any later draw.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import ColumnElement, Row, bindparam, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from activities.experiment_tables import assignments, experiment_looks, experiments
from learning.shrinkage import PastEffect
from workflows.effects import AssignArm
from workflows.experiment_draw import DrawnArm, ExperimentStanding, draw
from workflows.json_object import JsonObject
from workflows.protection_forms import HarmReview


class StoppedArm(NamedTuple):
    """Why an arm is given to nobody any more, and since when; None where that was not written down yet."""

    why: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class ExperimentRow:
    """A row of `experiments`. `stopped` says why and since when, by arm; `closed` why nobody is drawn any more."""

    brand: str
    name: str
    version: int
    arms: dict[str, int]
    stopped: dict[str, StoppedArm]
    closed: str | None
    started_at: datetime
    looked_at: datetime

    @classmethod
    def of(cls, row: Row[Any]) -> "ExperimentRow":
        """The row as it was read."""
        return cls(**{**row._asdict(), "stopped": {arm: _stopped(told) for arm, told in row.stopped.items()}})

    def stopped_by(self, moment: datetime) -> frozenset[str]:
        """The arms that had been stopped by a moment."""
        return frozenset(arm for arm, one in self.stopped.items() if one.at is None or one.at <= moment)

    @property
    def standing(self) -> ExperimentStanding:
        """What a draw must know of it."""
        return ExperimentStanding(frozenset(self.stopped), self.closed, self.looked_at)


class AssignmentRow(NamedTuple):
    """A row of `assignments`, of one experiment."""

    player_id: str
    arm: str
    chance: float
    shares: dict[str, int]
    why: str | None
    at: datetime
    run_id: str


class LookRow(NamedTuple):
    """A row of `experiment_looks`, of one experiment."""

    number: int
    at: datetime
    counted: float
    findings: JsonObject


async def begun(connection: AsyncConnection, request: AssignArm, now: datetime) -> ExperimentRow:
    """The experiment of a draw; its first player begins it, with the shares that the code says at that moment.

    Whoever stops one of its arms waits until the transaction ends, and so finds the run that was told that arm.
    """
    whose = {"brand": request.brand, "name": request.experiment, "version": request.experiment_version}
    wanted = (connection, request.brand, request.experiment, request.experiment_version)
    known = await find_experiment(*wanted, held=True)
    if known is None:
        row = {**whose, "arms": request.arms, "started_at": now, "looked_at": now}
        await connection.execute(insert(experiments).values(row).on_conflict_do_nothing())
        known = await find_experiment(*wanted, held=True)
        assert known is not None
    return known


async def assigned(
    connection: AsyncConnection, request: AssignArm, experiment: ExperimentRow, now: datetime
) -> DrawnArm:
    """The arm that a player was drawn into: now, unless it was before. Of two draws at once the first is kept."""
    whose = (request.brand, request.player_id, (request.experiment, request.experiment_version))
    drawn = draw(*whose, experiment.arms, experiment.standing, now)
    row = {
        "brand": request.brand,
        "experiment": request.experiment,
        "version": request.experiment_version,
        "player_id": request.player_id,
        "run_id": request.run_id,
        "at": now,
        **vars(drawn),
    }
    written = insert(assignments).values(row).on_conflict_do_nothing().returning(assignments.c.arm)
    if (await connection.execute(written)).one_or_none() is not None:
        return drawn
    table = assignments.c
    mine = (
        table.brand == request.brand,
        table.experiment == request.experiment,
        table.version == request.experiment_version,
        table.player_id == request.player_id,
    )
    columns = (table.arm, table.chance, table.shares, table.why)
    return DrawnArm(*(await connection.execute(select(*columns).where(*mine))).one())


async def find_experiment(
    connection: AsyncConnection, brand: str, name: str, version: int, *, held: bool = False
) -> ExperimentRow | None:
    """A brand's experiment, None before its first player; `held` as it is until the transaction ends."""
    table = experiments.c
    chosen = select(experiments).where(table.brand == brand, table.name == name, table.version == version)
    row = (await connection.execute(chosen.with_for_update(read=True) if held else chosen)).one_or_none()
    return None if row is None else ExperimentRow.of(row)


async def list_experiments(connection: AsyncConnection, brand: str | None = None) -> list[ExperimentRow]:
    """Every experiment that has had a player, of a brand or of all, the newest first."""
    chosen = select(experiments).order_by(experiments.c.started_at.desc(), experiments.c.name, experiments.c.version)
    chosen = chosen if brand is None else chosen.where(experiments.c.brand == brand)
    return [ExperimentRow.of(row) for row in await connection.execute(chosen)]


async def list_looks(connection: AsyncConnection, experiment: ExperimentRow) -> list[LookRow]:
    """The looks at an experiment's goal so far, in their order."""
    table = experiment_looks.c
    mine = (table.brand == experiment.brand, table.experiment == experiment.name, table.version == experiment.version)
    columns = (table.number, table.at, table.counted, table.findings)
    chosen = select(*columns).where(*mine).order_by(table.number)
    return [LookRow(*row) for row in await connection.execute(chosen)]


async def list_assignments(
    connection: AsyncConnection, experiment: ExperimentRow, after: str = "", limit: int | None = None
) -> list[AssignmentRow]:
    """Who was drawn, by player id, from behind a player on."""
    table = assignments.c
    columns = (table.player_id, table.arm, table.chance, table.shares, table.why, table.at, table.run_id)
    chosen = select(*columns).where(*_of(experiment), table.player_id > after).order_by(table.player_id).limit(limit)
    return [AssignmentRow(*row) for row in await connection.execute(chosen)]


async def note_look(
    connection: AsyncConnection, experiment: ExperimentRow, look: LookRow | None, now: datetime
) -> None:
    """Write down that somebody has looked, and what was found at a planned look; the first to look is kept."""
    table = experiments.c
    mine = (table.brand == experiment.brand, table.name == experiment.name, table.version == experiment.version)
    await connection.execute(update(experiments).where(*mine).values(looked_at=now))
    if look is not None:
        row = {"brand": experiment.brand, "experiment": experiment.name, "version": experiment.version}
        values = {**row, **look._asdict()}
        await connection.execute(insert(experiment_looks).values(values).on_conflict_do_nothing())


async def stop_arm(connection: AsyncConnection, experiment: ExperimentRow, arm: str, why: str, now: datetime) -> None:
    """Give an arm to nobody any more; who was drawn into it gets the control arm from now on."""
    whose = {"brand": experiment.brand, "name": experiment.name, "version": experiment.version}
    stopped = orjson.dumps({arm: {"why": why, "at": now}}).decode()
    await connection.execute(_STOP_ARM, {**whose, "stopped": stopped})


async def close_experiment(connection: AsyncConnection, experiment: ExperimentRow, why: str) -> None:
    """Draw nobody any more: whoever comes gets the control arm and counts in no comparison."""
    table = experiments.c
    mine = (table.brand == experiment.brand, table.name == experiment.name, table.version == experiment.version)
    await connection.execute(update(experiments).where(*mine, table.closed.is_(None)).values(closed=why))


async def past_effects(connection: AsyncConnection, experiment: ExperimentRow, until: datetime) -> list[PastEffect]:
    """What arms of the brand's other experiments had brought, in points, at the end of plans that were over then.

    A look of long ago that says no error is left out: how much of it was chance nobody knows.
    """
    whose = {"brand": experiment.brand, "name": experiment.name, "version": experiment.version}
    ended = (await connection.execute(_ENDED, {**whose, "until": until})).scalars()
    arms = [arm for found in ended for arm in found["arms"]]
    known = [arm for arm in arms if arm.get("difference") is not None and arm.get("error") is not None]
    return [PastEffect(arm["difference"], arm["error"]) for arm in known]


class MetSince(NamedTuple):
    """A type of event that a player of an experiment has met since they were drawn, and when first."""

    player_id: str
    type: str
    first_at: datetime


async def met_since_drawn(
    connection: AsyncConnection, experiment: ExperimentRow, types: Sequence[str], known_at: datetime | None
) -> list[MetSince]:
    """Who of those who were drawn met which of these types from that moment on; by `known_at`, if given."""
    rows = await connection.execute(_MET_SINCE, _since(experiment, types, known_at))
    return [MetSince(*row) for row in rows]


async def reviewed_since_drawn(
    connection: AsyncConnection, experiment: ExperimentRow, known_at: datetime | None
) -> set[str]:
    """Of whom a review of signs of harm became due after they were drawn; by `known_at`, if given.

    Signs that the engine derives itself are no events: this is where they are seen, when they have become strong.
    """
    whose: dict[str, Any] = {"brand": experiment.brand, "experiment": experiment.name, "version": experiment.version}
    whose |= {"form": HarmReview.__name__, "known_at": known_at}
    return {*(await connection.execute(_REVIEWED_SINCE, whose)).scalars()}


class EventSince(NamedTuple):
    """An event of a player of an experiment since they were drawn."""

    player_id: str
    type: str
    id: str
    source: str
    occurred_at: datetime
    data: JsonObject


async def events_since_drawn(
    connection: AsyncConnection, experiment: ExperimentRow, types: Sequence[str], known_at: datetime | None
) -> AsyncIterator[EventSince]:
    """Events of these types of everybody who was drawn, from that moment on; those received by `known_at`, if given."""
    async with connection.stream(_EVENTS_SINCE, _since(experiment, types, known_at)) as rows:
        async for row in rows:
            yield EventSince(*row)


def _since(experiment: ExperimentRow, types: Sequence[str], known_at: datetime | None) -> dict[str, Any]:
    whose = {"brand": experiment.brand, "experiment": experiment.name, "version": experiment.version}
    return {**whose, "types": [*types], "known_at": known_at}


class RunInArm(NamedTuple):
    """A run under way of a player who was drawn into an arm."""

    run_id: str
    player_id: str
    journey: str


async def runs_in_arm(connection: AsyncConnection, experiment: ExperimentRow, arm: str) -> list[RunInArm]:
    """Runs under way that have asked for their arm and were told this one."""
    whose = {"brand": experiment.brand, "experiment": experiment.name, "version": experiment.version, "arm": arm}
    rows = await connection.execute(_RUNS_IN_ARM, whose | {"step": f"arm:{experiment.name}#%"})
    return [RunInArm(*row) for row in rows]


def _stopped(told: str | dict[str, str]) -> StoppedArm:
    # Stops from before their moments were written down say why alone.
    if isinstance(told, str):
        return StoppedArm(told, None)
    return StoppedArm(told["why"], datetime.fromisoformat(told["at"]))


def _of(experiment: ExperimentRow) -> tuple[ColumnElement[bool], ...]:
    table = assignments.c
    return (table.brand == experiment.brand, table.experiment == experiment.name, table.version == experiment.version)


_STOP_ARM: Final = text(
    """
    UPDATE experiments SET stopped = CAST(:stopped AS jsonb) || stopped
    WHERE brand = :brand AND name = :name AND version = :version
    """
)
_ENDED: Final = text(
    """
    SELECT DISTINCT ON (experiment, version) findings FROM experiment_looks
    WHERE brand = :brand AND (experiment, version) <> (:name, :version) AND counted >= 1 AND at <= :until
    ORDER BY experiment, version, number
    """
)
_SINCE: Final = """
    FROM assignments a JOIN events e ON e.brand = a.brand AND e.player_id = a.player_id
    WHERE a.brand = :brand AND a.experiment = :experiment AND a.version = :version
      AND e.type = ANY(:types) AND e.occurred_at >= a.at AND NOT e.history
      AND (CAST(:known_at AS timestamptz) IS NULL OR e.received_at <= :known_at)
    """
_MET_SINCE: Final = text(
    f"SELECT e.player_id, e.type, min(e.occurred_at) {_SINCE} GROUP BY e.player_id, e.type"
).bindparams(bindparam("types", type_=ARRAY(Text)))
_REVIEWED_SINCE: Final = text(
    """
    SELECT DISTINCT t.player_id
    FROM assignments a JOIN tasks t ON t.brand = a.brand AND t.player_id = a.player_id
    WHERE a.brand = :brand AND a.experiment = :experiment AND a.version = :version
      AND t.form = :form AND t.created_at >= a.at
      AND (CAST(:known_at AS timestamptz) IS NULL OR t.created_at <= :known_at)
    """
)
_EVENTS_SINCE: Final = text(
    f"""
    SELECT e.player_id, e.type, e.id, e.source, e.occurred_at, e.data {_SINCE}
    ORDER BY e.player_id, e.occurred_at, e.seq
    """
).bindparams(bindparam("types", type_=ARRAY(Text)))
_RUNS_IN_ARM: Final = text(
    """
    SELECT DISTINCT r.id, r.player_id, r.journey
    FROM assignments a JOIN runs r ON r.brand = a.brand AND r.player_id = a.player_id AND r.state = 'active'
      JOIN steps s ON s.run_id = r.id AND s.line = 0 AND s.step LIKE :step AND s.outcome = a.arm
        AND coalesce(CAST(s.detail->>'version' AS integer), a.version) = a.version
    WHERE a.brand = :brand AND a.experiment = :experiment AND a.version = :version AND a.arm = :arm
    ORDER BY r.id
    """
)
