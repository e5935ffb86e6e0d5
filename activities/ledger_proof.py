"""Holds the journal of points against the rows of players: what each row has must follow from the journal alone."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database import Database
from activities.point_transfers import transfer_of
from workflows.loyalty.point_account import recomputed
from workflows.loyalty.point_transfers import PointTransfer
from workflows.player_state.state import PlayerState

#: Players whose journals are read in one go.
AT_ONCE: Final = 500


@dataclass(frozen=True)
class LedgerFault:
    """A player whose row does not follow from the journal, and how."""

    brand: str
    player_id: str
    detail: str


@dataclass(frozen=True)
class Proved:
    """What one batch came to."""

    players: int
    transfers: int
    faults: list[LedgerFault]


async def prove_ledger(database: Database) -> AsyncIterator[Proved]:
    """Recompute every player from the journal, a batch after the other; it writes nothing and holds no lock.

    Row and journal of a batch are read in one snapshot, so what is posted meanwhile disturbs nothing.
    """
    after = ("", "")
    while True:
        async with database.reading() as connection:
            await connection.execute(_ONE_SNAPSHOT)
            found = (await connection.execute(_BATCH, {"brand": after[0], "id": after[1], "limit": AT_ONCE})).all()
            if not found:
                return
            journals = await _journals(connection, after, (found[-1].brand, found[-1].id))
        faults = [
            LedgerFault(row.brand, row.id, detail)
            for row in found
            if (
                detail := fault_of(
                    PlayerState.from_text(row.brand, row.id, row.state), journals.get((row.brand, row.id), [])
                )
            )
        ]
        yield Proved(len(found), sum(map(len, journals.values())), faults)
        after = (found[-1].brand, found[-1].id)


def fault_of(state: PlayerState, journal: list[PointTransfer]) -> str | None:
    """What is wrong between a row and its journal; None where one follows from the other."""
    try:
        proof = recomputed(journal)
    except ValueError as broken:
        return str(broken)
    loyalty = state.loyalty
    known = 0 if loyalty is None else loyalty.transfers
    if known != proof.transfers:
        return f"the row knows {known} transfers and the journal {proof.transfers}"
    accounts = {} if loyalty is None else loyalty.points
    for currency in sorted({*accounts, *proof.points}):
        own, told = accounts.get(currency), proof.points.get(currency)
        lots = dict(told.lots) if told else {}
        for bucket in own.buckets.values() if own else ():
            if earned := bucket.points - bucket.posted:
                lots[bucket.lot] = lots.get(bucket.lot, 0) + earned
        if lots != (own.lots if own else {}) or (told.debt if told else 0) != (own.debt if own else 0):
            return f"of {currency} the row does not have what the journal comes to"
    return None


async def _journals(
    connection: AsyncConnection, after: tuple[str, str], upto: tuple[str, str]
) -> dict[tuple[str, str], list[PointTransfer]]:
    journals: dict[tuple[str, str], list[PointTransfer]] = {}
    bounds = {"brand": after[0], "id": after[1], "last_brand": upto[0], "last_id": upto[1]}
    for row in await connection.execute(_JOURNALS, bounds):
        journals.setdefault((row.brand, row.player_id), []).append(transfer_of(row))
    return journals


_ONE_SNAPSHOT: Final = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
_BATCH: Final = text(
    """
    SELECT brand, id, state::text AS state FROM players
    WHERE (brand, id) > (:brand, :id) AND state ? 'loyalty' ORDER BY brand, id LIMIT :limit
    """
)
_JOURNALS: Final = text(
    """
    SELECT * FROM point_transfers
    WHERE (brand, player_id) > (:brand, :id) AND (brand, player_id) <= (:last_brand, :last_id)
    ORDER BY brand, player_id, number
    """
)
