"""Reading boards: the first, a player's place, and who stands around it.

Near the top a place is counted in the index of the board. Deeper it is read off a ruler: some thousand marks that are
taken from the index every few seconds and thrown away, so they cannot drift from the truth for longer than that.
"""

import asyncio
import hmac
import logging
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database import Database
from activities.recent_counts import RecentCounts

logger = logging.getLogger(__name__)

#: Rows of the top that are shown, and those above and below a player.
TOP: Final = 100
AROUND: Final = 5
#: Places up to here are counted one by one.
EXACT: Final = 5_000
#: Marks of a ruler, how old it may get before it is taken anew, and how many boards have one at a time.
MARKS: Final = 1_000
RULER_LASTS_S: Final = 5.0
MOST_RULERS: Final = 100
#: Entries of a board are counted up to here.
MOST_COUNTED: Final = 10_000

Order = tuple[int, datetime, int, int]


@dataclass(frozen=True, slots=True)
class Placed:
    """A row of a board. `place` is None where it is not known exactly."""

    place: int | None
    player_id: str
    score: int
    named: bool
    draw: int
    order: Order

    @classmethod
    def of(cls, row: Row[Any], place: int | None) -> "Placed":
        """The entry of a row."""
        order = (row.neg_score, row.reached_at, row.rounds, row.draw)
        return cls(place, row.player_id, -row.neg_score, row.named, row.draw, order)


class BoardAliases:
    """What players are called on boards: another word on each, so that nobody is followed from one to the next.

    Each board has a key of its own that is made of the first of `secrets` and never told: who knows the ids of players
    finds nobody by them. When that secret is replaced everybody is called anew.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._key = hmac.digest(secrets[0].encode(), b"journeys board alias", "sha256") if secrets else None

    def of(self, board: int, player_id: str) -> str | None:
        """A player's name on a board; None without a secret."""
        if self._key is None:
            return None
        key = hmac.digest(self._key, str(board).encode(), "sha256")
        return f"Player {hmac.digest(key, player_id.encode(), 'sha256').hex()[:8]}"


@dataclass(frozen=True, slots=True)
class MyPlace:
    """A player's own place; `exact` says whether it was counted, or read off a ruler."""

    me: Placed
    exact: bool
    outcome: str | None
    points: int
    #: Who stands around, the best first, the player among them.
    around: tuple[Placed, ...]


@dataclass(frozen=True, slots=True)
class _Ruler:
    """Every n-th row of a board."""

    orders: tuple[Order, ...]
    step: int
    at: float


