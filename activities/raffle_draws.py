"""The tables `raffle_tickets`, `raffle_draws`, `raffle_winners`: who has tickets, what was drawn, who won what.

Only this module writes them. The seed of a draw is drawn with the first ticket and its hash shown; it is told when the
winners are written. The key that holders' names are made with is told to nobody: with it anybody could try ids.
"""

import asyncio
import hmac
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
from sqlalchemy import Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from workflows.json_object import JsonObject
from workflows.loyalty.fair_draws import seed_hash
from workflows.loyalty.raffle_winners import Bundle, RaffleDraw
from workflows.loyalty.raffles import RaffleTerms

ALIAS_KEY_BYTES: Final = 32
#: Bundles in one page of a draw's record.
PROOF_PAGE: Final = 10_000


@dataclass(frozen=True)
class OpenDraw:
    """A draw that has not been made."""

    brand: str
    raffle: str
    period: str
    seed: bytes
    #: None: nobody who knows the raffle has seen it yet.
    terms: RaffleTerms | None

    @property
    def key(self) -> dict[str, str]:
        """What it is found by."""
        return {"brand": self.brand, "raffle": self.raffle, "period": self.period}


@dataclass(frozen=True)
class Winner:
    """A place whose prize is still to be given, locked until the transaction ends."""

    brand: str
    raffle: str
    period: str
    place: int
    player_id: str
    prize: JsonObject
    terms: RaffleTerms | None
    failures: int
    drawn_at: datetime
    #: The account that stayed, where the winner's was merged into another since.
    merged_into: str | None

    @property
    def key(self) -> dict[str, str | int]:
        """What it is found by."""
        return {"brand": self.brand, "raffle": self.raffle, "period": self.period, "place": self.place}


async def open_draws(connection: AsyncConnection) -> list[OpenDraw]:
    """Every draw that has not been made."""
    return [
        OpenDraw(row.brand, row.raffle, row.period, bytes(row.seed), _terms(row.terms))
        for row in await connection.execute(_OPEN)
    ]


async def keep_terms(connection: AsyncConnection, draw: OpenDraw, terms: RaffleTerms) -> RaffleTerms:
    """Keep what is promised of a draw, unless somebody has; what is kept."""
    kept = await connection.execute(_KEEP_TERMS, draw.key | {"terms": terms.model_dump_json()})
    return RaffleTerms.model_validate(kept.scalar_one())


async def lock(connection: AsyncConnection, draw: OpenDraw) -> bool:
    """Lock a draw until the transaction ends; False where it is made, or somebody else is at it."""
    return (await connection.execute(_LOCK, draw.key)).first() is not None


async def holders(connection: AsyncConnection, draw: OpenDraw) -> list[Bundle]:
    """The bundles of a draw, each held by a player, the oldest first.

    Those of an account that was merged away are the survivor's: one person is one holder.
    """
    return [Bundle(ticket, player, count) for ticket, player, count in await connection.execute(_TICKETS, draw.key)]


async def keep_drawn(
    connection: AsyncConnection,
    draw: OpenDraw,
    terms: RaffleTerms,
    bundles: Sequence[Bundle],
    drawn: RaffleDraw,
    now: datetime,
) -> None:
    """Write down what was drawn from, who won what and who was passed over. Holders of bundles are players."""
    key, prizes = secrets.token_bytes(ALIAS_KEY_BYTES), terms.by_place
    passed = [[one.place, one.bundle.ticket, alias(key, one.bundle.holder)] for one in drawn.passed_over]
    # Not on the loop: a million bundles are seconds.
    told = await asyncio.to_thread(_told, key, bundles)
    written = {"tickets": told, "passed_over": orjson.dumps(passed).decode(), "places": len(prizes)}
    await connection.execute(_DRAWN, draw.key | written | {"alias_key": key, "at": now})
    won = [
        draw.key
        | {
            "place": one.place,
            "player": one.bundle.holder,
            "ticket": one.bundle.ticket,
            "prize": orjson.dumps(prizes[one.place - 1]).decode(),
        }
        for one in drawn.won
    ]
    if won:
        await connection.execute(_WON, won)


def _told(key: bytes, bundles: Sequence[Bundle]) -> str:
    """What was drawn from, as it is told."""
    return orjson.dumps([[one.ticket, alias(key, one.holder), one.count] for one in bundles]).decode()


async def next_winner(connection: AsyncConnection, raffles: Collection[str], now: datetime) -> Winner | None:
    """The next place whose prize is to be given and that nobody else is giving, locked until the transaction ends.

    Only places of draws that keep their terms, or of these raffles.
    """
    row = (await connection.execute(_NEXT_WINNER, {"raffles": [*raffles], "now": now})).one_or_none()
    return None if row is None else Winner(**{**row._mapping, "terms": _terms(row.terms)})  # noqa: SLF001 - its name


