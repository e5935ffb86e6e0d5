"""The table `grants`: one row a reward that a journey asked for, from the reservation to whatever became of it.

Only this module writes it. `status` is what became of the giving, `stage` how far the reward has come since, by what
the bonus engine told.
"""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

import orjson
from prometheus_client import Counter
from sqlalchemy import BigInteger, ColumnElement, Text, bindparam, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities import tasks
from activities.figures.grant_counts import count_lives
from activities.grant_lives import lives
from activities.outgoing.outbox import announce
from activities.overdue_records import overdue
from activities.player_rows import LOCK_PLAYERS
from activities.shop_purchases import look_again
from activities.standalone_tasks import StandaloneTask, doubt_id_of
from activities.tables import events, grants, runs
from workflows.effects import NEVER_ANSWERED
from workflows.json_object import JsonObject
from workflows.outgoing_events import OutgoingEvent
from workflows.player_state.grant_progress import PROGRESS, STAGES, UNTAKEN, grant_progress_of
from workflows.player_state.prizes import NO_JOURNEY
from workflows.rewards.kinds import OFFERED_KINDS

GRANTS = Counter("journeys_grants_total", "Grants by kind and what became of them.", ["kind", "status"])
#: Only `reserved` is open; the others are settled, though the reconciler may still change `unknown`.
GrantStatus = Literal["reserved", "confirmed", "refused", "unknown", "revoked"]
#: Longer than any attempt lasts, so that a grant nobody has touched for so long has no owner.
LEASE: Final = timedelta(minutes=1)
_TOLD: Final = {kind.type: kind for kind in STAGES}
_UNTAKEN: Final = ", ".join(f"'{stage}'" for stage in sorted(UNTAKEN))
_OFFERED: Final = ", ".join(f"'{kind}'" for kind in OFFERED_KINDS)


class GrantRow(NamedTuple):
    """What the effects and the reconciler read of a row of `grants`."""

    id: str
    brand: str
    player_id: str
    run_id: str
    step: str
    journey: str
    kind: str
    reward: JsonObject
    decision: JsonObject
    status: GrantStatus
    reason: str | None
    provider_ref: str | None
    reserved_at: datetime | None
    asked_at: datetime | None
    stage: str | None


_COLUMNS = [grants.c[name] for name in GrantRow._fields]


async def lock(connection: AsyncConnection, grant_id: str) -> GrantRow | None:
    """A grant, held until the transaction ends; None if there is none of that id."""
    query = select(*_COLUMNS).where(grants.c.id == grant_id).with_for_update()
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else GrantRow(*row)


async def lock_doubted(connection: AsyncConnection, brand: str, player_id: str, task_id: str) -> str | None:
    """The grant that a task asks about, held until the transaction ends; None where it is in doubt no more.

    By the task's id, because what the task shows goes when its player is erased.
    """
    mine = (grants.c.brand == brand, grants.c.player_id == player_id, grants.c.status == "unknown")
    ids = (await connection.execute(select(grants.c.id).where(*mine))).scalars()
    grant_id = next((one for one in ids if doubt_id_of(one) == task_id), None)
    locked = None if grant_id is None else await lock(connection, grant_id)
    return None if locked is None else locked.id


async def insert_new(connection: AsyncConnection, values: JsonObject, now: datetime) -> GrantRow:
    """Write down a grant that was never asked for before."""
    row = GrantRow(*(await connection.execute(insert(grants).values(values).returning(*_COLUMNS))).one())
    if row.status == "refused":
        announce(connection, OutgoingEvent.about("grant.refused", row, now))
    return row


async def own(connection: AsyncConnection, row: GrantRow, now: datetime) -> GrantRow:
    """Own a reservation for another attempt; a settled grant is nobody's any more."""
    if row.status != "reserved":
        return row
    owned = await connection.execute(
        update(grants)
        .where(grants.c.id == row.id)
        .values(asked_at=now, reserved_at=func.coalesce(grants.c.reserved_at, now))
        .returning(*_COLUMNS)
    )
    return GrantRow(*owned.one())


