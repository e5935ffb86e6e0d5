"""The tables `wheel_days` and `spins`: the seed of each day of a wheel, and what every spin came to.

A seed is drawn before the first spin of the day and never changes; who recomputes a spin needs nothing but its record
and the seed, which is told when the day is over.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.loyalty_limits import take_shares
from activities.loyalty_tables import spins, wheel_days
from workflows.json_object import JsonObject
from workflows.loyalty.fair_draws import draw, seed_hash
from workflows.loyalty.spin_proofs import spin_id_of, spin_words
from workflows.loyalty.wheels import Instead, Wheel
from workflows.rewards import RewardBase

SEED_BYTES: Final = 32


@dataclass(frozen=True)
class Landed:
    """What a spin came to: the sector that was drawn, the prize, and why it is not the sector's."""

    spin_id: str
    drawn: int
    prize: RewardBase | None
    instead: Instead | None
    seed_hash: str
    nonce: int

    @property
    def told(self) -> JsonObject:
        """What the run is told that gave the spin."""
        prize = None if self.prize is None else self.prize.model_dump(mode="json")
        return {"spin_id": self.spin_id, "prize": prize}


@dataclass(frozen=True)
class Spin:
    """A spin that is to be made: the player's own word, its number on the wheel's day, and what it is known by."""

    brand: str
    player_id: str
    wheel: Wheel
    client_seed: str
    nonce: int
    #: Blanks in a row before it.
    blanks: int
    #: The press of the button.
    key: str
    #: The effect of a journey that gave it; None: it is one of the day's.
    given_by: str | None

    @property
    def spin_id(self) -> str:
        """Derived from the press, so that one press is one spin."""
        return spin_id_of(self.brand, self.player_id, self.key)


async def seed_of(connection: AsyncConnection, brand: str, wheel: str, day: str) -> bytes:
    """The seed of a day of a wheel, drawn now unless it was before."""
    asked = {"brand": brand, "wheel": wheel, "day": day}
    found = (await connection.execute(_SEED, asked)).scalar_one_or_none()
    if found is None:
        await connection.execute(_DRAW_SEED, asked | {"seed": secrets.token_bytes(SEED_BYTES)})
        found = (await connection.execute(_SEED, asked)).scalar_one()
    return bytes(found)


async def spin(connection: AsyncConnection, asked: Spin, now: datetime) -> Landed | None:
    """Spin for a player whose row is locked and who has the spin; None, and nothing drawn, where the budget is spent.

    Stock and budget are taken in this transaction: what is not committed was never won.
    """
    wheel, brand, day = asked.wheel, asked.brand, asked.wheel.day_of(now)
    seed = await seed_of(connection, brand, wheel.name, day)
    if not await take_shares(connection, brand, [wheel.share_of_spin(day)]):
        return None
    words = spin_words(wheel.name, wheel.version, asked.player_id, asked.client_seed, asked.nonce)
    drawn = draw(seed, words, wheel.weights)
    prize, instead = wheel.prize(drawn, asked.blanks)
    if not await take_shares(connection, brand, wheel.shares_of_prize(day, drawn, prize)):
        prize, instead = wheel.otherwise, "used_up"
    landed = Landed(asked.spin_id, drawn, prize, instead, seed_hash(seed), asked.nonce)
    row: JsonObject = {
        "id": landed.spin_id,
        "brand": brand,
        "player_id": asked.player_id,
        "wheel": wheel.name,
        "day": day,
        "version": wheel.version,
        "client_seed": asked.client_seed,
        "nonce": asked.nonce,
        "blanks": asked.blanks,
        "drawn": drawn,
        "instead": instead is not None,
        "reason": instead,
        "points": 0 if prize is None else prize.awarded_points,
        "given_by": asked.given_by,
        "at": now,
    }
    written = {"weights": orjson.dumps(wheel.weights).decode(), "prize": orjson.dumps(landed.told["prize"]).decode()}
    await connection.execute(_KEEP_SPIN, row | written)
    return landed


async def spin_given_by(connection: AsyncConnection, brand: str, player_id: str, key: str) -> JsonObject | None:
    """What was spun of what an effect has given; None where nobody has."""
    row = (await connection.execute(_GIVEN, {"brand": brand, "player": player_id, "key": key})).one_or_none()
    return None if row is None else {"spin_id": row.id, "prize": row.prize}


async def proof_of(
    connection: AsyncConnection, brand: str, player_id: str, spin_id: str, today: str
) -> JsonObject | None:
    """The record of a player's spin with the hash of its seed, and the seed itself once its day is over."""
    chosen = (
        select(spins, wheel_days.c.seed)
        .join(
            wheel_days,
            (wheel_days.c.brand == spins.c.brand)
            & (wheel_days.c.wheel == spins.c.wheel)
            & (wheel_days.c.day == spins.c.day),
        )
        .where(spins.c.id == spin_id, spins.c.brand == brand, spins.c.player_id == player_id)
    )
    row = (await connection.execute(chosen)).one_or_none()
    if row is None:
        return None
    seed = bytes(row.seed)
    return {
        "spin_id": row.id,
        "wheel": row.wheel,
        "day": row.day,
        "version": row.version,
        "player_id": row.player_id,
        "client_seed": row.client_seed,
        "nonce": row.nonce,
        "weights": row.weights,
        "drawn": row.drawn,
        "instead": row.instead,
        "reason": row.reason,
        "blanks": row.blanks,
        "points": row.points,
        "prize": row.prize,
        "seed_hash": seed_hash(seed),
        "seed": seed.hex() if row.day < today else None,
    }


_DRAW_SEED: Final = text(
    "INSERT INTO wheel_days (brand, wheel, day, seed) VALUES (:brand, :wheel, :day, :seed) ON CONFLICT DO NOTHING"
)
_SEED: Final = text("SELECT seed FROM wheel_days WHERE brand = :brand AND wheel = :wheel AND day = :day")
_KEEP_SPIN: Final = text(
    """
    INSERT INTO spins
        (id, brand, player_id, wheel, day, version, client_seed, nonce, blanks, weights, drawn, instead, reason, points,
         prize, given_by, at)
    VALUES (:id, :brand, :player_id, :wheel, :day, :version, :client_seed, :nonce, :blanks, CAST(:weights AS jsonb),
            :drawn, :instead, :reason, :points, CAST(:prize AS jsonb), :given_by, :at)
    """
)
_GIVEN: Final = text("SELECT id, prize FROM spins WHERE brand = :brand AND player_id = :player AND given_by = :key")
