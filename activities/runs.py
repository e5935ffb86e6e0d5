"""The table `runs`: every entry of a player into a journey, of both arms, and how it ended.

Only this module writes it. The statements take their rows as one JSON document, `:rows`, because intake writes the
runs of a whole batch of players at once.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import and_, bindparam, case, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.tables import runs
from workflows.effects import RUN_OVER
from workflows.json_object import JsonObject
from workflows.player_state.control_arms import RunArm
from workflows.player_state.decisions import Start

#: What a run that a person stopped ends as. The reason stays in Postgres: people write names into it.
STOPPED: Final = "stopped_by_hand"
#: How long after its entry a run is first compared with Temporal.
FIRST_CHECK: Final = timedelta(hours=1)
_NO_PROBLEM: Final[JsonObject] = dict.fromkeys(("problem", "problem_since", "problem_detail", "problem_step"))
# A run that is over is compared no more, and moves no more.
_SETTLED: Final[JsonObject] = {"input": None, "check_at": None, "moving_from": None, **_NO_PROBLEM}


@dataclass(frozen=True, slots=True)
class RunRow:
    """A row of `runs`. `trigger` is what let the player in."""

    id: str
    brand: str
    player_id: str
    journey: str
    arm: str
    state: str
    entered_at: datetime
    ends_at: datetime
    trigger: dict[str, str] | None
    ended_at: datetime | None
    outcome: str | None
    goal_until: datetime | None
    goal_at: datetime | None
    version: int
    #: The release that it plays still, after it was told to move to `version`; None once it has arrived there.
    moving_from: int | None
    #: What was wrong when the run was last compared with Temporal, as a code; since when, and what was said.
    problem: str | None
    problem_since: datetime | None
    problem_detail: str | None
    #: Whether a workflow plays it; a row from before this was noted says no, see `has_workflow`.
    played: bool

    @property
    def has_workflow(self) -> bool:
        """Whether a workflow plays it or played it: not of refused entries, and of control runs from before this."""
        return self.arm == "treated" or self.played


#: The columns of a `RunRow`, in its order: what a run was begun with is left out.
COLUMNS: Final = [runs.c[one.name] for one in fields(RunRow)]


async def find(connection: AsyncConnection, brand: str, run_id: str) -> RunRow | None:
    """A brand's run, None if it has none of that id."""
    row = (await connection.execute(select(*COLUMNS).where(runs.c.id == run_id, runs.c.brand == brand))).one_or_none()
    return None if row is None else RunRow(*row)


async def find_by_cause(
    connection: AsyncConnection, brand: str, player_id: str, cause: dict[str, str]
) -> RunRow | None:
    """The run of a player that this very cause began, None if there is none."""
    mine = (runs.c.brand == brand, runs.c.player_id == player_id, runs.c.trigger == cause)
    row = (await connection.execute(select(*COLUMNS).where(*mine))).one_or_none()
    return None if row is None else RunRow(*row)


@dataclass(frozen=True, slots=True)
class NewRun:
    """A row for `INSERT`. A refused entry is a run that ended as it began."""

    id: str
    player_id: str
    journey: str
    arm: str
    state: str
    entered_at: datetime
    ends_at: datetime
    trigger: dict[str, str] | None
    ended_at: datetime | None
    outcome: str | None
    goal_until: datetime | None
    #: What the run is begun with, and when it is first compared with Temporal; None where no workflow plays it.
    input: JsonObject | None
    check_at: datetime | None
    version: int
    played: bool
    #: The probability with which the player came into the arm, and the segments they were in.
    arm_share: float
    segments: tuple[str, ...]
    #: Whether the player was in the brand's holdout, which is sent no offers in either arm.
    held_out: bool

    @classmethod
    def of(cls, player_id: str, start: Start, run_input: JsonObject | None, *, held_out: bool) -> "NewRun":
        """The run that a player's entry begins; `run_input` is None where no workflow plays it."""
        return cls(
            id=start.run_id,
            player_id=player_id,
            journey=start.journey,
            arm=start.arm,
            state="ended" if start.refused else "active",
            entered_at=start.entered_at,
            ends_at=start.ends_at,
            trigger=start.cause,
            ended_at=start.entered_at if start.refused else None,
            outcome=f"refused:{start.refused}" if start.refused else None,
            goal_until=start.goal_until,
            input=run_input,
            check_at=None if run_input is None else start.entered_at + FIRST_CHECK,
            version=start.version,
            played=start.refused is None,
            arm_share=start.arm_share,
            segments=start.segments,
            held_out=held_out,
        )


