"""Players whose rows a session elsewhere keeps locked, so that nobody waits for one with a connection in hand.

A session that hangs, be it a person's psql, a backup or a frozen process, may hold a row for hours. Who meets it gives
up after the lock's time limit; from then on whoever wants that player waits here, and one small query at a time looks
whether the row is free again.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from sqlalchemy import bindparam, exc, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

from activities.database import Database
from workflows.events import Event, PlayerMerged
from workflows.player_state.brand_groups import Account

#: Seconds between two looks at the rows that were held.
LOOK_EVERY: Final = 0.1
#: Rows looked at in one query; each look locks those that are free for a moment.
LOOKED_AT: Final = 500
#: Players a process remembers as held; about 3 MB. Of more, each one is found out anew.
MOST: Final = 10_000
LOCK_TIMEOUT, DEADLOCK = "55P03", "40P01"


class PlayersLocked(TimeoutError):
    """The row of a player is locked by a session elsewhere; nothing was done for that player."""


class AccountsNotLocked(Exception):
    """What was to be applied reaches further accounts of a person, and they must be locked as well."""

    def __init__(self, accounts: dict[Account, str]) -> None:
        super().__init__(accounts)
        #: By account: the player of the batch that brought it in.
        self.accounts = accounts


class LockedElsewhere:
    """The players of a process whose rows were found locked, until they are found free."""

    def __init__(self, database: Database) -> None:
        self._database = database
        #: By brand and player: whose row is held. It is another account's where a person has several.
        self._rows: dict[tuple[str, str], tuple[str, str]] = {}
        self._changed = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    def among(self, brand: str, player_ids: Iterable[str]) -> set[str]:
        """Those of these players who are held."""
        if not self._rows:
            return set()
        return {player_id for player_id in player_ids if (brand, player_id) in self._rows}

    def suspect(self, brand: str, player_ids: Collection[str]) -> None:
        """Take these players for held, until a look a moment later knows better."""
        self.suspect_behind(brand, [((brand, player_id), player_id) for player_id in player_ids])

    def suspect_behind(self, brand: str, behind: Collection[tuple[tuple[str, str], str]]) -> None:
        """The same of players who cannot be served without another row, of whatever brand: that row, and the player."""
        for row, player_id in [*behind][: MOST - len(self._rows)]:
            self._rows.setdefault((brand, player_id), row)
        if self._rows and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look())

    async def change(self, deadline: float) -> None:
        """Wait until it is looked who is held. Raises `PlayersLocked` at `deadline`, by the loop's clock."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._changed.wait()
        except TimeoutError:
            raise PlayersLocked from None

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self) -> None:
        while self._rows:
            asked = {*[*self._rows.values()][:LOOKED_AT]}
            try:
                held = await self._held(sorted(asked))
            except (exc.SQLAlchemyError, OSError):
                # Nobody can tell; whoever tries finds out.
                held = set()
            free = asked - held
            # Those that were looked at go to the end, so that all have their turn.
            kept = {key: row for key, row in self._rows.items() if row not in free}
            seen = {key: row for key, row in kept.items() if row in asked}
            self._rows = {key: row for key, row in kept.items() if key not in seen} | seen
            self._changed.set()
            self._changed = asyncio.Event()
            if len(self._rows) == len(seen):
                await asyncio.sleep(LOOK_EVERY)

    async def _held(self, asked: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        async with self._database.reading() as connection:
            rows = {"brands": [brand for brand, _ in asked], "ids": [row for _, row in asked]}
            return {(row.brand, row.id) for row in await connection.execute(_HELD, rows)}


def sqlstate(error: exc.DBAPIError) -> str | None:
    """What Postgres calls an error."""
    return getattr(error.orig, "sqlstate", None)


_HELD = text(
    """
    WITH asked AS MATERIALIZED (
      SELECT * FROM unnest(:brands, :ids) AS t (brand, id)
    ), unlocked AS MATERIALIZED (
      SELECT p.brand, p.id FROM players p JOIN asked USING (brand, id) FOR UPDATE OF p SKIP LOCKED
    )
    SELECT p.brand, p.id FROM players p JOIN asked USING (brand, id)
    WHERE NOT EXISTS (SELECT FROM unlocked u WHERE u.brand = p.brand AND u.id = p.id)
    """
).bindparams(bindparam("brands", type_=ARRAY(Text)), bindparam("ids", type_=ARRAY(Text)))


def players_of(events: Iterable[tuple[str, Event]]) -> set[str]:
    """The players whose rows these events change, their persons' further accounts aside."""
    ids: set[str] = set()
    for player_id, event in events:
        ids.add(player_id)
        if isinstance(event, PlayerMerged):
            ids |= {event.survivor_id, event.absorbed_id}
    return ids


def players_wanted(brand: str, events: Iterable[tuple[str, Event]], accounts: Iterable[Account]) -> dict[str, set[str]]:
    """By brand: the players whose rows these events change, with further accounts that are known to be needed."""
    wanted = {brand: players_of(events)}
    for other, account in accounts:
        wanted.setdefault(other, set()).add(account)
    return wanted