class BoardRulers:
    """The rulers of one process; a board that nobody asks about has none."""

    def __init__(self, database: Database, timer: Callable[[], float] = time.monotonic) -> None:
        self.database = database
        self.timer = timer
        self._rulers: dict[int, _Ruler] = {}
        self._taking: dict[int, asyncio.Task[None]] = {}

    async def place(self, connection: AsyncConnection, board: int, order: Order) -> int:
        """About how many stand at or above it: off by one part in a thousand, and by what happened in seconds.

        Only the first question about a board waits for its ruler; later ones read the one there is meanwhile.
        """
        ruler = self._rulers.get(board)
        if ruler is None:
            # On the caller's connection: whoever waited here for another one might keep it from whoever has it.
            ruler = await self._take(connection, board)
        elif self.timer() - ruler.at > RULER_LASTS_S and board not in self._taking:
            self._taking[board] = asyncio.create_task(self._take_anew(board))
        return bisect_right(ruler.orders, order) * ruler.step + ruler.step // 2 + 1

    async def _take_anew(self, board: int) -> None:
        try:
            async with self.database.reading() as connection:
                await self._take(connection, board)
        except (SQLAlchemyError, OSError) as away:
            logger.warning("The places of a board are read off an old ruler: %s", away)
        finally:
            del self._taking[board]

    async def _take(self, connection: AsyncConnection, board: int) -> _Ruler:
        total = (await connection.execute(_COUNT, {"board": board})).scalar_one()
        step = max(1, total // MARKS)
        rows = await connection.execute(_MARKS, {"board": board, "step": step})
        orders = tuple((row.neg_score, row.reached_at, row.rounds, row.draw) for row in rows)
        if board not in self._rulers and len(self._rulers) >= MOST_RULERS:
            del self._rulers[min(self._rulers, key=lambda one: self._rulers[one].at)]
        ruler = self._rulers[board] = _Ruler(orders, step, self.timer())
        return ruler


class EntryCounts:
    """How many are on boards, counted by one process once in a few seconds, however many ask."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._recent = RecentCounts[tuple[int, int]](timer)

    async def of(self, connection: AsyncConnection, board: int, *, least: int = 0) -> int:
        """How many are on a board from the score `least` on, up to `MOST_COUNTED`; a few seconds old."""

        async def count() -> int:
            asked = {"board": board, "most": MOST_COUNTED, "least": least}
            return int((await connection.execute(_COUNT_UP_TO, asked)).scalar_one())

        return await self._recent.of((board, least), count)


async def top_of(
    connection: AsyncConnection, board: int, *, final: bool, least: int = 1, limit: int = TOP
) -> list[Placed]:
    """The first of a board, from the score `least` on, as the board's terms say.

    Of one that is closed places are what was written then; who lost theirs is left out.
    """
    asked = {"board": board, "limit": limit, "least": least}
    rows = (await connection.execute(_FINAL_TOP if final else _TOP, asked)).all()
    return [Placed.of(row, row.place if final else number) for number, row in enumerate(rows, 1)]


async def place_of(
    connection: AsyncConnection,
    rulers: BoardRulers,
    brand: str,
    player_id: str,
    board: int,
    *,
    final: bool,
    least: int = 1,
) -> MyPlace | None:
    """A player's place and who stands around; None for one who is not on the board.

    Who has scored less than `least` stands nowhere, while the board is open as when it is closed.
    """
    mine = {"brand": brand, "player": player_id, "board": board}
    row = (await connection.execute(_MINE, mine)).one_or_none()
    if row is None:
        return None
    me = Placed.of(row, row.place)
    if me.score < least or (final and me.place is None):
        return MyPlace(me, exact=True, outcome=row.outcome, points=row.points or 0, around=(me,))
    place, exact = row.place, True
    asked: Mapping[str, object] = {
        "board": board,
        "limit": AROUND,
        "least": least,
        **dict(zip(("neg_score", "reached_at", "rounds", "draw"), me.order, strict=True)),
    }
    if not final:
        above = (await connection.execute(_ABOVE_COUNT, {**asked, "limit": EXACT + 1})).scalar_one()
        exact = above <= EXACT
        place = above + 1 if exact else await rulers.place(connection, board, me.order)
        me = Placed.of(row, place)
    over = (await connection.execute(_ABOVE, asked)).all()
    under = (await connection.execute(_BELOW, asked)).all()

    def numbered(rows: Sequence[Row[Any]], first: int) -> list[Placed]:
        if final:
            return [Placed.of(row, row.place) for row in rows]
        return [Placed.of(row, first + number if exact else None) for number, row in enumerate(rows)]

    around = (*numbered(over[::-1], place - len(over)), me, *numbered(under, place + 1))
    return MyPlace(me, exact=exact, outcome=row.outcome, points=row.points or 0, around=around)


_ROW: Final = "player_id, neg_score, reached_at, rounds, draw, named"
_ORDER: Final = "neg_score, reached_at, rounds, draw"
_RANKED: Final = "neg_score <= -CAST(:least AS bigint)"
_HERE: Final = (
    "(CAST(:neg_score AS bigint), CAST(:reached_at AS timestamptz), CAST(:rounds AS int), CAST(:draw AS bigint))"
)
_TOP: Final = text(
    f"SELECT {_ROW} FROM standings WHERE board = :board AND state = 0 AND {_RANKED} "  # noqa: S608
    f"ORDER BY {_ORDER} LIMIT :limit"
)
_FINAL_TOP: Final = text(
    f"SELECT {_ROW}, place FROM standings WHERE board = :board AND place IS NOT NULL AND state = 0 "  # noqa: S608
    "ORDER BY place LIMIT :limit"
)
_MINE: Final = text(
    f"SELECT {_ROW}, place, outcome, points FROM standings "  # noqa: S608
    "WHERE brand = :brand AND player_id = :player AND board = :board AND state = 0"
)
_ABOVE_COUNT: Final = text(
    f"SELECT count(*) FROM (SELECT FROM standings WHERE board = :board AND state = 0 AND ({_ORDER}) < {_HERE} "  # noqa: S608
    "LIMIT :limit) a"
)
_ABOVE: Final = text(
    f"SELECT {_ROW}, place FROM standings WHERE board = :board AND state = 0 AND ({_ORDER}) < {_HERE} "  # noqa: S608
    "ORDER BY neg_score DESC, reached_at DESC, rounds DESC, draw DESC LIMIT :limit"
)
_BELOW: Final = text(
    f"SELECT {_ROW}, place FROM standings WHERE board = :board AND state = 0 AND {_RANKED} "  # noqa: S608
    f"AND ({_ORDER}) > {_HERE} ORDER BY {_ORDER} LIMIT :limit"
)
_COUNT: Final = text("SELECT count(*) FROM standings WHERE board = :board AND state = 0")
_COUNT_UP_TO: Final = text(
    f"SELECT count(*) FROM (SELECT FROM standings WHERE board = :board AND state = 0 AND {_RANKED} "  # noqa: S608
    "LIMIT :most) a"
)
_MARKS: Final = text(
    f"""
    SELECT {_ORDER} FROM (
        SELECT {_ORDER}, row_number() OVER (ORDER BY {_ORDER}) AS n
        FROM standings WHERE board = :board AND state = 0) numbered
    WHERE n % CAST(:step AS bigint) = 0 ORDER BY n
    """  # noqa: S608
)
