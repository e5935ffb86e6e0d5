"""The table `tournaments`: one row an instance, with the terms it opened under and how far it is."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Row, literal, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.loyalty_limits import take_of
from activities.tables import tournaments
from workflows.background.tournament_run import TournamentInput
from workflows.loyalty.tournament_prizes import TournamentTerms
from workflows.loyalty.tournaments import Instance, Tournament, board_of

TournamentState = Literal["open", "closing", "paying", "done", "cancelled"]
#: Why an instance ended without prizes.
TOO_FEW: Final = "too_few_players"


@dataclass(frozen=True)
class TournamentRow:
    """An instance as the books have it."""

    board: int
    brand: str
    name: str
    instance: str
    opens_at: datetime
    closes_at: datetime
    cut_at: datetime
    terms: TournamentTerms
    state: TournamentState
    closed_at: datetime | None
    ended_at: datetime | None
    entries: int | None
    reason: str | None

    @classmethod
    def of(cls, row: Row[Any]) -> "TournamentRow":
        """The instance of a row."""
        values: dict[str, Any] = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's name for it
        return cls(**{**values, "terms": TournamentTerms.model_validate(values["terms"])})

    @property
    def run_input(self) -> TournamentInput:
        """What its workflow is started with."""
        return TournamentInput(
            board=self.board,
            brand=self.brand,
            instance=self.instance,
            opens_at=self.opens_at,
            closes_at=self.closes_at,
            cut_at=self.cut_at,
        )

    def phase(self, now: datetime) -> str:
        """What players are told: before it closes the times alone say it."""
        if self.state != "open":
            return self.state
        times = (("scheduled", self.opens_at), ("running", self.closes_at), ("grace", self.cut_at))
        return next((phase for phase, until in times if now < until), "closing")


async def open_instance(
    connection: AsyncConnection, brand: str, declared: Tournament, instance: Instance, *, played: bool = False
) -> None:
    """Have the row of an instance, with the terms as they are now; one that is there keeps its own.

    With `played` only where somebody has a standing in it.
    """
    asked = {
        "board": board_of(brand, instance.id),
        "brand": brand,
        "name": declared.name,
        "instance": instance.id,
        "opens": instance.opens,
        "closes": instance.closes,
        "cut": instance.cut,
        "terms": TournamentTerms.of(declared).model_dump_json(),
        "played": played,
    }
    await connection.execute(_OPEN, asked)


def seats_of(instance: str) -> str:
    """The limit that the seats of an instance are."""
    return f"tournament:{instance}"


async def seat_taken(
    connection: AsyncConnection, brand: str, declared: Tournament, instance: Instance
) -> Literal["full", "closed"] | None:
    """Take a seat of an instance for a player whose row is locked; why there is none, None if there was."""
    await open_instance(connection, brand, declared, instance)
    row = await read_tournament(connection, board_of(brand, instance.id))
    if row is None or row.state != "open":
        return "closed"
    most = declared.most_players
    taken = most is None or await take_of(connection, brand, seats_of(instance.id), 1, most=most)
    return None if taken else "full"


async def read_tournament(connection: AsyncConnection, board: int, *, lock: bool = False) -> TournamentRow | None:
    """An instance; with `lock` whoever else would move it on waits until the transaction ends."""
    chosen = select(tournaments).where(tournaments.c.board == board)
    row = (await connection.execute(chosen.with_for_update() if lock else chosen)).one_or_none()
    return None if row is None else TournamentRow.of(row)


async def read_tournaments(connection: AsyncConnection, boards: Collection[int]) -> dict[int, TournamentRow]:
    """Those of these instances that the books have, by board."""
    rows = await connection.execute(select(tournaments).where(tournaments.c.board.in_(boards)))
    return {row.board: TournamentRow.of(row) for row in rows}


async def under_way(connection: AsyncConnection) -> list[TournamentRow]:
    """Every instance that is not over, of all brands."""
    chosen = select(tournaments).where(tournaments.c.ended_at.is_(None)).order_by(tournaments.c.cut_at)
    return [TournamentRow.of(row) for row in await connection.execute(chosen)]


async def newest_tournaments(
    connection: AsyncConnection, brand: str, *, before: tuple[datetime, str] | None, limit: int
) -> list[TournamentRow]:
    """The instances of a brand, those that open last first."""
    order = (tournaments.c.opens_at, tournaments.c.instance)
    chosen = select(tournaments).where(tournaments.c.brand == brand)
    if before is not None:
        chosen = chosen.where(tuple_(*order) < tuple_(*map(literal, before)))
    rows = await connection.execute(chosen.order_by(*(one.desc() for one in order)).limit(limit))
    return [TournamentRow.of(row) for row in rows]


async def close_to_scores(connection: AsyncConnection, board: int, now: datetime) -> None:
    """From this commit on no score is taken that does not see it; those under way may still be written."""
    await connection.execute(_CLOSE, {"board": board, "now": now})


async def begin_paying(connection: AsyncConnection, board: int, entries: int) -> None:
    """The places are written."""
    await connection.execute(_PAY, {"board": board, "entries": entries})


async def end_tournament(
    connection: AsyncConnection, board: int, state: TournamentState, now: datetime, reason: str | None = None
) -> bool:
    """It is over; False where it was before."""
    asked = {"board": board, "state": state, "now": now, "reason": reason}
    return (await connection.execute(_END, asked)).rowcount > 0


_OPEN: Final = text(
    """
    INSERT INTO tournaments (board, brand, name, instance, opens_at, closes_at, cut_at, terms)
    SELECT :board, :brand, :name, :instance, :opens, :closes, :cut, CAST(:terms AS jsonb)
    WHERE NOT CAST(:played AS boolean) OR EXISTS (SELECT FROM standings WHERE board = :board AND state = 0)
    ON CONFLICT (board) DO NOTHING
    """
)
_CLOSE: Final = text(
    "UPDATE tournaments SET state = 'closing', closed_at = :now WHERE board = :board AND state = 'open'"
)
_PAY: Final = text(
    "UPDATE tournaments SET state = 'paying', entries = :entries WHERE board = :board AND state = 'closing'"
)
_END: Final = text(
    """
    UPDATE tournaments SET state = :state, ended_at = :now, reason = :reason
    WHERE board = :board AND ended_at IS NULL
    """
)