async def lock_winner(connection: AsyncConnection, winner: Winner) -> Winner | None:
    """The same place, locked until the transaction ends; None where it is done with, or somebody gives it."""
    row = (await connection.execute(_SAME_WINNER, winner.key)).one_or_none()
    return None if row is None else Winner(**{**row._mapping, "terms": _terms(row.terms)})  # noqa: SLF001 - its name


async def settle(connection: AsyncConnection, winner: Winner, withheld: str | None, now: datetime) -> None:
    """Write down that a place has its prize, or why it has none."""
    await connection.execute(_SETTLE, winner.key | {"withheld": withheld, "at": now})


async def push_back(connection: AsyncConnection, winner: Winner, due_at: datetime) -> None:
    """Count a failure of a place and try it again later, after all others."""
    await connection.execute(_PUSH_BACK, winner.key | {"due_at": due_at})


async def tickets_of(connection: AsyncConnection, brand: str, player_id: str, raffle: str, period: str) -> JsonObject:
    """A player's tickets in a period, the hash of the seed, and the terms kept; None before the first ticket."""
    asked = {"brand": brand, "player": player_id, "raffle": raffle, "period": period}
    row = (await connection.execute(_MINE, asked)).one()
    hashed = None if row.seed is None else seed_hash(bytes(row.seed))
    return {"mine": row.mine, "seed_hash": hashed, "terms": _terms(row.terms)}


async def proof_of_draw(
    connection: AsyncConnection, brand: str, raffle: str, period: str, player_id: str, *, after: int = 0
) -> JsonObject | None:
    """The record of a draw, from which anybody draws it again, and the player's own name in it.

    At most `PROOF_PAGE` bundles, those after the first `after`; `next` is where the next page begins. None where nobody
    has a ticket.
    """
    asked = {"brand": brand, "raffle": raffle, "period": period, "after": after, "to": after + PROOF_PAGE}
    row = (await connection.execute(_PROOF, asked)).one_or_none()
    if row is None:
        return None
    seed = bytes(row.seed)
    return {
        "raffle": raffle,
        "period": period,
        "seed_hash": seed_hash(seed),
        "seed": None if row.drawn_at is None else seed.hex(),
        "tickets": row.page or [],
        "bundles": row.bundles,
        "next": after + PROOF_PAGE if after + PROOF_PAGE < row.bundles else None,
        "own_name": None if row.alias_key is None else alias(bytes(row.alias_key), player_id),
        "places": row.places or 0,
        "passed_over": row.passed_over or [],
        "winners": row.winners or [],
    }


def alias(key: bytes, player_id: str) -> str:
    """What stands for a player in a draw; who has not the key of the draw finds nobody by it, whatever ids they try."""
    return hmac.digest(key, player_id.encode(), "sha256").hex()[:16]


def _terms(kept: JsonObject | None) -> RaffleTerms | None:
    return None if kept is None else RaffleTerms.model_validate(kept)


