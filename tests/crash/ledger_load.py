"""What moves points while things break: rounds, voids, purchases, orders that come back, spins, turn by turn.

    python -m tests.crash.ledger_load URL FIRST EVERY TURNS PLAYERS

plays the turns FIRST, FIRST + EVERY, … below TURNS and writes the number of each when it is done. Whatever fails is
sent again with the same ids and keys, so a turn that was cut off is played once more from its beginning.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from activities.intake.locked_elsewhere import PlayersLocked
from activities.loops.shop_settlement import ShopSettlement
from activities.loops.sweeper import Sweeper
from activities.loyalty_tables import shop_purchases
from activities.player_commands import CommandKind, PlayerCommand
from activities.run_effects import end_run
from tests.support.engine import BRAND, Effects, effects
from workflows import Event, PlayerRegistered, RoundCompleted, RoundVoided
from workflows.effects import End
from workflows.json_object import JsonObject

T = TypeVar("T")
BEGAN: Final = datetime(2024, 1, 1, tzinfo=UTC)
#: Between two turns; each posts what was earned in the one before, which often was another day.
STEP: Final = timedelta(hours=7)
PROGRAM: Final = {"journeys": "tests.support.shop_journeys", "shipped_journeys": "shop_order"}
ROUND: Final[dict[str, Any]] = {"game_id": "g", "category": "slot", "win_minor": 0}
#: Points a round: `shop_journeys` gives one for each 100 of the stake.
MOST_POINTS: Final = 400
#: A round in so many is voided two turns later.
VOIDED_OF: Final = 7
ATTEMPTS: Final = 200
_CLOCK: Final = text("UPDATE ledger_clock SET turn = greatest(turn, :turn) RETURNING turn")
#: Events of one batch.
AT_ONCE: Final = 200
#: Players a turn who each spin, buy and order.
PRESSES: Final = 2


def points_of(player: int, turn: int) -> int:
    """What the round of a player in a turn earns."""
    return 1 + (player * 31 + turn * 17) % MOST_POINTS


def is_voided(player: int, turn: int) -> bool:
    """Whether it is taken back."""
    return (player + turn) % VOIDED_OF == 0


def earned(players: int, turns: int) -> int:
    """What all rounds of so many turns come to, without those whose void was told as well."""
    return sum(
        points_of(player, turn)
        for turn in range(turns)
        for player in range(players)
        if not (is_voided(player, turn) and turn + 2 < turns)
    )


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Do it again until it is answered, as whoever sends does: the connection is cut under it."""
    for _ in range(ATTEMPTS):
        try:
            return await call()
        except (SQLAlchemyError, OSError, PlayersLocked):
            await asyncio.sleep(0.02)
    raise TimeoutError(f"{ATTEMPTS} attempts were cut off.")


class Mix:
    """A turn of many players."""

    def __init__(self, parts: Effects, players: int) -> None:
        self.parts = parts
        self.players = players
        self.settlement = ShopSettlement(parts.database, parts.casino.intake, parts.casino.clock)
        self.sweeper = Sweeper(parts.database, parts.casino.intake, parts.casino.clock)

    async def play(self, turn: int) -> None:
        """Let everything of a turn happen, each once."""
        now = self.parts.casino.clock.now = await patiently(partial(self._clock, turn))
        at = BEGAN + turn * STEP
        events = [*self._rounds(turn, at), *self._voids(turn - 2, at)]
        for start in range(0, len(events), AT_ONCE):
            some = events[start : start + AT_ONCE]
            await patiently(partial(self.parts.casino.intake.ingest, BRAND, some, now))
        for number in range(PRESSES):
            player, mark = f"p-{(turn * 13 + number * 7) % self.players}", f"{turn}-{number}"
            await self._press(player, f"buy-{mark}", "buy", "gems-5", price=50)
            await self._press(player, f"spin-{mark}", "spin", "daily")
            ordered = await self._press(player, f"order-{mark}", "buy", "spins-20", price=500)
            if ordered["status"] == "done":
                await patiently(partial(self._ends, str(ordered["purchase_id"]), player, now))
        await patiently(self.settlement.settle_once)
        await patiently(self.sweeper.run_once)

    async def _clock(self, turn: int) -> datetime:
        """The moment it is for all processes, the newest turn of any: who was killed comes late with theirs."""
        async with self.parts.database.transaction() as connection:
            newest = (await connection.execute(_CLOCK, {"turn": turn})).scalar_one()
        return BEGAN + int(newest) * STEP

    def _rounds(self, turn: int, at: datetime) -> list[tuple[str, Event]]:
        return [
            (
                f"p-{player}",
                RoundCompleted(
                    event_id=f"round-{player}-{turn}",
                    event_source="/ledger",
                    occurred_at=at,
                    round_id=f"{player}-{turn}",
                    stake_minor=100 * points_of(player, turn),
                    **ROUND,
                ),
            )
            for player in range(self.players)
        ]

    def _voids(self, turn: int, at: datetime) -> list[tuple[str, Event]]:
        return [
            (
                f"p-{player}",
                RoundVoided(
                    event_id=f"void-{player}-{turn}",
                    event_source="/ledger",
                    occurred_at=at,
                    round_id=f"{player}-{turn}",
                    stake_minor=100 * points_of(player, turn),
                    played_at=BEGAN + turn * STEP,
                    **ROUND,
                ),
            )
            for player in range(self.players)
            if turn >= 0 and is_voided(player, turn)
        ]

    async def _press(self, player: str, key: str, kind: CommandKind, name: str, price: int = 0) -> JsonObject:
        asked = PlayerCommand(BRAND, player, key, kind, name, price=price)
        return await patiently(partial(self.parts.commands.do, asked))

    async def _ends(self, purchase_id: str, player: str, now: datetime) -> None:
        """The order's run is over without a delivery, so that its points come back."""
        async with self.parts.database.transaction() as connection:
            mine = select(shop_purchases.c.run_id).where(shop_purchases.c.id == purchase_id)
            run_id = str(await connection.scalar(mine))
            end = End(
                brand=BRAND, player_id=player, journey="shop_order", run_id=run_id, step="end", outcome="completed"
            )
            await end_run(connection, self.parts.casino.intake, end, now)


async def register(parts: Effects, players: int) -> None:
    """Have the players, before anything happens to them."""
    parts.casino.clock.now = BEGAN - timedelta(days=30)
    about: dict[str, Any] = {"currency": "EUR", "timezone": "Europe/London", "country": "MT"}
    batch: list[tuple[str, Event]] = [
        (
            f"p-{player}",
            PlayerRegistered(
                event_id=f"new-{player}", event_source="/ledger", occurred_at=parts.casino.clock.now, **about
            ),
        )
        for player in range(players)
    ]
    await parts.casino.intake.ingest(BRAND, batch, parts.casino.clock.now, mode="history")


async def main(url: str, first: int, every: int, turns: int, players: int) -> None:
    """Be one of the processes."""
    async with effects(url, **PROGRAM) as parts:
        mix = Mix(parts, players)
        for turn in range(first, turns, every):
            await mix.play(turn)
            sys.stdout.write(f"{turn}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    address, *numbers = sys.argv[1:]
    asyncio.run(main(address, *map(int, numbers)))