async def hold(connection: AsyncConnection, grant_id: str) -> None:
    """Let no time run out against a reservation while its journey is held."""
    await connection.execute(update(grants).where(grants.c.id == grant_id).values(reserved_at=None))


async def settle(
    connection: AsyncConnection,
    row: GrantRow,
    status: GrantStatus,
    now: datetime,
    *,
    reason: str | None = None,
    provider_ref: str | None = None,
) -> GrantRow:
    """Settle a grant, or leave it to whoever has taken it over since; the row as it stands.

    What was told of it by the engine's own name, before we knew that name, is read now: the player is locked for it.
    """
    if provider_ref is not None:
        await connection.execute(LOCK_PLAYERS, {"brand": row.brand, "ids": [row.player_id]})
    settled: JsonObject = {"revoke_due": None} if status == "refused" else {}
    written = await connection.execute(
        update(grants)
        .where(grants.c.id == row.id, grants.c.status == row.status, grants.c.asked_at == row.asked_at)
        .values(status=status, reason=reason, provider_ref=provider_ref, resolved_at=now, **settled)
        .returning(*_COLUMNS)
    )
    mine = written.one_or_none()
    if mine is None:
        theirs = await connection.execute(select(*_COLUMNS).where(grants.c.id == row.id))
        return GrantRow(*theirs.one())
    await _settled(connection, GrantRow(*mine), now)
    if provider_ref is not None:
        await _catch_up(connection, row, provider_ref, now)
    return GrantRow(*mine)


async def settle_by_person(connection: AsyncConnection, grant_id: str, *, given: bool, now: datetime) -> None:
    """Settle a grant in doubt by what a person found in the bonus engine; one that is settled stays as it is."""
    values: JsonObject = {"status": "confirmed" if given else "refused", "reason": "a person looked it up"}
    written = await connection.execute(
        update(grants)
        .where(grants.c.id == grant_id, grants.c.status == "unknown")
        .values(resolved_at=now, **values)
        .returning(*_COLUMNS)
    )
    if (row := written.one_or_none()) is not None:
        await _settled(connection, GrantRow(*row), now)


async def _settled(connection: AsyncConnection, row: GrantRow, now: datetime) -> None:
    """Tell what a grant came to; nobody has to look it up any more, or somebody has from now on."""
    announce(connection, OutgoingEvent.about(f"grant.{row.status}", row, now))
    GRANTS.labels(row.kind, row.status).inc()
    if row.status == "unknown":
        await doubt(connection, row, now)
    else:
        await tasks.cancel_alone(connection, row.brand, doubt_id_of(row.id), f"The reward is {row.status}.", now)


async def doubt(connection: AsyncConnection, row: GrantRow, now: datetime) -> None:
    """Ask people what became of a reward, once."""
    await tasks.open_alone(connection, row.brand, StandaloneTask.doubting(row, now))


async def claim_doubtful(connection: AsyncConnection, now: datetime) -> GrantRow | None:
    """Take one grant nobody owns; until the lease is over nobody else takes it."""
    ended = exists().where(runs.c.id == grants.c.run_id, runs.c.state == "ended")
    chosen = (
        select(grants.c.id, grants.c.status)
        .where(
            or_(
                (grants.c.status == "unknown") & (grants.c.reason == NEVER_ANSWERED),
                (grants.c.status == "reserved") & ended,
            ),
            grants.c.asked_at <= now - LEASE,
        )
        .order_by(grants.c.asked_at)
        .limit(1)
        .with_for_update(skip_locked=True, of=grants)
    )
    found = (await connection.execute(chosen)).one_or_none()
    if found is None:
        return None
    claimed = await connection.execute(
        update(grants)
        .where(grants.c.id == found.id)
        .values(asked_at=now, status="unknown", reason=NEVER_ANSWERED)
        .returning(*_COLUMNS)
    )
    row = GrantRow(*claimed.one())
    if found.status == "reserved":
        announce(connection, OutgoingEvent.about("grant.unknown", row, now))
    return row