#: Tickets, written with the row of the player they were given to; the first one brings the seed of its draw. The draw
#: waits for those that are being written, and those that come after it belong to the next period.
INSERT_TICKETS: Final = text(
    """
    WITH given AS (
        SELECT * FROM json_to_recordset(CAST(:rows AS json))
          AS t (player_id text, raffle text, period text, count integer, ref text, at timestamptz)
    ), known AS (
        SELECT d.raffle, d.period, d.terms ->> 'next_period' AS next_period, d.drawn_at IS NOT NULL AS drawn
        FROM raffle_draws d
        WHERE d.brand = :brand AND (d.raffle, d.period) IN (SELECT g.raffle, g.period FROM given g)
            -- While the period lasts nobody draws it, and nobody need wait.
            AND (d.drawn_at IS NOT NULL OR CAST(d.terms ->> 'draws_at' AS timestamptz) <= now())
        ORDER BY d.raffle, d.period FOR SHARE
    ), placed AS (
        SELECT g.raffle, CASE WHEN k.drawn THEN coalesce(k.next_period, g.period) ELSE g.period END AS period,
               g.player_id, g.count, g.ref, g.at
        FROM given g LEFT JOIN known k USING (raffle, period)
    ), seeded AS (
        INSERT INTO raffle_draws (brand, raffle, period, seed)
        SELECT :brand, raffle, period, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
        FROM placed GROUP BY raffle, period
        ON CONFLICT DO NOTHING
    )
    INSERT INTO raffle_tickets (brand, raffle, period, player_id, count, ref, at)
    SELECT :brand, raffle, period, player_id, count, ref, at FROM placed
    """
)
_OPEN: Final = text(
    """
    SELECT brand, raffle, period, seed, terms FROM raffle_draws WHERE drawn_at IS NULL ORDER BY brand, raffle, period
    """
)
_KEEP_TERMS: Final = text(
    """
    UPDATE raffle_draws SET terms = coalesce(terms, CAST(:terms AS jsonb))
    WHERE brand = :brand AND raffle = :raffle AND period = :period RETURNING terms
    """
)
_LOCK: Final = text(
    """
    SELECT 1 FROM raffle_draws WHERE brand = :brand AND raffle = :raffle AND period = :period AND drawn_at IS NULL
    FOR UPDATE SKIP LOCKED
    """
)
_TICKETS: Final = text(
    """
    SELECT t.ticket, coalesce(p.state ->> 'merged_into', t.player_id), t.count
    FROM raffle_tickets t LEFT JOIN players p ON p.brand = t.brand AND p.id = t.player_id
    WHERE t.brand = :brand AND t.raffle = :raffle AND t.period = :period ORDER BY t.ticket
    """
)
_DRAWN: Final = text(
    """
    UPDATE raffle_draws
    SET drawn_at = :at, tickets = CAST(:tickets AS jsonb), passed_over = CAST(:passed_over AS jsonb), places = :places,
        alias_key = :alias_key
    WHERE brand = :brand AND raffle = :raffle AND period = :period
    """
)
_WON: Final = text(
    """
    INSERT INTO raffle_winners (brand, raffle, period, place, player_id, ticket, prize)
    VALUES (:brand, :raffle, :period, :place, :player, :ticket, CAST(:prize AS jsonb))
    """
)
_WINNER: Final = """
    SELECT w.brand, w.raffle, w.period, w.place, w.player_id, w.prize, d.terms, w.failures, d.drawn_at,
           (SELECT p.state ->> 'merged_into' FROM players p WHERE p.brand = w.brand AND p.id = w.player_id)
               AS merged_into
    FROM raffle_winners w JOIN raffle_draws d USING (brand, raffle, period)
    WHERE w.settled_at IS NULL
    """
_NEXT_WINNER: Final = text(
    f"""
    {_WINNER} AND (w.due_at IS NULL OR w.due_at <= :now) AND (d.terms IS NOT NULL OR w.raffle = ANY(:raffles))
    ORDER BY w.brand, w.raffle, w.period, w.place LIMIT 1 FOR UPDATE OF w SKIP LOCKED
    """
).bindparams(bindparam("raffles", type_=ARRAY(Text)))
_SAME_WINNER: Final = text(
    f"""
    {_WINNER} AND w.brand = :brand AND w.raffle = :raffle AND w.period = :period AND w.place = :place
    FOR UPDATE OF w SKIP LOCKED
    """
)
_SETTLE: Final = text(
    """
    UPDATE raffle_winners SET settled_at = :at, withheld = :withheld
    WHERE brand = :brand AND raffle = :raffle AND period = :period AND place = :place
    """
)
_PUSH_BACK: Final = text(
    """
    UPDATE raffle_winners SET due_at = :due_at, failures = failures + 1
    WHERE brand = :brand AND raffle = :raffle AND period = :period AND place = :place AND settled_at IS NULL
    """
)
_MINE: Final = text(
    """
    SELECT
        (SELECT coalesce(sum(count), 0) FROM raffle_tickets
         WHERE brand = :brand AND player_id = :player AND raffle = :raffle AND period = :period) AS mine,
        d.seed, d.terms
    FROM (SELECT) AS once
    LEFT JOIN raffle_draws d ON d.brand = :brand AND d.raffle = :raffle AND d.period = :period
    """
)
_PROOF: Final = text(
    """
    SELECT d.seed, d.drawn_at, d.places, d.passed_over, d.alias_key,
           coalesce(jsonb_array_length(d.tickets), 0) AS bundles,
           (SELECT jsonb_agg(t.bundle ORDER BY t.place)
            FROM jsonb_array_elements(d.tickets) WITH ORDINALITY AS t (bundle, place)
            WHERE t.place > :after AND t.place <= :to) AS page,
           (SELECT json_agg(json_build_array(w.place, w.ticket) ORDER BY w.place) FROM raffle_winners w
            WHERE w.brand = d.brand AND w.raffle = d.raffle AND w.period = d.period) AS winners
    FROM raffle_draws d WHERE d.brand = :brand AND d.raffle = :raffle AND d.period = :period
    """
)
