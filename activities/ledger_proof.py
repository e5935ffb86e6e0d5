"""Holds the journal of points against the rows of players: what each row has must follow from the journal alone.

Postgres adds the journal up, player by player; a player whose sums are not what the row says is replayed transfer by
transfer, which tells where it went wrong. `every_step` replays everybody: it also finds a journal that comes out right
by a way that cannot be.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database import Database
from activities.point_transfers import transfer_of
from workflows.loyalty.point_transfers import PointTransfer
from workflows.loyalty.postings import recomputed

#: Players whose journals are added up in one go, and replayed in one go.
AT_ONCE: Final = 2_000
REPLAYED_AT_ONCE: Final = 500


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


@dataclass
class Balance:
    """What a player has of one currency."""

    lots: Counter[str] = field(default_factory=Counter)
    available: int = 0
    debt: int = 0
    held: int = 0

    @property
    def known(self) -> tuple[dict[str, int], int, int]:
        """What of it is not nothing, to be compared."""
        return {lot: points for lot, points in self.lots.items() if points}, self.debt, self.held


@dataclass
class Added:
    """A player's journal added up: how many transfers, the number of the newest, and the balances."""

    transfers: int = 0
    newest: int = 0
    balances: dict[str, Balance] = field(default_factory=dict)

    def balance(self, currency: str) -> Balance:
        """The balance of a currency, from now on."""
        return self.balances.setdefault(currency, Balance())


async def prove_ledger(database: Database, *, every_step: bool = False) -> AsyncIterator[Proved]:
    """Recompute every player from the journal, a batch after the other; it writes nothing and holds no lock.

    Row and journal of a batch are read in one snapshot, so what is posted meanwhile disturbs nothing.
    """
    after, limit = ("", ""), REPLAYED_AT_ONCE if every_step else AT_ONCE
    while True:
        async with database.reading() as connection:
            await connection.execute(_ONE_SNAPSHOT)
            found = (await connection.execute(_BATCH, {"brand": after[0], "id": after[1], "limit": limit})).all()
            if not found:
                return
            bounds = {"brand": after[0], "id": after[1], "last_brand": found[-1].brand, "last_id": found[-1].id}
            added = await _added(connection, bounds)
            faults = []
            for row in found:
                rows = orjson.loads(row.loyalty)
                sums = added.get((row.brand, row.id), Added())
                detail = fault_of(rows, sums)
                if every_step or detail is not None:
                    detail = _fault_in(await _journal(connection, row.brand, row.id)) or detail
                if detail is not None:
                    faults.append(LedgerFault(row.brand, row.id, detail))
        yield Proved(len(found), sum(one.transfers for one in added.values()), faults)
        after = (found[-1].brand, found[-1].id)


def fault_of(loyalty: Mapping[str, Any], journal: Added) -> str | None:
    """What is wrong between what a row stores of loyalty and the sums of its journal; None where one follows."""
    known = loyalty.get("transfers", 0)
    if known != journal.newest or known != journal.transfers:
        return f"the row knows {known} transfers and the journal {journal.transfers}"
    accounts: Mapping[str, Any] = loyalty.get("points", {})
    for currency in sorted({*accounts, *journal.balances}):
        own = accounts.get(currency, {})
        told = journal.balance(currency)
        if told.lots.total() != told.available:
            return f"of {currency} the slices of the journal are not its points"
        for bucket in own.get("buckets", {}).values():
            told.lots[bucket["lot"]] += bucket.get("points", 0) - bucket.get("posted", 0)
        if told.known != (own.get("lots", {}), own.get("debt", 0), own.get("held", 0)):
            return f"of {currency} the row does not have what the journal comes to"
    return None


def _fault_in(journal: list[PointTransfer]) -> str | None:
    try:
        recomputed(journal)
    except ValueError as broken:
        return str(broken)
    return None


async def _added(connection: AsyncConnection, bounds: Mapping[str, str]) -> dict[tuple[str, str], Added]:
    added: dict[tuple[str, str], Added] = {}
    for row in await connection.execute(_TOTALS, bounds):
        sums = added.setdefault((row.brand, row.player_id), Added())
        sums.transfers += row.transfers
        sums.newest = max(sums.newest, row.newest)
        balance = sums.balance(row.currency)
        balance.available, balance.debt, balance.held = row.available, row.debt, row.held
    for row in await connection.execute(_LOTS, bounds):
        added[row.brand, row.player_id].balance(row.currency).lots[row.lot] += row.points
    return added


async def _journal(connection: AsyncConnection, brand: str, player_id: str) -> list[PointTransfer]:
    return [transfer_of(row) for row in await connection.execute(_JOURNAL, {"brand": brand, "player": player_id})]


def _sum_of(account: str) -> str:
    """What came to an account of the player, less what left it."""
    return f"sum(CASE WHEN credit = '{account}' THEN amount WHEN debit = '{account}' THEN -amount ELSE 0 END)::bigint"


_ONE_SNAPSHOT: Final = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
_BATCH: Final = text(
    """
    SELECT brand, id, (state -> 'loyalty')::text AS loyalty FROM players
    WHERE (brand, id) > (:brand, :id) AND state ? 'loyalty' ORDER BY brand, id LIMIT :limit
    """
)
_WHOSE: Final = "(brand, player_id) > (:brand, :id) AND (brand, player_id) <= (:last_brand, :last_id)"
_TOTALS: Final = text(
    f"""
    SELECT brand, player_id, currency, count(*) AS transfers, max(number) AS newest,
           {_sum_of("available")} AS available, -{_sum_of("debt")} AS debt, {_sum_of("held")} AS held
    FROM point_transfers WHERE {_WHOSE} GROUP BY brand, player_id, currency
    """  # noqa: S608 - our own words
)
_LOTS: Final = text(
    f"""
    SELECT brand, player_id, currency, lot.key AS lot,
           sum(CASE WHEN credit = 'available' THEN lot.value::bigint ELSE -lot.value::bigint END)::bigint AS points
    FROM point_transfers, jsonb_each_text(slices) AS lot
    WHERE {_WHOSE} AND 'available' IN (debit, credit) GROUP BY brand, player_id, currency, lot.key
    """  # noqa: S608 - our own words
)
_JOURNAL: Final = text("SELECT * FROM point_transfers WHERE brand = :brand AND player_id = :player ORDER BY number")
