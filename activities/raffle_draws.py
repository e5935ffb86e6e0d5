"""The tables `raffle_tickets`, `raffle_draws`, `raffle_winners`: who has tickets, what was drawn, who won what.

Only this module writes them. The seed of a draw is drawn with the first ticket and its hash shown; it is told when the
winners are written.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
from sqlalchemy import Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from workflows.json_object import JsonObject
from workflows.loyalty.raffles import Bundle, DrawnBundle, Raffle, drawn_bundles, taking_part
from workflows.loyalty.wheels import seed_hash


@dataclass(frozen=True)
class OpenDraw:
    """A draw that has not been made, locked until the transaction ends."""

    brand: str
    raffle: str
    period: str
    seed: bytes


@dataclass(frozen=True)
class Winner:
    """A place whose prize is still to be given, locked until the transaction ends."""

    brand: str
    raffle: str
    period: str
    place: int
    player_id: str
    prize: JsonObject


async def open_draws(connection: AsyncConnection) -> list[OpenDraw]:
    """Every draw that has not been made and that nobody else is making."""
    return [OpenDraw(row.brand, row.raffle, row.period, bytes(row.seed)) for row in await connection.execute(_OPEN)]


async def holders(connection: AsyncConnection, draw: OpenDraw) -> list[tuple[int, str, int]]:
    """Tickets of a draw with their players, and how many each row stands for, the oldest first."""
    mine = {"brand": draw.brand, "raffle": draw.raffle, "period": draw.period}
    return [(ticket, player, count) for ticket, player, count in await connection.execute(_TICKETS, mine)]


async def make(
    connection: AsyncConnection,
    draw: OpenDraw,
    raffle: Raffle,
    tickets: Sequence[tuple[int, str, int]],
    protected: Collection[str],
    now: datetime,
) -> list[DrawnBundle]:
    """Draw, and write down what was drawn from and who won what; `protected` players take no part."""
    aliases = {player: alias(draw.seed, player) for _, player, _ in tickets}
    bundles = [Bundle(ticket, aliases[player], count) for ticket, player, count in tickets]
    bundles = taking_part(bundles, {aliases[player] for player in protected if player in aliases})
    drawn = drawn_bundles(draw.seed, draw.raffle, draw.period, bundles, len(raffle.prizes))
    mine = {"brand": draw.brand, "raffle": draw.raffle, "period": draw.period}
    told = orjson.dumps([[one.ticket, one.holder, one.count] for one in bundles]).decode()
    await connection.execute(_DRAWN, mine | {"tickets": told, "places": len(raffle.prizes), "at": now})
    players = {ticket: player for ticket, player, _ in tickets}
    won = [
        mine
        | {
            "place": one.place,
            "player": players[one.bundle.ticket],
            "ticket": one.bundle.ticket,
            "prize": raffle.prizes[one.place - 1].model_dump_json(),
        }
        for one in drawn
    ]
    if won:
        await connection.execute(_WON, won)
    return drawn


async def next_winner(connection: AsyncConnection, raffles: Collection[str]) -> Winner | None:
    """The next place of these raffles whose prize is still to be given, and that nobody else is giving."""
    row = (await connection.execute(_NEXT_WINNER, {"raffles": [*raffles]})).one_or_none()
    return None if row is None else Winner(*row)


async def settle(connection: AsyncConnection, winner: Winner, withheld: str | None, now: datetime) -> None:
    """Write down that a place has its prize, or why it has none."""
    place = {"brand": winner.brand, "raffle": winner.raffle, "period": winner.period, "place": winner.place}
    await connection.execute(_SETTLE, place | {"withheld": withheld, "at": now})


async def tickets_of(connection: AsyncConnection, brand: str, player_id: str, raffle: str, period: str) -> JsonObject:
    """A player's tickets in a period, how many there are in all, and the hash of the seed; None before the first."""
    asked = {"brand": brand, "player": player_id, "raffle": raffle, "period": period}
    row = (await connection.execute(_MINE, asked)).one()
    hashed = None if row.seed is None else seed_hash(bytes(row.seed))
    return {"mine": row.mine, "all": row.all_of_them, "seed_hash": hashed}