async def claim_revoked(connection: AsyncConnection, now: datetime) -> GrantRow | None:
    """Take one confirmed offer that is to be taken back; until the lease is over nobody else takes it."""
    due = (grants.c.revoke_due <= now, grants.c.status == "confirmed")
    return await _claim(connection, grants.c.revoke_due, *due, revoke_due=now + LEASE)


async def claim_prize(connection: AsyncConnection, now: datetime) -> GrantRow | None:
    """Take one reserved prize that no run gives; until the lease is over nobody else takes it."""
    waiting = (grants.c.status == "reserved", grants.c.journey == NO_JOURNEY, grants.c.asked_at <= now)
    return await _claim(connection, grants.c.asked_at, *waiting, asked_at=now + LEASE)


async def _claim(
    connection: AsyncConnection, order: ColumnElement[Any], *where: ColumnElement[bool], **values: object
) -> GrantRow | None:
    """Take the first grant that nobody holds, and mark it as taken."""
    chosen = select(grants.c.id).where(*where).order_by(order).limit(1)
    one = chosen.with_for_update(skip_locked=True, of=grants).scalar_subquery()
    claimed = await connection.execute(update(grants).where(grants.c.id == one).values(values).returning(*_COLUMNS))
    row = claimed.one_or_none()
    return None if row is None else GrantRow(*row)


async def want_back(connection: AsyncConnection, grant_id: str, reason: str, due: datetime) -> None:
    """Note that a reward is to be taken back, and why; an earlier why stays."""
    why = func.coalesce(grants.c.revoke_reason, reason)
    await connection.execute(update(grants).where(grants.c.id == grant_id).values(revoke_due=due, revoke_reason=why))


async def end_revocation(connection: AsyncConnection, grant_id: str, *, taken_back: bool, now: datetime) -> None:
    """Write down what the bonus engine said to taking a reward back."""
    values: JsonObject = {"revoke_due": None}
    if taken_back:
        back = {"stage": "revoked", "stage_at": now, "resolved_at": now}
        values |= {"status": "revoked", "reason": grants.c.revoke_reason, **back}
    mine = (grants.c.id == grant_id, grants.c.status.in_(("confirmed", "unknown")))
    written = await connection.execute(update(grants).where(*mine).values(values).returning(*_COLUMNS))
    row = written.one_or_none()
    if row is not None and taken_back:
        await look_again(connection, row.brand, row.player_id, row.run_id, now)
        await _settled(connection, GrantRow(*row), now)


async def _catch_up(connection: AsyncConnection, row: GrantRow, provider_ref: str, now: datetime) -> None:
    """Read what was told of a reward under the engine's name for it before we knew that name, and count it."""
    since = (row.reserved_at or now) - LEASE
    told = await connection.execute(
        select(events.c.type, events.c.source, events.c.id, events.c.occurred_at, events.c.data).where(
            events.c.brand == row.brand,
            events.c.player_id == row.player_id,
            events.c.type.in_(_TOLD),
            events.c.received_at >= since,
            events.c.data["grant_id"].astext == provider_ref,
        )
    )
    rows = [
        {"player_id": row.player_id, **asdict(reached)}
        for one in told
        for reached in grant_progress_of(
            _TOLD[one.type].from_wire(
                {
                    "type": _TOLD[one.type].wire_type,
                    "source": one.source,
                    "id": one.id,
                    "time": one.occurred_at,
                    "data": one.data,
                }
            )
        )
    ]
    if rows:
        await connection.execute(ADVANCE, {"brand": row.brand, "rows": orjson.dumps(rows).decode()})
        life = await connection.execute(_NOTE_LIFE, {"grant": row.id, "since": since})
        await count_lives(connection, life.all())


