"""The loop that draws raffles whose period is over and gives the prizes: each place once, and to nobody protected."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from pydantic import TypeAdapter
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities import gate_decisions, gate_facts, raffle_draws
from activities.clock import Clock, sleep_or_stop
from activities.database import Database
from activities.intake.intake import Intake
from activities.raffle_draws import OpenDraw, Winner
from activities.rewards import reserve_prize
from workflows.gate.decision import Allowed, Refusal
from workflows.gate.facts import GateFacts, GrantFacts
from workflows.gate.policy_book import PolicyBook
from workflows.gate.prize_check import first_refusal
from workflows.loyalty.raffles import RaffleTerms
from workflows.player_state.prizes import PrizeGiving, give, prize_request
from workflows.rewards import Reward

logger = logging.getLogger(__name__)

#: Seconds between two looks while nothing is due.
PAUSE_S: Final = 30.0
#: How long after its end a period is drawn: what was given within it is committed by then.
SETTLING: Final = timedelta(minutes=5)
#: Players whom the gate is asked about at once.
PAGE: Final = 200
#: How long a prize that failed waits, at first and at most.
WAIT_FIRST: Final = timedelta(minutes=1)
WAIT_MOST: Final = timedelta(hours=1)
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
            done = 0
            # Neither hinders the other: a draw that fails keeps nobody's prize back.
            for step in (self.draw_once, self.give_once):
                try:
                    done += await step()
                except (SQLAlchemyError, OSError) as away:
                    logger.warning("Raffles wait for the database: %s", away)
                except Exception:
                    logger.exception("Drawing raffles failed and is tried again.")
            if not done:
                await sleep_or_stop(stop, PAUSE_S)

    async def draw_once(self) -> int:
        """Make every draw that is due, each by itself; how many."""
        made = 0
        async with self.database.reading() as connection:
            draws = await raffle_draws.open_draws(connection)
        for draw in draws:
            try:
                made += await self._draw(draw)
            except Exception:
                sentence = "The draw of %s of %s in %s failed and is tried again; the others go on."
                logger.exception(sentence, draw.raffle, draw.period, draw.brand)
        return made

    async def give_once(self, limit: int = 100) -> int:
        """Give prizes that were won and not given yet; how many places are done with."""
        done = 0
        for _ in range(limit):
            winner: Winner | None = None
            try:
                async with self.database.transaction() as connection:
                    raffles, now = self.intake.rules.loyalty.raffles, self.clock()
                    winner = await raffle_draws.next_winner(connection, [*raffles], now)
                    if winner is None:
                        break
                    terms = winner.terms or RaffleTerms.of(raffles[winner.raffle], winner.period)
                    withheld = await self._give(connection, winner, terms, now)
                    await raffle_draws.settle(connection, winner, withheld, now)
                done += 1
            except Exception:
                if winner is None:
                    raise
                sentence = "Place %d of %s of %s in %s failed, after %d times before, and is given again later."
                place = (winner.place, winner.raffle, winner.period, winner.brand, winner.failures)
                logger.exception(sentence, *place)
                await self._push_back(winner)
        return done

    async def _push_back(self, winner: Winner) -> None:
        """Let the places of others go first; where the database is away this fails too, and nothing is counted."""
        wait = min(WAIT_FIRST * 2 ** min(winner.failures, 10), WAIT_MOST)
        async with self.database.transaction() as connection:
            await raffle_draws.push_back(connection, winner, self.clock() + wait)

    async def _draw(self, draw: OpenDraw) -> bool:
        """Make a draw if it is due; one of which nobody here knows the terms waits for who does."""
        now, terms = self.clock(), draw.terms
        declared = self.intake.rules.loyalty.raffles.get(draw.raffle)
        if terms is None and declared is not None:
            async with self.database.transaction() as connection:
                terms = await raffle_draws.keep_terms(connection, draw, RaffleTerms.of(declared, draw.period))
        if terms is None or now < terms.draws_at + SETTLING:
            return False
        async with self.database.transaction() as connection:
            if not await raffle_draws.lock(connection, draw):
                return False
            tickets = await raffle_draws.holders(connection, draw)
            players = {player for _, player, _ in tickets}
            protected = await self._protected(connection, draw.brand, players, _asked(terms), now)
            await raffle_draws.make(connection, draw, terms, tickets, protected, now)
        return True

    async def _protected(
        self,
        connection: AsyncConnection,
        brand: str,
        players: Collection[str],
        asked: Sequence[GrantFacts],
        now: datetime,
    ) -> set[str]:
        """Who may not be given what there is to win."""
        found = set[str]()
        ids = sorted(players)
        for first in range(0, len(ids), PAGE):
            page = ids[first : first + PAGE]
            drawn_as = self.policies.drawn_as(brand)
            known = await gate_facts.read_page_to_show(connection, brand, page, now, drawn_as=drawn_as)
            for player_id in page:
                if isinstance(self._decide(brand, known.get(player_id), asked, now)[1], Refusal):
                    found.add(player_id)
        return found

    def _decide(
        self, brand: str, facts: GateFacts | None, asked: Sequence[GrantFacts], now: datetime
    ) -> tuple[str, Allowed | Refusal]:
        return first_refusal(facts, asked, self.policies.of(brand, facts, now), now)

    async def _give(self, connection: AsyncConnection, winner: Winner, terms: RaffleTerms, now: datetime) -> str | None:
        """Give a place its prize; why not, where the gate has something against it by now.

        What an account won that was merged away since goes to the one that stays.
        """
        prize, product = _REWARD.validate_python(winner.prize), terms.product
        won_in, number = f"raffle:{winner.raffle}:{winner.period}:{winner.player_id}", str(winner.place)
        player_id = winner.merged_into or winner.player_id
        async with self.intake.locked(connection, winner.brand, {winner.player_id, player_id}, now) as players:
            state = players.states.get(player_id)
            drawn_as = self.policies.drawn_as(winner.brand)
            facts = await gate_facts.read_to_show(connection, winner.brand, player_id, now, drawn_as=drawn_as)
            kind, decision = self._decide(winner.brand, facts, [GrantFacts.of(prize, product)], now)
            if state is not None and state.merged_into is not None:
                raise LookupError(f"{player_id} was merged into {state.merged_into} a moment ago")
            request = prize_request(winner.brand, player_id, won_in, number, prize, product)
            await gate_decisions.record(
                connection, request, [gate_decisions.Decided(request.key, kind, decision)], 0, now
            )
            if isinstance(decision, Refusal) or state is None:
                return str(decision.reason) if isinstance(decision, Refusal) else "unknown_player"
            if not prize.settled_here:
                await reserve_prize(connection, request, decision, state.facts.get("currency"), now)
                return None
            giving = PrizeGiving("issued:raffle", "raffle", request.key, terms.into, product)
            won = give(state, prize, giving, players.rules, now, players.failures)
            players.record(player_id, won)
        return None


def _asked(terms: RaffleTerms) -> list[GrantFacts]:
    prizes = (_REWARD.validate_python(prize) for _, prize in terms.prizes)
    return list(dict.fromkeys(GrantFacts.of(prize, terms.product) for prize in prizes))