async def proof_of_draw(connection: AsyncConnection, brand: str, raffle: str, period: str) -> JsonObject | None:
    """The record of a draw, from which anybody draws it again; None where nobody has a ticket."""
    asked = {"brand": brand, "raffle": raffle, "period": period}
    row = (await connection.execute(_PROOF, asked)).one_or_none()
    if row is None:
        return None
    seed = bytes(row.seed)
    return {
        "raffle": raffle,
        "period": period,
        "seed_hash": seed_hash(seed),
        "seed": None if row.drawn_at is None else seed.hex(),
        "tickets": row.tickets or [],
        "places": row.places or 0,
        "winners": row.winners or [],
    }


def alias(seed: bytes, player_id: str) -> str:
    """What stands for a player in a draw: theirs to recognise once the seed is told, and nobody else's."""
    return hashlib.sha256(seed + player_id.encode()).hexdigest()[:16]


#: Tickets, written with the row of the player they were given to; the first one brings the seed of its draw.
INSERT_TICKETS: Final = text(
    """
    WITH given AS (
        SELECT * FROM json_to_recordset(CAST(:rows AS json))
          AS t (player_id text, raffle text, period text, count integer, ref text, at timestamptz)
    ), seeded AS (
        INSERT INTO raffle_draws (brand, raffle, period, seed)
        SELECT :brand, raffle, period, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
        FROM given GROUP BY raffle, period
        ON CONFLICT DO NOTHING
    )
    INSERT INTO raffle_tickets (brand, raffle, period, player_id, count, ref, at)
    SELECT :brand, raffle, period, player_id, count, ref, at FROM given
    """
)
_OPEN: Final = text(
    """
    SELECT brand, raffle, period, seed FROM raffle_draws WHERE drawn_at IS NULL
    ORDER BY brand, raffle, period FOR UPDATE SKIP LOCKED
    """
)
_TICKETS: Final = text(
    """
    SELECT ticket, player_id, count FROM raffle_tickets
    WHERE brand = :brand AND raffle = :raffle AND period = :period ORDER BY ticket
    """
)
_DRAWN: Final = text(
    """
    UPDATE raffle_draws SET drawn_at = :at, tickets = CAST(:tickets AS jsonb), places = :places
    WHERE brand = :brand AND raffle = :raffle AND period = :period
    """
)
_WON: Final = text(
    """
    INSERT INTO raffle_winners (brand, raffle, period, place, player_id, ticket, prize)
    VALUES (:brand, :raffle, :period, :place, :player, :ticket, CAST(:prize AS jsonb))
    """
)
_NEXT_WINNER: Final = text(
    """
    SELECT brand, raffle, period, place, player_id, prize FROM raffle_winners
    WHERE settled_at IS NULL AND raffle = ANY(:raffles)
    ORDER BY brand, raffle, period, place LIMIT 1 FOR UPDATE SKIP LOCKED
    """
).bindparams(bindparam("raffles", type_=ARRAY(Text)))
_SETTLE: Final = text(
    """
    UPDATE raffle_winners SET settled_at = :at, withheld = :withheld
    WHERE brand = :brand AND raffle = :raffle AND period = :period AND place = :place
    """
)
_MINE: Final = text(
    """
    SELECT
        (SELECT coalesce(sum(count), 0) FROM raffle_tickets
         WHERE brand = :brand AND player_id = :player AND raffle = :raffle AND period = :period) AS mine,
        (SELECT coalesce(sum(count), 0) FROM raffle_tickets
         WHERE brand = :brand AND raffle = :raffle AND period = :period) AS all_of_them,
        (SELECT seed FROM raffle_draws WHERE brand = :brand AND raffle = :raffle AND period = :period) AS seed
    """
)
_PROOF: Final = text(
    """
    SELECT d.seed, d.drawn_at, d.tickets, d.places,
           (SELECT json_agg(json_build_array(w.place, w.ticket) ORDER BY w.place) FROM raffle_winners w
            WHERE w.brand = d.brand AND w.raffle = d.raffle AND w.period = d.period) AS winners
    FROM raffle_draws d WHERE d.brand = :brand AND d.raffle = :raffle AND d.period = :period
    """
)