#: Notes how far rewards have come, in whatever order that is told; what is about no grant of the player is passed by.
ADVANCE: Final = text(
    """
    UPDATE grants g SET
        stage = CASE WHEN t.further THEN t.stage ELSE g.stage END,
        stage_at = CASE WHEN t.further THEN t.at ELSE g.stage_at END,
        stage_reason = CASE WHEN t.further THEN t.reason ELSE g.stage_reason END,
        told_currency = coalesce(t.told_currency, g.told_currency),
        worth_minor = coalesce(t.worth_minor, g.worth_minor),
        wager_required_minor = coalesce(t.wager_required_minor, g.wager_required_minor),
        wagered_minor = greatest(t.wagered_minor, g.wagered_minor),
        converted_minor = CASE WHEN t.further THEN coalesce(t.converted_minor, g.converted_minor)
            ELSE g.converted_minor END
    FROM (
        SELECT m.id, (array_agg(r.stage ORDER BY p.rank DESC, r.at))[1] AS stage,
               (array_agg(r.at ORDER BY p.rank DESC, r.at))[1] AS at,
               (array_agg(r.reason ORDER BY p.rank DESC, r.at))[1] AS reason,
               m.stage IS NULL OR max(p.rank) > array_position(:progress, m.stage) AS further,
               max(r.told_currency) AS told_currency, max(r.worth_minor) AS worth_minor,
               max(r.wager_required_minor) AS wager_required_minor, max(r.wagered_minor) AS wagered_minor,
               max(r.converted_minor) AS converted_minor
        FROM json_to_recordset(CAST(:rows AS json))
          AS r (player_id text, grant_id text, stage text, at timestamptz, reason text, told_currency text,
                worth_minor bigint, wager_required_minor bigint, wagered_minor bigint,
                converted_minor bigint)
        CROSS JOIN LATERAL (SELECT array_position(:progress, r.stage) AS rank) p
        JOIN grants m ON m.brand = :brand AND m.player_id = r.player_id AND r.grant_id IN (m.id, m.provider_ref)
        GROUP BY m.id) t
    WHERE g.id = t.id
    """
).bindparams(bindparam("progress", [*PROGRESS], type_=ARRAY(Text)))
#: Marks what players were offered and have not taken, as far as anybody told: the engine is asked about each.
REVOKE_OFFERS: Final = text(
    f"""
    UPDATE grants g SET revoke_due = t.at, revoke_reason = t.reason
    FROM json_to_recordset(CAST(:rows AS json)) AS t (player_id text, reason text, at timestamptz)
    WHERE g.brand = :brand AND g.player_id = t.player_id AND g.revoke_reason IS NULL
      AND g.status IN ('reserved', 'confirmed', 'unknown') AND g.kind IN ({_OFFERED})
      AND g.created_at > t.at - make_interval(secs => coalesce(CAST(g.reward ->> 'valid' AS double precision), 604800))
      AND (g.stage IS NULL OR g.stage IN ({_UNTAKEN}))
    """  # noqa: S608 - our own words
)
#: Writes into grants what the bonus engine told of them in the events `:seqs`, received from `:first` to `:last`.
NOTE_LIVES: Final = text(
    f"UPDATE grants g {lives('e.seq = ANY(:seqs) AND e.received_at BETWEEN :first AND :last')}"
).bindparams(bindparam("seqs", type_=ARRAY(BigInteger)))
#: Writes into one grant what was told of it since `:since`, which figures have passed by: nobody knew its name then.
_NOTE_LIFE: Final = text(f"UPDATE grants g {lives('w.id = :grant AND e.received_at >= :since')}")
#: Forgets up to `:limit` settled rewards that are over at `:due`.
FORGET: Final = text(
    f"DELETE FROM grants WHERE id = ANY(ARRAY(SELECT r.id {overdue('grants', 'resolved_at')} LIMIT :limit))"  # noqa: S608 - our own words
)
