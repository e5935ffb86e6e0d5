"""The table `erasures`: players whose data is to be erased, how far that is, and the certificates of what was done.

Only this module writes it. The request protects the player, empties their profile and refuses their past in one
transaction of the API. The rest goes in pieces, each a transaction of the owner of the tables, because the application
may not rewrite a fact; cut off at any moment it goes on from there.
"""

import hashlib
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import orjson
from sqlalchemy import TextClause, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from activities import month_partitions
from activities.database import Database
from activities.intake import stray_refusals, suppressions
from activities.intake.event_store import ERASE, ERASE_RECORDS, FIRST_PLACE, personal_fields
from activities.intake.intake import Intake
from activities.personal_data import PERSONAL_DATA
from activities.player_rows import empty_profile, read_profile
from activities.privacy_classes import KEPT_EVENTS, kept_types
from activities.tables import erasures
from activities.tasks import cancel_by_hand
from workflows.json_object import JsonObject
from workflows.player_state.erasing import forget
from workflows.task_kinds import TASK_KINDS

#: Rows of a piece; of events, which are found by a place and not looked for anew, more.
AT_ONCE, EVENTS_AT_ONCE = 1_000, 5_000
#: Why a person may ask for it: the letters of art. 17(1) GDPR, and the end of the time that data may be kept for.
Ground = Literal["no_longer_needed", "consent_withdrawn", "objection", "unlawful", "legal_obligation", "retention"]
_DONE: Final = "done"
#: Under this name `progress` says that no run was under way when the tables were begun.
_QUIET: Final = "quiet"


@dataclass(frozen=True, slots=True)
class Erasure:
    """A row of `erasures`."""

    id: str
    brand: str
    player_id: str
    ground: str
    reference: str
    asked_by: str
    asked_at: datetime
    suppressed: int
    progress: JsonObject
    counts: dict[str, dict[str, int]]
    done_at: datetime | None
    hash: str | None

    @property
    def certificate(self) -> JsonObject:
        """What is certified: what was erased, when, who asked, how many rows of each table, and what stays and why.

        `hash` is SHA-256 over it as JSON with sorted keys and without blanks.
        """
        return {
            "id": self.id,
            "brand": self.brand,
            "player_id": self.player_id,
            "ground": self.ground,
            "reference": self.reference,
            "asked_by": self.asked_by,
            "asked_at": self.asked_at.isoformat(),
            "done_at": None if self.done_at is None else self.done_at.isoformat(),
            "tables": {name: self.counts.get(name, {}) for name in sorted(self.counts)},
            "kept": {name: {"types": [*one.types], "why": one.why} for name, one in KEPT_EVENTS.items()},
            "suppressed_exclusions": self.suppressed,
        }


_COLUMNS: Final = [erasures.c[name] for name in Erasure.__dataclass_fields__]


@dataclass(frozen=True, slots=True)
class ErasureRequest:
    """Whom to erase, why, and who asks. `reference` is the number of a ticket, never a sentence about the person."""

    brand: str
    player_id: str
    ground: Ground
    reference: str
    asked_by: str


async def request_erasure(
    connection: AsyncConnection, intake: Intake, asked: ErasureRequest, now: datetime
) -> tuple[Erasure, bool, list[str]]:
    """Begin to erase a player, or find that it was asked for: then the second value is true and nothing changes.

    The third names the person's other accounts.
    When it is committed the player is protected, their profile is empty, their runs are told to end, and what happened
    before is taken in no more. A player nobody heard of is erased too: their past may be on its way.
    """
    brand, player_id = asked.brand, asked.player_id
    async with intake.locked(connection, brand, [player_id], now, create=True) as players:
        state = players.states[player_id]
        newest = await newest_of(connection, brand, player_id)
        if newest is not None and state.is_erased and not state.counts:
            return newest, True, state.accounts
        # What the engine itself asks stays: it protects, or says what became of money.
        await cancel_by_hand(connection, brand, [player_id], TASK_KINDS, "The player is erased.", now)
        # Whatever was committed before has been received before this moment, by the same clock.
        now = (await connection.execute(_CLOCK)).scalar_one()
        state.adopt_status()
        profile = await read_profile(connection, brand, player_id)
        suppressed = await suppressions.suppress(
            connection, intake.digests, brand, intake.groups.others(brand), state, profile, now
        )
        await stray_refusals.forget(connection, intake.digests, brand, profile)
        players.record(player_id, forget(state, now))
        await empty_profile(connection, brand, player_id)
        values: JsonObject = {
            "id": secrets.token_hex(8),
            "brand": brand,
            "player_id": player_id,
            "ground": asked.ground,
            "reference": asked.reference,
            "asked_by": asked.asked_by,
            "asked_at": now,
            "suppressed": suppressed,
        }
        row = (await connection.execute(erasures.insert().values(values).returning(*_COLUMNS))).one()
        return Erasure(*row), False, state.accounts


async def newest_of(connection: AsyncConnection, brand: str, player_id: str) -> Erasure | None:
    """The newest erasure of a player, None if there is none."""
    found = await all_of(connection, brand, player_id, limit=1)
    return found[0] if found else None


async def all_of(connection: AsyncConnection, brand: str, player_id: str, limit: int = 50) -> Sequence[Erasure]:
    """The erasures of a player, the newest first."""
    mine = (erasures.c.brand == brand, erasures.c.player_id == player_id)
    query = select(*_COLUMNS).where(*mine).order_by(erasures.c.asked_at.desc(), erasures.c.id).limit(limit)
    return [Erasure(*row) for row in await connection.execute(query)]


