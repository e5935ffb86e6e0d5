"""The loop that draws raffles whose period is over and gives the prizes: each place once, and to nobody protected."""

import asyncio
import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from pydantic import TypeAdapter
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities import gate_decisions, gate_facts, raffle_draws
from activities.clock import Clock, sleep_or_stop
from activities.database import Database
from activities.intake.intake import Intake
from activities.raffle_draws import Winner
from activities.rewards import reserve_prize
from workflows.gate.decision import Allowed, Refusal
from workflows.gate.facts import GrantFacts
from workflows.gate.policy_book import PolicyBook
from workflows.gate.prize_check import first_refusal
from workflows.loyalty.raffles import Raffle
from workflows.player_state.prizes import PrizeGiving, give, prize_request
from workflows.rewards import Reward

logger = logging.getLogger(__name__)

#: Seconds between two looks while nothing is due.
PAUSE_S: Final = 30.0
#: How long after its end a period is drawn: what was given within it is committed by then.
SETTLING: Final = timedelta(minutes=5)
_REWARD: Final[TypeAdapter[Reward]] = TypeAdapter(Reward)


class RaffleDrawing:
    """Draws and gives. Any number may run side by side: each draw, and each place, is one transaction's."""

    def __init__(self, database: Database, intake: Intake, policies: PolicyBook, clock: Clock) -> None:
        self.database = database
        self.intake = intake
        self.policies = policies
        self.clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Look again and again until told to stop."""
        while not stop.is_set():
            try:
                done = await self.draw_once() + await self.give_once()
            except (SQLAlchemyError, OSError) as away:
                logger.warning("Raffles wait for the database: %s", away)
                done = 0
            except Exception:
                logger.exception("Drawing raffles failed and is tried again.")
                done = 0
            if not done:
                await sleep_or_stop(stop, PAUSE_S)

    async def draw_once(self) -> int:
        """Make every draw that is due; how many. One whose raffle is not declared here waits for who knows it."""
        now, made = self.clock(), 0
        raffles = self.intake.rules.loyalty.raffles
        async with self.database.transaction() as connection:
            for draw in await raffle_draws.open_draws(connection):
                raffle = raffles.get(draw.raffle)
                if raffle is None or now < raffle.draws_at(draw.period) + SETTLING:
                    continue
                tickets = await raffle_draws.holders(connection, draw)
                players = {player for _, player, _ in tickets}
                protected = await self._protected(connection, draw.brand, players, raffle, now)
                await raffle_draws.make(connection, draw, raffle, tickets, protected, now)
                made += 1
        return made

    async def give_once(self, limit: int = 100) -> int:
        """Give prizes that were won and not given yet; how many places are done with."""
        raffles = self.intake.rules.loyalty.raffles
        for done in range(limit):
            async with self.database.transaction() as connection:
                winner = await raffle_draws.next_winner(connection, [*raffles])
                if winner is None:
                    return done
                withheld = await self._give(connection, winner, raffles[winner.raffle], self.clock())
                await raffle_draws.settle(connection, winner, withheld, self.clock())
        return limit

    async def _protected(
        self, connection: AsyncConnection, brand: str, players: Iterable[str], raffle: Raffle, now: datetime
    ) -> set[str]:
        """Who may not be given what there is to win."""
        found = set[str]()
        for player_id in players:
            if isinstance((await self._ask(connection, brand, player_id, _asked(raffle), now))[1], Refusal):
                found.add(player_id)
        return found

    async def _ask(
        self, connection: AsyncConnection, brand: str, player_id: str, asked: list[GrantFacts], now: datetime
    ) -> tuple[str, Allowed | Refusal]:
        facts = await gate_facts.read_to_show(connection, brand, player_id, now)
        return first_refusal(facts, asked, self.policies.of(brand, facts, now), now)

    async def _give(self, connection: AsyncConnection, winner: Winner, raffle: Raffle, now: datetime) -> str | None:
        """Give a place its prize; why not, where the gate has something against it by now."""
        prize, product = _REWARD.validate_python(winner.prize), raffle.product
        won_in, number = f"raffle:{winner.raffle}:{winner.period}:{winner.player_id}", str(winner.place)
        async with self.intake.locked(connection, winner.brand, [winner.player_id], now) as players:
            state = players.states.get(winner.player_id)
            kind, decision = await self._ask(
                connection, winner.brand, winner.player_id, [GrantFacts.of(prize, product)], now
            )
            request = prize_request(winner.brand, winner.player_id, won_in, number, prize, product)
            await gate_decisions.record(
                connection, request, [gate_decisions.Decided(request.key, kind, decision)], 0, now
            )
            if isinstance(decision, Refusal) or state is None:
                return str(decision.reason) if isinstance(decision, Refusal) else "unknown_player"
            if not prize.settled_here:
                await reserve_prize(connection, request, decision, state.facts.get("currency"), now)
                return None
            giving = PrizeGiving("issued:raffle", "raffle", request.key, raffle.into, product)
            won = give(state, prize, giving, players.rules, now, players.failures)
            players.record(winner.player_id, won)
        return None


def _asked(raffle: Raffle) -> list[GrantFacts]:
    return list(dict.fromkeys(GrantFacts.of(prize, raffle.product) for prize in raffle.prizes))