@dataclass(frozen=True, slots=True)
class MovedRow:
    """A row for `MOVE`."""

    id: str
    version: int


@dataclass(frozen=True, slots=True)
class ReachedGoal:
    """A row for `REACH_GOALS`."""

    id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A row for `END`."""

    id: str
    at: datetime
    outcome: str


INSERT: Final = text(
    """
    INSERT INTO runs (id, brand, player_id, journey, arm, state, entered_at, ends_at, trigger,
                      ended_at, outcome, goal_until, input, check_at, version, played, arm_share, segments, held_out)
    SELECT id, :brand, player_id, journey, arm, state, entered_at, ends_at, trigger,
           ended_at, outcome, goal_until, input, check_at, version, played, arm_share, segments, held_out
    FROM json_to_recordset(CAST(:rows AS json))
      AS t (id text, player_id text, journey text, arm text, state text, entered_at timestamptz,
            ends_at timestamptz, trigger jsonb, ended_at timestamptz, outcome text, goal_until timestamptz,
            input jsonb, check_at timestamptz, version integer, played boolean, arm_share double precision,
            segments text[], held_out boolean)
    """
)
MOVE: Final = text(
    """
    UPDATE runs r
    SET version = t.version, moving_from = nullif(coalesce(r.moving_from, r.version), t.version)
    FROM json_to_recordset(CAST(:rows AS json)) AS t (id text, version integer) WHERE r.id = t.id
    """
)
REACH_GOALS: Final = text(
    """
    UPDATE runs r SET goal_at = t.at
    FROM json_to_recordset(CAST(:rows AS json)) AS t (id text, at timestamptz) WHERE r.id = t.id
    """
)
END: Final = text(
    """
    UPDATE runs r SET state = 'ended', ended_at = t.at, outcome = t.outcome, input = NULL, check_at = NULL,
        moving_from = NULL, problem = NULL, problem_since = NULL, problem_detail = NULL, problem_step = NULL
    FROM json_to_recordset(CAST(:rows AS json)) AS t (id text, at timestamptz, outcome text) WHERE r.id = t.id
    """
)
_ACTIVE = text("SELECT id FROM runs WHERE id = ANY(:runs) AND state = 'active'").bindparams(
    bindparam("runs", type_=ARRAY(Text))
)

# Who holds a row of them at this moment is about to change it, and is found when it is due.
_CHECK_SOON = text(
    """
    UPDATE runs SET check_at = now()
    WHERE id IN (
        SELECT id FROM runs WHERE id = ANY(:runs) AND state = 'active' ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
    )
    """
).bindparams(bindparam("runs", type_=ARRAY(Text)))


async def end_active(connection: AsyncConnection, run_id: str, outcome: str, now: datetime) -> bool:
    """Record the end of a run, unless one is recorded. False where the books have no such run."""
    ended = await connection.execute(
        update(runs)
        .where(runs.c.id == run_id, runs.c.state == "active")
        .values(state="ended", ended_at=now, outcome=outcome, **_SETTLED)
        .returning(runs.c.id)
    )
    if ended.one_or_none() is not None:
        return True
    return (await connection.execute(select(runs.c.id).where(runs.c.id == run_id))).one_or_none() is not None


async def note_arrival(connection: AsyncConnection, run_id: str, version: int) -> None:
    """Write down that a run plays this release now. It may have been told to move on meanwhile."""
    there = case((runs.c.version == version, None), else_=version)
    await connection.execute(update(runs).where(runs.c.id == run_id).values(moving_from=there))


async def hold_active(connection: AsyncConnection, run_id: str) -> RunArm:
    """Keep a run from ending until the transaction does; its arm. Raises `RunOver` if it is over or none of ours.

    A run may be over here and go on in Temporal: somebody ended it by force, it was lost and came back, or one of the
    two was restored from a backup. Whatever it then asks for is refused.
    """
    held = select(runs.c.state, runs.c.arm, runs.c.arm_share).where(runs.c.id == run_id).with_for_update(read=True)
    found = (await connection.execute(held)).one_or_none()
    if found is None or found.state != "active":
        raise RunOver(run_id)
    # One from before shares were noted came into its arm as if there had been no other.
    return RunArm(found.arm, 1.0 if found.arm_share is None else found.arm_share)


class RunOver(ApplicationError):
    """An effect of a run that is over in the books: not done, and not tried again."""

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"Run {run_id} is over in the books, so nothing is done for it any more.",
            type=RUN_OVER,
            non_retryable=True,
            category=ApplicationErrorCategory.BENIGN,
        )


async def note_problem(
    connection: AsyncConnection, run_id: str, problem: str, step: str | None, since: datetime, detail: str
) -> None:
    """Write down what is wrong with a run that goes on. One problem stays the one it was, since when it was noticed."""
    mine = (runs.c.id == run_id, runs.c.state == "active")
    same = and_(runs.c.problem == problem, runs.c.problem_step.is_not_distinct_from(step))
    values = {"problem": problem, "problem_step": step, "problem_detail": detail}
    first = case((same, runs.c.problem_since), else_=since)
    await connection.execute(update(runs).where(*mine).values(**values, problem_since=first))


async def clear_problem(connection: AsyncConnection, run_id: str, problem: str) -> None:
    """Take a problem off a run that has it no more; another one stays."""
    await connection.execute(update(runs).where(runs.c.id == run_id, runs.c.problem == problem).values(**_NO_PROBLEM))


async def clear_problems_but(connection: AsyncConnection, problem: str, run_ids: Collection[str]) -> None:
    """Take a problem off every run that has it and is not among these."""
    others = (runs.c.problem == problem, runs.c.id.not_in(run_ids))
    await connection.execute(update(runs).where(*others).values(**_NO_PROBLEM))


async def active_among(connection: AsyncConnection, run_ids: Collection[str]) -> set[str]:
    """Which of these runs have not recorded their end."""
    return set((await connection.execute(_ACTIVE, {"runs": [*run_ids]})).scalars())


async def check_soon(connection: AsyncConnection, run_ids: Collection[str]) -> None:
    """Have these runs compared with Temporal in the next pass."""
    if run_ids:
        await connection.execute(_CHECK_SOON, {"runs": [*run_ids]})


class CheckedRun(NamedTuple):
    """A run that is to be compared with Temporal; `input` is what it was begun with, None if that was not kept."""

    id: str
    brand: str
    player_id: str
    journey: str
    ends_at: datetime
    input: JsonObject | None


async def due_for_check(connection: AsyncConnection, now: datetime, limit: int) -> list[CheckedRun]:
    """Active runs that are to be compared with Temporal by now, the longest waiting first."""
    columns = [runs.c[name] for name in CheckedRun._fields]
    due = select(*columns).where(runs.c.check_at <= now).order_by(runs.c.check_at, runs.c.id).limit(limit)
    return [CheckedRun(*row) for row in await connection.execute(due)]


async def check_again(connection: AsyncConnection, run_ids: Sequence[str], at: datetime) -> None:
    """Have runs that go on compared again then."""
    later = update(runs).where(runs.c.id.in_(run_ids), runs.c.state == "active").values(check_at=at)
    await connection.execute(later)


async def check_all(connection: AsyncConnection, at: datetime) -> None:
    """Have every run that goes on compared by then."""
    await connection.execute(update(runs).where(runs.c.check_at > at).values(check_at=at))


async def is_active(connection: AsyncConnection, run_id: str) -> bool:
    """Whether a run is under way in the books."""
    return (await connection.execute(select(runs.c.state).where(runs.c.id == run_id))).scalar_one_or_none() == "active"


class Origin(NamedTuple):
    """Whose run it is, and what began it: an event, a person, another run or an enrolment."""

    player_id: str
    cause: dict[str, str] | None


async def origins_of(connection: AsyncConnection, run_ids: Collection[str]) -> dict[str, Origin]:
    """The origin of each of these runs that is known, by its id."""
    query = select(runs.c.id, runs.c.player_id, runs.c.trigger).where(runs.c.id.in_(run_ids))
    return {row.id: Origin(row.player_id, row.trigger) for row in await connection.execute(query)}


#: Forgets up to `:limit` runs that ended before `:before`; their steps must be gone.
FORGET: Final = text(
    """
    DELETE FROM runs WHERE id = ANY(ARRAY(
        SELECT id FROM runs WHERE state = 'ended' AND ended_at < :before ORDER BY ended_at, id LIMIT :limit))
    """
)
