"""The tables `audience_members` and `audience_syncs`: what an ad network was told of whom, and is yet to be told.

Only this module writes them. A row is a person's two hashes in one audience. It is there from before the network is
told to add them until it has said that they are out: whatever dies in between, nobody is left there unknown to us.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Row, TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from activities.audiences import Line

#: How long an attempt has before another may begin it again.
CLAIMED_FOR: Final = timedelta(minutes=5)
#: After so long without a comparison nobody tells that network anything any more.
FORGOTTEN_AFTER: Final = timedelta(days=30)
#: Pause after the first attempt that failed; it doubles up to this many times.
_PAUSE, _DOUBLINGS = timedelta(seconds=30), 7


class ListedMember(NamedTuple):
    """One row: whom, by which hashes."""

    player_id: str
    email: str
    phone: str

    @property
    def line(self) -> Line:
        """What the network knows."""
        return (self.email, self.phone)


class ListedAudience(NamedTuple):
    """Which audience of which brand, by the name that its declaration has."""

    brand: str
    audience: str


async def comparing(
    connection: AsyncConnection, place: ListedAudience, now: datetime, every: timedelta
) -> tuple[bool, str | None]:
    """Whether the audience is to be compared now, and the player to go on after."""
    await connection.execute(_BEGIN, place._asdict())
    row = (await connection.execute(_SYNC, place._asdict())).one()
    due = row.after is not None or row.compared_at is None or row.compared_at <= now - every
    return due, row.after


async def note_page(
    connection: AsyncConnection,
    place: ListedAudience,
    inside: Mapping[str, Line],
    *,
    after: str | None,
    last: str | None,
    now: datetime,
) -> None:
    """Note who belongs into an audience, of the players behind `after` up to `last`, and that it is compared so far."""
    asked = place._asdict() | {"rows": _rows(inside), "after": after or "", "last": last, "now": now}
    await connection.execute(_WANT, asked)
    await connection.execute(_UNWANT_RANGE, asked)
    await connection.execute(_DROP, asked)
    await connection.execute(_COMPARED, asked)


async def changed_since(connection: AsyncConnection, place: ListedAudience, after: str, limit: int) -> Sequence[str]:
    """The next members whose rows have changed since they were judged."""
    found = await connection.execute(_CHANGED, place._asdict() | {"after": after, "limit": limit})
    return [*found.scalars()]


async def note_judged(
    connection: AsyncConnection, place: ListedAudience, ids: Sequence[str], inside: Mapping[str, Line], now: datetime
) -> None:
    """Note who of these players still belongs into an audience."""
    asked = place._asdict() | {"ids": [*ids], "rows": _rows(inside), "now": now}
    await connection.execute(_WANT, asked)
    await connection.execute(_UNWANT, asked)
    await connection.execute(_DROP, asked)


async def to_add(
    connection: AsyncConnection, place: ListedAudience, limit: int, now: datetime
) -> Sequence[ListedMember]:
    """Who is to be added next."""
    return _told((await connection.execute(_TO_ADD, place._asdict() | {"limit": limit, "now": now})).all())


async def to_remove(
    connection: AsyncConnection, place: ListedAudience, limit: int, now: datetime
) -> Sequence[ListedMember]:
    """Who is to be taken out next; claimed for a while."""
    asked = place._asdict() | {"limit": limit, "now": now, "until": now + CLAIMED_FOR}
    return _told((await connection.execute(_TO_REMOVE, asked)).all())


async def note_asked(
    connection: AsyncConnection, place: ListedAudience, some: Sequence[ListedMember], now: datetime
) -> None:
    """Note that the network is about to be told to add these: from now on they may be there."""
    asked = place._asdict() | {"rows": _listed(some), "now": now, "until": now + CLAIMED_FOR}
    await connection.execute(_ASKED, asked)


async def note_added(
    connection: AsyncConnection, place: ListedAudience, some: Sequence[ListedMember], now: datetime
) -> None:
    """Note that the network has them, also whom somebody took out meanwhile: those are to be taken out again."""
    await connection.execute(_ADDED, place._asdict() | {"rows": _listed(some), "now": now})


async def note_removed(
    connection: AsyncConnection, place: ListedAudience, some: Sequence[ListedMember], claimed_at: datetime
) -> None:
    """Forget those whom the network has taken out. Who shares an address with one of them is told again.

    Whom somebody had it add since they were claimed is not forgotten: nobody knows which of the two it heard last.
    """
    asked = place._asdict() | {"rows": _listed(some), "claimed_at": claimed_at}
    await connection.execute(_AGAIN, asked)
    await connection.execute(_REMOVED, asked)


async def note_failed(
    connection: AsyncConnection, place: ListedAudience, some: Sequence[ListedMember], now: datetime
) -> None:
    """Note that the network was asked in vain; it is asked again after a pause that grows."""
    asked = place._asdict() | {"rows": _listed(some), "now": now}
    await connection.execute(_FAILED, asked | {"pause": _PAUSE.total_seconds(), "most": _DOUBLINGS})


async def waiting(connection: AsyncConnection, place: ListedAudience) -> int:
    """How many the network is yet to be told of."""
    return int((await connection.execute(_WAITING, place._asdict())).scalar_one())


def _told(rows: Sequence[Row[Any]]) -> list[ListedMember]:
    return [ListedMember(row.player_id, row.email, row.phone) for row in rows]


def _rows(inside: Mapping[str, Line]) -> str:
    return _listed([ListedMember(player, *line) for player, line in inside.items()])


def _listed(some: Sequence[ListedMember]) -> str:
    return orjson.dumps([one._asdict() for one in some]).decode()


def _say(statement: str) -> TextClause:
    return text(statement)


_OF: Final = "m.brand = :brand AND m.audience = :audience"
_GIVEN: Final = "json_to_recordset(CAST(:rows AS json)) AS t (player_id text, email text, phone text)"
_SAME: Final = f"{_OF} AND m.player_id = t.player_id AND m.email = t.email AND m.phone = t.phone"
_BEGIN: Final = _say("INSERT INTO audience_syncs (brand, audience) VALUES (:brand, :audience) ON CONFLICT DO NOTHING")
_SYNC: Final = _say(
    "SELECT after, compared_at FROM audience_syncs WHERE brand = :brand AND audience = :audience FOR UPDATE"
)
_COMPARED: Final = _say(
    """
    UPDATE audience_syncs SET after = CAST(:last AS text),
        compared_at = CASE WHEN CAST(:last AS text) IS NULL THEN :now ELSE compared_at END
    WHERE brand = :brand AND audience = :audience
    """
)
_WANT: Final = _say(
    f"""
    INSERT INTO audience_members AS m (brand, audience, player_id, email, phone, wanted, checked_at, due_at)
    SELECT :brand, :audience, player_id, email, phone, true, :now, :now FROM {_GIVEN} ORDER BY player_id, email, phone
    ON CONFLICT (brand, audience, player_id, email, phone) DO UPDATE
    SET wanted = true, checked_at = excluded.checked_at,
        told_at = CASE WHEN m.wanted THEN m.told_at END, due_at = CASE WHEN m.wanted THEN m.due_at ELSE :now END
    """  # noqa: S608 - our own words
).bindparams(bindparam("brand", type_=Text), bindparam("audience", type_=Text))
_OUT: Final = f"""
    UPDATE audience_members m SET wanted = false, attempts = 0, due_at = :now
    WHERE {_OF} AND m.wanted AND NOT EXISTS (SELECT FROM {_GIVEN} WHERE {_SAME})
