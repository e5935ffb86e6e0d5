"""The loop that draws raffles whose period is over and gives the prizes: each place once, and to nobody protected."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from pydantic import TypeAdapter
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities import gate_decisions, gate_facts, raffle_draws
from activities.clock import Clock, sleep_or_stop
from activities.database import Database
from activities.gate_facts import Receiver
from activities.intake.intake import Intake
from activities.providers.register import RegisterUnavailable
from activities.raffle_draws import OpenDraw, Winner
from activities.registers import REGISTER_PATIENCE, AskFirst, Registers, ToAsk
from activities.rewards import reserve_prize
from workflows.gate.decision import Allowed, Refusal
from workflows.gate.facts import GrantFacts, RegisterAnswer
from workflows.gate.policy_book import PolicyBook
from workflows.gate.prize_check import first_refusal
from workflows.loyalty.raffle_winners import draw_raffle, taking_part
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
#: How long a place waits for a register, counted from the draw. Longer than the draw: this prize is won.
PLACE_PATIENCE: Final = timedelta(days=1)
_REWARD: Final[TypeAdapter[Reward]] = TypeAdapter(Reward)


class RaffleDrawing:
    """Draws and gives. Any number may run side by side: each draw, and each place, is one transaction's.

    National registers are asked in between, and only about who was drawn; then it is drawn again by the same seed, and
    whom a register lists is passed over.
    """

    def __init__(
        self, database: Database, intake: Intake, policies: PolicyBook, registers: Registers, clock: Clock
    ) -> None:
        self.database = database
        self.intake = intake
        self.policies = policies
        self.registers = registers
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
            except RegisterUnavailable as away:
                logger.warning("The draw of %s of %s in %s waits: %s", draw.raffle, draw.period, draw.brand, away)
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
            except AskFirst as first:
                assert winner is not None
                done += await self._ask_or_put_off(winner, first)
            except Exception:
                if winner is None:
                    raise
                sentence = "Place %d of %s of %s in %s failed, after %d times before, and is given again later."
                place = (winner.place, winner.raffle, winner.period, winner.brand, winner.failures)
                logger.exception(sentence, *place)
                await self._push_back(winner)
        return done

    async def _ask_or_put_off(self, winner: Winner, first: AskFirst) -> int:
        """Ask registers about who has won, so that the place is given next; without an answer it waits.

        When it has waited `PLACE_PATIENCE` the prize is withheld, and that is 1 place done with. Whatever else fails
        meanwhile holds back this place alone, or the same one would be asked about first for ever.
        """
        place = (winner.place, winner.raffle, winner.period, winner.brand)
        try:
            await self.registers.ask_about(winner.brand, first.players, insist=self.clock() < _until(winner))
            if self.clock() >= _until(winner):
                return await self._give_or_withhold(winner)
        except RegisterUnavailable as away:
            logger.warning("Place %d of %s of %s in %s waits: %s", *place, away)
            await self._push_back(winner)
        except Exception:
            logger.exception("Asking registers about place %d of %s of %s in %s failed; it is given later.", *place)
            await self._push_back(winner)
        return 0

    async def _give_or_withhold(self, winner: Winner) -> int:
        """Give a place its prize by what registers have said; of whom none says anything the gate refuses it."""
        now = self.clock()
        async with self.database.transaction() as connection:
            again = await raffle_draws.lock_winner(connection, winner)
            if again is None:
                return 0
            terms = again.terms or RaffleTerms.of(self.intake.rules.loyalty.raffles[again.raffle], again.period)
            withheld = await self._give(connection, again, terms, now, waits=False)
            await raffle_draws.settle(connection, again, withheld, now)
        if withheld is not None:
            sentence = "The prize of place %d of %s of %s in %s, which waited a day for a register, is withheld: %s."
            logger.warning(sentence, again.place, again.raffle, again.period, again.brand, withheld)
        return 1

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
        asked_about, begun = set[str](), now
        while True:
            try:
                return await self._draw_now(draw, terms, asked_about, begun, self.clock())
            except AskFirst as first:
                asked_about |= first.players.keys()
                await self.registers.ask_about(draw.brand, first.players, insist=_waits(terms, self.clock()))

    async def _draw_now(
        self, draw: OpenDraw, terms: RaffleTerms, asked_about: Collection[str], begun: datetime, now: datetime
    ) -> bool:
        """Draw in one transaction; False where it is made. Raises `AskFirst`, with nothing written.

        What registers said since the drawing has `begun` counts for all of it, however many are drawn and asked about.

        Who was drawn before and `asked_about` takes part, also where a register has excluded them since: they are drawn
        again and passed over, and the record says so.
        """
        async with self.database.transaction() as connection:
            if not await raffle_draws.lock(connection, draw):
                return False
            bundles = await raffle_draws.holders(connection, draw)
            protected = await self._protected(connection, draw.brand, {one.holder for one in bundles}, terms, now)
            bundles = taking_part(bundles, protected.difference(asked_about))
            named, places = (draw.seed, draw.raffle, draw.period), len(terms.by_place)
            passed_over, judged = set[str](), set[str]()
            while True:
                # Not on the loop: a million bundles are seconds.
                drawn = await asyncio.to_thread(draw_raffle, *named, bundles, places, frozenset(passed_over))
                new = {one.bundle.holder for one in drawn.won} - judged
                if not new:
                    break
                passed_over |= await self._passed_over(connection, draw.brand, new, terms, asked_about, begun, now)
                judged |= new
            await raffle_draws.keep_drawn(connection, draw, terms, bundles, drawn, now)
        return True

    async def _protected(
        self, connection: AsyncConnection, brand: str, players: Collection[str], terms: RaffleTerms, now: datetime
    ) -> set[str]:
        """Who may not be given what there is to win, whatever registers will say."""
        asked, presumed, found = _asked(terms), self.registers.presumed(now), set[str]()
        async for player_id, known in self._receivers(connection, brand, players, now, lambda _player: presumed):
            if isinstance(self._decide(brand, known, asked, now)[1], Refusal):
                found.add(player_id)
        return found

    async def _passed_over(
        self,
        connection: AsyncConnection,
        brand: str,
        drawn: Collection[str],
        terms: RaffleTerms,
        asked_about: Collection[str],
        begun: datetime,
        now: datetime,
    ) -> set[str]:
        """Who was drawn and may not have a prize. Raises `AskFirst` where a register must be asked first."""
        asked, found, to_ask = _asked(terms), set[str](), dict[str, ToAsk]()
        said = self.registers.said_since(brand, begun, now)
        async for player_id, known in self._receivers(connection, brand, drawn, now, said):
            _, decision = self._decide(brand, known, asked, now)
            wanted = self._wanted(known, decision, now)
            if known is not None and wanted and (_waits(terms, now) or player_id not in asked_about):
                to_ask[player_id] = ToAsk(known.profile, wanted)
            elif isinstance(decision, Refusal):
                found.add(player_id)
        if to_ask:
            raise AskFirst(to_ask)
        return found

    async def _receivers(
        self,
        connection: AsyncConnection,
        brand: str,
        players: Collection[str],
        now: datetime,
        said: Callable[[str], Mapping[str, RegisterAnswer]],
    ) -> AsyncIterator[tuple[str, Receiver | None]]:
        ids, policies = sorted(players), self.policies
        for first in range(0, len(ids), PAGE):
            page = ids[first : first + PAGE]
            known = await gate_facts.read_receivers(connection, brand, page, now, policies=policies, said=said)
            for player_id in page:
                yield player_id, known.get(player_id)

    async def _receiver(
        self, connection: AsyncConnection, brand: str, player_id: str, now: datetime
    ) -> Receiver | None:
        said = self.registers.said_in(brand)
        found = await gate_facts.read_receivers(connection, brand, [player_id], now, policies=self.policies, said=said)
        return found.get(player_id)

    def _wanted(self, known: Receiver | None, decision: Allowed | Refusal, now: datetime) -> list[str]:
        return [] if known is None else self.registers.wanted([decision], known.facts, known.policy, now)

    def _decide(
        self, brand: str, known: Receiver | None, asked: Sequence[GrantFacts], now: datetime
    ) -> tuple[str, Allowed | Refusal]:
        if known is None:
            return first_refusal(None, asked, self.policies.of(brand, None, now), now)
        return first_refusal(known.facts, asked, known.policy, now)

    async def _give(
        self, connection: AsyncConnection, winner: Winner, terms: RaffleTerms, now: datetime, *, waits: bool = True
    ) -> str | None:
        """Give a place its prize; why not, where the gate has something against it by now.

        What an account won that was merged away since goes to the one that stays. Raises `AskFirst`, with nothing
        given, where a register must be asked first, as long as the place `waits` for one.
        """
        prize, product = _REWARD.validate_python(winner.prize), terms.product
        won_in, number = f"raffle:{winner.raffle}:{winner.period}:{winner.player_id}", str(winner.place)
        player_id = winner.merged_into or winner.player_id
        async with self.intake.locked(connection, winner.brand, {winner.player_id, player_id}, now) as players:
            state = players.states.get(player_id)
            known = await self._receiver(connection, winner.brand, player_id, now)
            kind, decision = self._decide(winner.brand, known, [GrantFacts.of(prize, product)], now)
            if waits and known is not None and (wanted := self._wanted(known, decision, now)):
                raise AskFirst({player_id: ToAsk(known.profile, wanted)})
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


def _until(winner: Winner) -> datetime:
    """Until when a place waits for registers."""
    return winner.drawn_at + PLACE_PATIENCE


def _waits(terms: RaffleTerms, now: datetime) -> bool:
    """Whether a draw still waits for registers that do not answer."""
    return now < terms.draws_at + SETTLING + REGISTER_PATIENCE


def _asked(terms: RaffleTerms) -> list[GrantFacts]:
    prizes = (_REWARD.validate_python(prize) for _, prize in terms.prizes)
    return list(dict.fromkeys(GrantFacts.of(prize, terms.product) for prize in prizes))
