"""Tells whoever shows a player that the player's row has changed, or that a pop-up was sent to them.

Nobody who changes it says a word: one query of a process asks for all players who are watched, a few times a second. So
intake notifies nobody, and what nobody watches costs nothing.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Interval, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import SQLAlchemyError

from activities.database import Database
from workflows.channels import CHANNELS, POPUP

logger = logging.getLogger(__name__)

#: Seconds between two looks, and after one that failed.
LOOK_EVERY: Final = 0.2
LOOK_AGAIN: Final = 1.0


@dataclass
class Watched:
    """A player whom somebody looks at: the version of their row, and whom to wake."""

    version: str = ""
    wakes: list[asyncio.Event] = field(default_factory=list)


class PlayerWatch:
    """The players that are looked at in this process."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._watched: dict[tuple[str, str], Watched] = {}
        self._somebody = asyncio.Event()

    def of_player(self, brand: str, player_id: str) -> int:
        """How many look at a player."""
        one = self._watched.get((brand, player_id))
        return 0 if one is None else len(one.wakes)

    @property
    def all(self) -> int:
        """How many look at anybody."""
        return sum(len(one.wakes) for one in self._watched.values())

    @contextmanager
    def watching(self, brand: str, player_id: str) -> Iterator[asyncio.Event]:
        """An event that is set when the player's row has changed, for as long as the block lasts."""
        wake, whose = asyncio.Event(), (brand, player_id)
        self._watched.setdefault(whose, Watched()).wakes.append(wake)
        self._somebody.set()
        try:
            yield wake
        finally:
            self._watched[whose].wakes.remove(wake)
            if not self._watched[whose].wakes:
                del self._watched[whose]

    async def run(self) -> None:
        """Look again and again, until cancelled; while nobody is watched it sleeps."""
        while True:
            await self._somebody.wait()
            try:
                await self.look()
                await asyncio.sleep(LOOK_EVERY)
            except (SQLAlchemyError, OSError) as away:
                logger.info("Nobody can say which players have changed: %s", away)
                await asyncio.sleep(LOOK_AGAIN)
            if not self._watched:
                self._somebody.clear()

    async def look(self) -> None:
        """Wake those whose player has changed since the last look, or is looked at for the first time."""
        whose = [*self._watched]
        if not whose:
            return
        asked = {"brands": [brand for brand, _ in whose], "ids": [player_id for _, player_id in whose]}
        async with self.database.reading() as connection:
            rows = (await connection.execute(_VERSIONS, asked | {"shown_for": CHANNELS[POPUP].shown_for})).all()
        for row in rows:
            one = self._watched.get((row.brand, row.id))
            if one is not None and one.version != row.version:
                one.version = row.version
                for wake in one.wakes:
                    wake.set()


# Of pop-ups those of the minutes in which they may be shown: a look at the end of an index.
_VERSIONS: Final = text(
    """
    SELECT p.brand, p.id, concat_ws(' ', p.xmin::text, (
        SELECT concat_ws(' ', count(*), max(m.created_at), max(m.opened_at), max(m.clicked_at)) FROM messages m
        WHERE m.brand = p.brand AND m.player_id = p.id AND m.created_at > now() - :shown_for
          AND m.channel = 'popup' AND m.status = 'sent')) AS version
    FROM players p JOIN unnest(:brands, :ids) AS w (brand, id) ON p.brand = w.brand AND p.id = w.id
    """
).bindparams(
    bindparam("brands", type_=ARRAY(Text)), bindparam("ids", type_=ARRAY(Text)), bindparam("shown_for", type_=Interval)
)