"""  # noqa: S608 - our own words
_UNWANT_RANGE: Final = _say(
    f"{_OUT} AND m.player_id > :after AND (CAST(:last AS text) IS NULL OR m.player_id <= CAST(:last AS text))"
)
_UNWANT: Final = _say(f"{_OUT} AND m.player_id = ANY(:ids)").bindparams(bindparam("ids", type_=ARRAY(Text)))
# Of whom the network was never told there is nothing to take back.
_DROP: Final = _say(f"DELETE FROM audience_members m WHERE {_OF} AND NOT m.wanted AND m.asked_at IS NULL")  # noqa: S608
# A minute twice: what began before the judgement may have been committed after it.
_CHANGED: Final = _say(
    f"""
    SELECT DISTINCT m.player_id FROM audience_members m JOIN players p ON p.brand = m.brand AND p.id = m.player_id
    WHERE {_OF} AND m.wanted AND m.player_id > :after AND p.updated_at > m.checked_at - interval '1 minute'
    ORDER BY m.player_id LIMIT :limit
    """  # noqa: S608 - our own words
)
_TO_ADD: Final = _say(
    f"""
    SELECT m.player_id, m.email, m.phone FROM audience_members m
    WHERE {_OF} AND m.wanted AND m.told_at IS NULL AND m.due_at <= :now
    ORDER BY m.player_id, m.email, m.phone LIMIT :limit FOR UPDATE SKIP LOCKED
    """  # noqa: S608 - our own words
)
_TO_REMOVE: Final = _say(
    f"""
    UPDATE audience_members u SET due_at = :until FROM (
        SELECT m.brand, m.audience, m.player_id, m.email, m.phone FROM audience_members m
        WHERE {_OF} AND NOT m.wanted AND m.due_at <= :now
        ORDER BY m.player_id, m.email, m.phone LIMIT :limit FOR UPDATE SKIP LOCKED
    ) AS t
    WHERE u.brand = t.brand AND u.audience = t.audience AND u.player_id = t.player_id AND u.email = t.email
      AND u.phone = t.phone
    RETURNING u.player_id, u.email, u.phone
    """  # noqa: S608 - our own words
)
_ASKED: Final = _say(
    f"UPDATE audience_members m SET asked_at = :now, due_at = :until FROM {_GIVEN} WHERE {_SAME}"  # noqa: S608
)
# Who is not here any more was taken out and forgotten while the network was told to add them.
_ADDED: Final = _say(
    f"""
    INSERT INTO audience_members AS m (
        brand, audience, player_id, email, phone, wanted, checked_at, due_at, asked_at, told_at)
    SELECT :brand, :audience, player_id, email, phone, false, :now, :now, :now, :now FROM {_GIVEN}
    ORDER BY player_id, email, phone
    ON CONFLICT (brand, audience, player_id, email, phone) DO UPDATE
    SET told_at = CASE WHEN m.wanted THEN excluded.told_at ELSE m.told_at END,
        asked_at = CASE WHEN m.wanted THEN m.asked_at ELSE excluded.asked_at END, attempts = 0
    """  # noqa: S608 - our own words
).bindparams(bindparam("brand", type_=Text), bindparam("audience", type_=Text))
_AGAIN: Final = _say(
    f"""
    UPDATE audience_members m SET told_at = NULL FROM {_GIVEN}
    WHERE {_OF} AND m.wanted AND (m.email <> '' AND m.email = t.email OR m.phone <> '' AND m.phone = t.phone)
    """  # noqa: S608 - our own words
)
_REMOVED: Final = _say(
    f"DELETE FROM audience_members m USING {_GIVEN} WHERE {_SAME} AND NOT m.wanted AND m.asked_at <= :claimed_at"  # noqa: S608
)
_FAILED: Final = _say(
    f"""
    UPDATE audience_members m SET attempts = m.attempts + 1,
        due_at = CAST(:now AS timestamptz) + make_interval(secs => :pause * 2 ^ least(m.attempts, :most))
    FROM {_GIVEN} WHERE {_SAME}
    """  # noqa: S608 - our own words
)
_WAITING: Final = _say(
    f"SELECT count(*) FROM audience_members m WHERE {_OF} AND (NOT m.wanted OR m.told_at IS NULL)"  # noqa: S608
)
# Who is yet to be taken out is tried again and again, and so never forgotten where the audience is still told.
FORGET: Final = _say(
    "DELETE FROM audience_members WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM audience_members WHERE greatest(checked_at, due_at) < :before LIMIT :limit))"
)
