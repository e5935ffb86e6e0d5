"""Enrols many players into a journey: everybody who is in a segment now, a batch at a time.

The players of an enrolment are stored when it is created. Each is asked the same entry rule as an event would ask.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final

from pydantic import BaseModel, Field
from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.bulk_jobs import Job, insert_job, set_total
from activities.loops.bulk_work import Batch, BulkWork, Meant, Obstacle
from activities.rolling_release import retry_if_known_elsewhere
from activities.run_delivery.deliveries import ENROLMENT
from activities.tables import enrolment_players, memberships
from workflows.background.bulk_job import BulkJobKind
from workflows.declaration import Journey
from workflows.player_state.control_arms import arm_of
from workflows.player_state.state import PlayerState

KIND: Final[BulkJobKind] = "enrol"
#: Up to so many members every one is looked at before an enrolment; of more, a sample of so many.
EXACT, SAMPLE, PAGE = 100_000, 20_000, 500
#: What became of a player who is let in; everything else is why not.
ENTERED: Final = ("treated", "control")
#: What becomes of everybody while the journey lets nobody in.
CLOSED: Final = "closed"


class Forecast(BaseModel):
    """What an enrolment would do now."""

    members: int = Field(description="Players in the segment now: whom the enrolment will mean.")
    entering: int = Field(description="Whom the journey would be played for.")
    control: int = Field(description="Who would enter its control group, which plays it without offers.")
    refused: dict[str, int] = Field(description="How many would not be let in, by reason.")
    looked_at: int = Field(description="How many players this was worked out from.")
    estimate: bool = Field(description="Whether the numbers are scaled up from a sample of `looked_at` players.")


def enrolment_outcome(state: PlayerState | None, journey: Journey, segment: str, now: datetime) -> str:
    """What becomes of a player who is enrolled now: an arm, or a reason. Pure, before the fact and in it alike."""
    if state is None:
        return "unknown_player"
    if segment not in state.segments:
        return "left_segment"
    if (refusal := state.refusal(journey, None, now)) is not None:
        return refusal
    return state.protected(now) or arm_of(state.brand, state.player_id, journey.name, journey.control)


async def forecast(
    connection: AsyncConnection,
    brand: str,
    journey: Journey,
    segment: str,
    now: datetime,
    *,
    exact: int = EXACT,
    sample: int = SAMPLE,
) -> Forecast:
    """Ask the entry rule about every member, or about a sample of them when there are too many to wait for.

    It holds no lock, so what happens between this and the enrolment makes a difference.
    """
    whose = {"brand": brand, "segment": segment}
    members = await members_of(connection, brand, segment)
    share = 1.0 if members <= exact else sample / members
    outcomes: Counter[str] = Counter()
    after = ""
    while True:
        rows = (
            await connection.execute(
                _MEMBER_STATES, whose | {"journey": journey.name, "after": after, "share": share, "limit": PAGE}
            )
        ).all()
        for row in rows:
            state = PlayerState.from_json(brand, row.id, {k: v for k, v in row.known.items() if v is not None})
            outcomes[enrolment_outcome(state, journey, segment, now)] += 1
        if len(rows) < PAGE:
            break
        after = rows[-1].id
    looked_at = outcomes.total()
    scale = members / looked_at if share < 1 and looked_at else 1.0
    counts = {name: round(number * scale) for name, number in sorted(outcomes.items())}
    return Forecast(
        members=members,
        entering=counts.get("treated", 0),
        control=counts.get("control", 0),
        refused={name: number for name, number in counts.items() if name not in ENTERED},
        looked_at=looked_at,
        estimate=share < 1,
    )


async def members_of(connection: AsyncConnection, brand: str, segment: str) -> int:
    """How many players of a brand are in a segment now."""
    counting = (
        select(func.count())
        .select_from(memberships)
        .where(memberships.c.brand == brand, memberships.c.segment == segment, memberships.c.left_at.is_(None))
    )
    counted: int = (await connection.execute(counting)).scalar_one()
    return counted


async def enrol(connection: AsyncConnection, job: Job) -> Job | None:
    """Insert an enrolment together with its players; None when there is one of its id. Wake it afterwards."""
    if not await insert_job(connection, job):
        return None
    meant = await connection.scalar(_MEANT, {"job": job.id, "brand": job.brand, "segment": job.detail["segment"]})
    return await set_total(connection, job, meant or 0)


async def delete_members(connection: AsyncConnection, job_id: str) -> None:
    """Delete the stored players of an enrolment that has ended."""
    await connection.execute(delete(enrolment_players).where(enrolment_players.c.job_id == job_id))


class Enrolments(BulkWork):
    """Works on enrolments."""

    kind: ClassVar[BulkJobKind] = KIND

    async def obstacle(self, connection: AsyncConnection, job: Job) -> Obstacle | None:
        """That the journey is deployed nowhere; while a release rolls, `UnknownYet` is raised instead."""
        if job.subject in self.intake.rules.journeys:
            return None
        why = f"No journey {job.subject} is deployed here; deploy it again and resume, or cancel."
        retry_if_known_elsewhere(why, known=job.subject in (await self.processes.look(connection)).journeys)
        return Obstacle(why, failed=True)

    async def next(self, connection: AsyncConnection, job: Job, limit: int) -> Sequence[Meant]:
        """The next of the players who were written down when it was asked for."""
        meant = enrolment_players.c
        rows = await connection.execute(
            select(meant.player_id)
            .where(meant.job_id == job.id, meant.player_id > job.cursor)
            .order_by(meant.player_id)
            .limit(limit)
        )
        return [Meant(player_id, player_id) for player_id in rows.scalars()]

    async def do(self, batch: Batch, one: Meant) -> str:
        """Let a player in if the entry rule does."""
        job, players, now = batch.job, batch.players, batch.now
        journey, segment = self.intake.rules.journeys[job.subject], str(job.detail["segment"])
        if journey.name in players.rules.closed:
            return CLOSED
        state = players.states.get(one.player_id)
        outcome = enrolment_outcome(state, journey, segment, now)
        if state is not None and segment in state.segments:
            cause = {"type": ENROLMENT, "id": job.id, "source": job.created_by}
            players.record(one.player_id, state.enter(journey, None, now, cause))
        return outcome

    async def tidy(self, connection: AsyncConnection, job: Job, done: Sequence[Meant]) -> None:
        """Forget whom it meant once all of them are through."""
        if not done:
            await delete_members(connection, job.id)


_MEANT = text(
    """
    WITH meant AS (
        INSERT INTO enrolment_players (job_id, player_id, brand)
        SELECT :job, player_id, brand FROM memberships
        WHERE brand = :brand AND segment = :segment AND left_at IS NULL
        RETURNING 1
    )
    SELECT count(*) FROM meant
    """
)
# Only what `enrolment_outcome` looks at: a whole state is ten times as much to read. The second bound on the id is for
# a merge of the two indexes, which would else begin with the first player on every page.
_MEMBER_STATES = text(
    """
    SELECT p.id, jsonb_build_object(
        'status', s.status, 'timed_status', s.timed_status, 'exclusions', s.exclusions, 'runs', s.runs,
        'segments', s.segments,
        'entries', CASE WHEN s.entries ? :journey
                     THEN jsonb_build_object(CAST(:journey AS text), s.entries -> :journey) END
    ) AS known
    FROM memberships m
    JOIN players p ON p.brand = m.brand AND p.id = m.player_id
    CROSS JOIN LATERAL jsonb_to_record(p.state)
      AS s (status text, timed_status jsonb, exclusions jsonb, runs jsonb, segments jsonb, entries jsonb)
    WHERE m.brand = :brand AND m.segment = :segment AND m.left_at IS NULL
      AND m.player_id > :after AND p.id > :after
      AND (hashtext(m.player_id)::bigint + 2147483648) / 4294967296.0::float8 < CAST(:share AS float8)
    ORDER BY m.player_id LIMIT :limit
    """
)
#: Takes a player out of up to `:limit` enrolments that have not come to them.
ERASE: Final = text(
    """
    DELETE FROM enrolment_players WHERE ctid = ANY(ARRAY(
        SELECT e.ctid FROM enrolment_players e JOIN jobs j ON j.id = e.job_id
        WHERE e.brand = :brand AND e.player_id = :player AND j.created_at <= :before LIMIT :limit))
    """
)
