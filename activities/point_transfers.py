"""The table `point_transfers`: the journal of points, written with the player's row in one transaction.

Only this module writes it, and only by adding: the database refuses to change a row or to take one away.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row, Text, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.loyalty_tables import point_transfers
from workflows.json_object import JsonObject
from workflows.loyalty.point_transfers import PointTransfer

INSERT: Final = text(
    """
    INSERT INTO point_transfers
        (brand, player_id, number, at, currency, debit, credit, cause, ref, amount, slices, bucket, units)
    SELECT :brand, player_id, number, at, currency, debit, credit, cause, ref, amount, slices, bucket, units
    FROM json_to_recordset(CAST(:rows AS json))
      AS t (player_id text, number bigint, at timestamptz, currency text, debit text, credit text, cause text, ref text,
            amount bigint, slices jsonb, bucket text, units jsonb)
    """
)


_LAST_UNITS: Final = text(
    """
    SELECT DISTINCT ON (bucket) bucket, units FROM point_transfers
    WHERE brand = :brand AND player_id = :player AND bucket = ANY(:buckets) ORDER BY bucket, number DESC
    """
).bindparams(bindparam("buckets", type_=ARRAY(Text)))


def transfer_row(player_id: str, transfer: PointTransfer) -> JsonObject:
    """The row of a transfer."""
    return {
        "player_id": player_id,
        "number": transfer.number,
        "at": transfer.at,
        "currency": transfer.currency,
        "debit": transfer.debit,
        "credit": transfer.credit,
        "cause": transfer.cause,
        "ref": transfer.ref,
        "amount": transfer.amount,
        "slices": dict(transfer.slices),
        "bucket": transfer.bucket,
        "units": None if transfer.units is None else dict(transfer.units),
    }


def transfer_of(row: Row[Any]) -> PointTransfer:
    """The transfer of a row."""
    names = ("number", "currency", "amount", "debit", "credit", "cause", "ref", "at", "slices", "bucket", "units")
    return PointTransfer(**{name: getattr(row, name) for name in names})


async def journal(connection: AsyncConnection, brand: str, player_id: str) -> list[PointTransfer]:
    """Every transfer of a player, the first one first."""
    mine = (point_transfers.c.brand == brand, point_transfers.c.player_id == player_id)
    rows = await connection.execute(select(point_transfers).where(*mine).order_by(point_transfers.c.number))
    return [transfer_of(row) for row in rows]


async def last_units(
    connection: AsyncConnection, brand: str, player_id: str, buckets: Sequence[str]
) -> dict[str, dict[str, int]]:
    """By bucket: the sums that its last transfer was made of; nothing of one that has none."""
    asked = {"brand": brand, "player": player_id, "buckets": buckets}
    return {row.bucket: row.units for row in await connection.execute(_LAST_UNITS, asked)}


async def statement(
    connection: AsyncConnection, brand: str, player_id: str, *, currency: str, before: int | None, limit: int
) -> list[PointTransfer]:
    """The newest transfers of a player in a currency, older than number `before` where it is given."""
    chosen = select(point_transfers).where(
        point_transfers.c.brand == brand,
        point_transfers.c.player_id == player_id,
        point_transfers.c.currency == currency,
    )
    if before is not None:
        chosen = chosen.where(point_transfers.c.number < before)
    rows = await connection.execute(chosen.order_by(point_transfers.c.number.desc()).limit(limit))
    return [transfer_of(row) for row in rows]
