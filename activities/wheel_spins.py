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

from activities.loyalty_limits import take_of
from activities.loyalty_tables import spins, wheel_days
from workflows.json_object import JsonObject
from workflows.loyalty.wheels import Wheel, draw, seed_hash, spin_words

SEED_BYTES: Final = 32


@dataclass(frozen=True)
class Landed:
    """What a spin came to: the sector that was drawn, and whether `otherwise` was given for it."""

    spin_id: str
    drawn: int
    points: int
    instead: bool
    seed_hash: str
    nonce: int


async def seed_of(connection: AsyncConnection, brand: str, wheel: str, day: str) -> bytes:
    """The seed of a day of a wheel, drawn now unless it was before."""
    asked = {"brand": brand, "wheel": wheel, "day": day, "seed": secrets.token_bytes(SEED_BYTES)}
    await connection.execute(_DRAW_SEED, asked)
    seed: bytes = (await connection.execute(_SEED, {"brand": brand, "wheel": wheel, "day": day})).scalar_one()
    return bytes(seed)


async def spin(
    connection: AsyncConnection, brand: str, player_id: str, wheel: Wheel, client_seed: str, nonce: int, now: datetime
) -> Landed | None:
    """Spin for a player whose row is locked and who has the attempt; None where the day's budget bears no prize.

    Stock and budget are taken in this transaction: what is not committed was never won.
    """
    day = wheel.day_of(now)
    least = wheel.otherwise.awarded_points
    budget = f"wheel:{wheel.name}:{day}"
    if not await take_of(connection, brand, budget, least, most=wheel.budget):
        return None
    seed = await seed_of(connection, brand, wheel.name, day)
    drawn = draw(seed, spin_words(wheel.name, wheel.version, player_id, client_seed, nonce), wheel.weights)
    sector = wheel.sectors[drawn]
    points = sector.gives.awarded_points
    left = not sector.stock or await take_of(connection, brand, f"{budget}:{drawn}", 1, most=sector.stock)
    if left and points > least:
        left = await take_of(connection, brand, budget, points - least, most=wheel.budget)
    landed = Landed(
        spin_id=secrets.token_hex(12),
        drawn=drawn,
        points=points if left else least,
        instead=not left,
        seed_hash=seed_hash(seed),
        nonce=nonce,
    )
    row: JsonObject = {
        "id": landed.spin_id,
        "brand": brand,
        "player_id": player_id,
        "wheel": wheel.name,
        "day": day,
        "version": wheel.version,
        "client_seed": client_seed,
        "nonce": nonce,
        "drawn": drawn,
        "instead": landed.instead,
        "points": landed.points,
        "at": now,
    }
    await connection.execute(_KEEP_SPIN, row | {"weights": orjson.dumps(wheel.weights).decode()})
    return landed


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
        "points": row.points,
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
        (id, brand, player_id, wheel, day, version, client_seed, nonce, weights, drawn, instead, points, at)
    VALUES (:id, :brand, :player_id, :wheel, :day, :version, :client_seed, :nonce, CAST(:weights AS jsonb), :drawn,
            :instead, :points, :at)
    """
)
