"""The table `players`: one row a player, whose lock orders everything that happens to them.

Only this module writes it. `Intake.locked` is the way to a player's state; what stands here are its statements, and
who is not to be ticked for a while.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import orjson
from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from activities.tables import players
from workflows.json_object import JsonObject
from workflows.player_state.devices import DEVICE
from workflows.player_state.state import PlayerState

# A player whose row somebody removed comes back knowing how many runs they had, or two runs could share an id.
CREATE_PLAYERS: Final = text(
    """
    INSERT INTO players (brand, id, state)
    SELECT :brand, u.id, CASE WHEN t.taken IS NULL THEN '{}' ELSE jsonb_build_object('taken', t.taken) END
    FROM unnest(:ids) AS u (id)
    LEFT JOIN LATERAL (
        SELECT jsonb_object_agg(journey, number) AS taken FROM (
            SELECT journey, count(*) AS number
            FROM runs r WHERE r.brand = :brand AND r.player_id = u.id GROUP BY journey
        ) numbers
    ) t ON true
    WHERE NOT EXISTS (SELECT FROM players p WHERE p.brand = :brand AND p.id = u.id)
    ON CONFLICT DO NOTHING
    """
).bindparams(bindparam("ids", type_=ARRAY(Text)))
LOCK_PLAYERS: Final = text(
    "SELECT id, state::text AS state FROM players WHERE brand = :brand AND id = ANY(:ids) ORDER BY id FOR UPDATE"
).bindparams(bindparam("ids", type_=ARRAY(Text)))
#: The same for whoever needs no more than that nobody else has them.
HOLD_PLAYERS: Final = text(
    "SELECT count(*) FROM (SELECT FROM players WHERE brand = :brand AND id = ANY(:ids) ORDER BY id FOR UPDATE) AS held"
).bindparams(bindparam("ids", type_=ARRAY(Text)))
#: As text, because intake writes deliveries in the same round trip. Of a device that is gone not even the name stays:
#: others come for as long as there is the player.
ADVANCE: Final = f"""
    UPDATE players p
    SET state = t.state, next_moment = t.moment, updated_at = :now,
        profile = CASE WHEN t.profile = '{{}}' THEN p.profile ELSE (p.profile || t.profile) - ARRAY(
            SELECT said.key FROM jsonb_each(t.profile) AS said
            WHERE said.key LIKE '{DEVICE}%' AND said.value = 'null') END
    FROM json_to_recordset(CAST(:players AS json)) AS t (id text, state jsonb, profile jsonb, moment timestamptz)
    WHERE p.brand = :brand AND p.id = t.id
    """  # noqa: S608 - our own words
ADVANCE_PLAYERS: Final = text(ADVANCE)


async def write_place(connection: AsyncConnection, brand: str, player_id: str, run_id: str, place: str) -> None:
    """Write down the place of a run in the row of its player, which this transaction has locked."""
    mine = {"brand": brand, "player": player_id, "path": ["runs", run_id, "place"], "place": place}
    await connection.execute(_WRITE_PLACE, mine)


async def read_profile(connection: AsyncConnection, brand: str, player_id: str) -> JsonObject:
    """The personal data of a player whose row this transaction has locked."""
    return (await connection.execute(_READ_PROFILE, {"brand": brand, "player": player_id})).scalar_one()  # type: ignore[no-any-return]


async def empty_profile(connection: AsyncConnection, brand: str, player_id: str) -> None:
    """Overwrite the personal data of a player whose row this transaction has locked."""
    await connection.execute(_EMPTY_PROFILE, {"brand": brand, "player": player_id})


async def lock_state(connection: AsyncConnection, brand: str, player_id: str) -> PlayerState | None:
    """A player's state that nobody changes until this transaction is over; None for one we never heard of."""
    row = (await connection.execute(LOCK_PLAYERS, {"brand": brand, "ids": [player_id]})).one_or_none()
    return None if row is None else PlayerState.from_text(brand, player_id, row.state)


async def accounts_of(connection: AsyncConnection, brand: str, player_id: str) -> list[str]:
    """The person's other accounts, read without a lock."""
    query = select(players.c.state["accounts"]).where(players.c.brand == brand, players.c.id == player_id)
    found = (await connection.execute(query)).scalar_one_or_none()
    return [*found] if found else []


async def put_off(connection: AsyncConnection, brand: str, ids: Sequence[str], until: datetime) -> None:
    """Have the sweep leave these players alone until then."""
    if ids:
        await connection.execute(_PUT_OFF, {"brand": brand, "ids": ids, "until": until})


async def put_off_each(connection: AsyncConnection, brand: str, until: Mapping[str, datetime]) -> None:
    """Have the sweep leave each of these players alone until its moment, unless a later one is written already."""
    if until:
        rows = [{"id": player_id, "until": moment} for player_id, moment in until.items()]
        await connection.execute(_PUT_OFF_EACH, {"brand": brand, "rows": orjson.dumps(rows).decode()})


_WRITE_PLACE = text(
    """
    UPDATE players SET state = jsonb_set(state, :path, to_jsonb(CAST(:place AS text)))
    WHERE brand = :brand AND id = :player
    """
).bindparams(bindparam("path", type_=ARRAY(Text)))
_READ_PROFILE = text("SELECT profile FROM players WHERE brand = :brand AND id = :player")
_EMPTY_PROFILE = text("UPDATE players SET profile = '{}' WHERE brand = :brand AND id = :player")
_PUT_OFF = text("UPDATE players SET next_moment = :until WHERE brand = :brand AND id = ANY(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Text))
)
_PUT_OFF_EACH = text(
    """
    UPDATE players p SET next_moment = t.until
    FROM json_to_recordset(CAST(:rows AS json)) AS t (id text, until timestamptz)
    WHERE p.brand = :brand AND p.id = t.id AND p.next_moment < t.until
    """
)