async def erase_due(database: Database, *, at_once: int = AT_ONCE) -> AsyncIterator[Erasure]:
    """Do what is open, piece by piece; each erasure is told after each piece, as it is then.

    Must run as the owner of the tables. Any number may run at once. One whose player still has a run under way is gone
    through again when that has ended.
    """
    while await _move_back(database):
        pass
    async with database.reading() as connection:
        due = select(erasures.c.id).where(erasures.c.done_at.is_(None)).order_by(erasures.c.asked_at, erasures.c.id)
        ids = [*(await connection.execute(due)).scalars()]
    for erasure_id in ids:
        more = True
        while more:
            async with database.transaction() as connection:
                erasure, more = await _piece(connection, erasure_id, at_once)
            if erasure is not None:
                yield erasure


async def _move_back(database: Database) -> bool:
    """Put events that stand apart from their table where they are found."""
    async with database.transaction() as connection:
        return await month_partitions.move_back(connection, "events")


async def _piece(connection: AsyncConnection, erasure_id: str, at_once: int) -> tuple[Erasure | None, bool]:
    """Do a piece of an erasure: the erasure after it, and whether there is more to do now."""
    mine = select(*_COLUMNS).where(erasures.c.id == erasure_id, erasures.c.done_at.is_(None))
    row = (await connection.execute(mine.with_for_update(skip_locked=True))).one_or_none()
    if row is None:
        return None, False
    erasure = Erasure(*row)
    progress = dict(erasure.progress)
    if _QUIET not in progress:
        progress[_QUIET] = not await _has_runs(connection, erasure)
    table = next((name for name in PERSONAL_DATA if progress.get(name) != _DONE), None)
    if table is None:
        return await _finish(connection, erasure, progress)
    if table in _EVENTS:
        rows, overwritten = await _erase_events(connection, erasure, table, progress)
    else:
        rows, overwritten = 0, await _erase_rows(connection, erasure, table, at_once, progress)
    counts = {name: dict(of) for name, of in erasure.counts.items()}
    _add(counts, table, "deleted", rows)
    _add(counts, table, _verb(table), overwritten)
    return await _save(connection, erasure, progress=progress, counts=counts), True


def _verb(table: str) -> Literal["deleted", "overwritten"]:
    statements = PERSONAL_DATA[table].erase
    return "deleted" if statements and "DELETE" in statements[0].text else "overwritten"


def _add(counts: dict[str, dict[str, int]], table: str, what: str, rows: int) -> None:
    if rows:
        of_table = counts.setdefault(table, {})
        of_table[what] = of_table.get(what, 0) + rows


async def _erase_events(
    connection: AsyncConnection, erasure: Erasure, table: str, progress: JsonObject
) -> tuple[int, int]:
    """Erase the next events behind the place that was reached: how many were deleted, and overwritten."""
    at, seq = progress.get(table) or FIRST_PLACE
    asked = {
        "brand": erasure.brand,
        "player": erasure.player_id,
        "before": erasure.asked_at,
        "at": at,
        "seq": seq,
        "limit": EVENTS_AT_ONCE,
        "kept": kept_types(),
        "personal": orjson.dumps(personal_fields()).decode(),
    }
    did = (await connection.execute(_EVENTS[table], asked)).one()
    progress[table] = [did.at.isoformat(), did.seq] if did.looked_at == EVENTS_AT_ONCE else _DONE
    return did.deleted, did.overwritten


async def _erase_rows(
    connection: AsyncConnection, erasure: Erasure, table: str, at_once: int, progress: JsonObject
) -> int:
    """Erase some rows of a table; it is done when there were none."""
    asked = {"brand": erasure.brand, "player": erasure.player_id, "before": erasure.asked_at, "limit": at_once}
    rows = 0
    for statement in PERSONAL_DATA[table].erase:
        rows += (await connection.execute(statement, asked)).rowcount
    if rows == 0:
        progress[table] = _DONE
    return rows


async def _finish(connection: AsyncConnection, erasure: Erasure, progress: JsonObject) -> tuple[Erasure, bool]:
    """Certify an erasure; one that began while runs were under way is gone through once more when they are over."""
    if not progress[_QUIET]:
        if not await _has_runs(connection, erasure):
            left = {name: place for name, place in progress.items() if name in _EVENTS}
            return await _save(connection, erasure, progress=left | {_QUIET: True}), True
        return await _save(connection, erasure, progress=progress), False
    done_at: datetime = (await connection.execute(_NOW)).scalar_one()
    done = await _save(connection, erasure, progress={}, done_at=done_at)
    digest = hashlib.sha256(orjson.dumps(done.certificate, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return await _save(connection, done, hash=digest), False


async def _has_runs(connection: AsyncConnection, erasure: Erasure) -> bool:
    whose = {"brand": erasure.brand, "player": erasure.player_id, "before": erasure.asked_at}
    return bool((await connection.execute(_RUNS, whose)).scalar_one())


async def _save(connection: AsyncConnection, erasure: Erasure, **values: object) -> Erasure:
    changed = update(erasures).where(erasures.c.id == erasure.id).values(**values).returning(*_COLUMNS)
    return Erasure(*(await connection.execute(changed)).one())


_EVENTS: Final[dict[str, TextClause]] = {"events": ERASE, "kept_events": ERASE_RECORDS}
_NOW: Final = text("SELECT now()")
_CLOCK: Final = text("SELECT clock_timestamp()")
_RUNS: Final = text(
    """
    SELECT EXISTS (SELECT FROM runs WHERE brand = :brand AND player_id = :player AND entered_at <= :before
                   AND state = 'active')
        OR EXISTS (SELECT FROM shadow_runs WHERE brand = :brand AND player_id = :player AND ended_at IS NULL
                   AND ends_at > now() - interval '1 day')
    """
)
