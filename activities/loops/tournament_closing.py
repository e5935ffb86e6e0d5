"""Closes tournaments, writes their places and pays their prizes: each step safe to repeat anywhere.

The workflow of an instance asks for these; what was done stands in Postgres, so a worker that dies at any point is
followed by one that goes on.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities import gate_decisions, gate_facts, standings
from activities.clock import Clock
from activities.database import Database
from activities.gate_facts import Receiver
from activities.intake.intake import Intake
from activities.intake.locked_elsewhere import PlayersLocked
from activities.intake.locked_players import LockedPlayers
from activities.loops.maintenance import heartbeating
from activities.providers.register import RegisterUnavailable
from activities.registers import REGISTER_PATIENCE, AskFirst, Registers, ToAsk
from activities.rewards import reserve_prize
from activities.standings import GRANTED
from activities.tournaments import (
    TOO_FEW,
    TournamentRow,
    begin_paying,
    close_to_scores,
    end_tournament,
    read_tournament,
)
from workflows.background.tournament_run import (
    ATTEMPT_LIMIT,
    CLOSE_TOURNAMENT,
    PAY_PRIZES,
    Payment,
    TournamentInput,
)
from workflows.effects import EffectInput, Give
from workflows.events import Event, TournamentResult
from workflows.gate.decide import may_grant
from workflows.gate.decision import Allowed, Refusal
from workflows.gate.facts import GrantFacts
from workflows.gate.policy_book import PolicyBook
from workflows.loyalty.tournament_prizes import Due, prizes_due
from workflows.player_state.prizes import place_effect, prize_request

logger = logging.getLogger(__name__)

#: Prizes paid in one transaction; the rows of their players are locked meanwhile.
PAGE: Final = 100
#: Players who are given their places in one transaction: who protects one of them waits for no more than these.
NUMBERED_AT_ONCE: Final = 200
#: How often it is asked whether a writer from before the close is left, in seconds.
ASK_EVERY_S: Final = 0.05
#: How often it is asked whether the moment has come, where Temporal's clock was ahead of ours.
WAIT_S: Final = 0.2
#: What the gate hears of a prize that is a badge.
BADGE: Final = "badge"
# The world's, and not one player's: nothing is known of the page then, and it is done again.
_EVERYBODYS: Final = (
    OperationalError,
    InterfaceError,
    PoolTimeout,
    OSError,
    TimeoutError,
    PlayersLocked,
    RegisterUnavailable,
)


@dataclass(frozen=True)
class Pauses:
    """The clock and the pauses of waiting; tests have their own."""

    timer: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class TournamentClosing:
    """What the workflow of an instance asks for when its time is over."""

    def __init__(
        self,
        database: Database,
        intake: Intake,
        policies: PolicyBook,
        registers: Registers,
        clock: Clock,
        pauses: Pauses | None = None,
    ) -> None:
        self.database = database
        self.intake = intake
        self.policies = policies
        self.registers = registers
        self.clock = clock
        self.pauses = pauses or Pauses()

    @activity.defn(name=CLOSE_TOURNAMENT)
    async def close(self, one: TournamentInput) -> Payment:
        """As `close_now`, while Temporal knows that we live: the places of a large board take a while."""
        async with heartbeating():
            return await self.close_now(one)

    async def close_now(self, one: TournamentInput) -> Payment:
        """Take no more scores, wait for those under way, and write the places; whether there are prizes to pay."""
        while self.clock() < one.cut_at and not await self._is_over(one.board):
            # Temporal's clock may be ahead of the one that decides what is late.
            await self.pauses.sleep(WAIT_S)
        async with self.database.transaction() as connection:
            await close_to_scores(connection, one.board, self.clock())
        await self._writers_gone()
        return await self.write_places(one.board)

    @activity.defn(name=PAY_PRIZES)
    async def pay(self, one: TournamentInput) -> Payment:
        """Pay page after page until nothing is due or the worker goes; whether there is more."""
        begun = self.pauses.timer()
        while not activity.is_worker_shutdown() and self.pauses.timer() - begun < ATTEMPT_LIMIT.total_seconds():
            activity.heartbeat()
            if not await self.pay_page(one.board):
                return Payment(more=False)
        return Payment(more=True)

    async def write_places(self, board: int) -> Payment:
        """Number the players of an instance that is closed, and write down what each place is owed; once.

        Each page is a transaction of its own: whoever dies here is followed by one that goes on, and the exclusion of a
        player who is being numbered waits for one page.
        """
        while await self._number_page(board):
            pass
        if await self._enough_players(board):
            dues = await self._dues(board)
            for start in range(0, len(dues), NUMBERED_AT_ONCE):
                async with self.database.transaction() as connection:
                    if (row := await _closing(connection, board)) is not None:
                        await standings.owe(connection, row.brand, board, dues[start : start + NUMBERED_AT_ONCE])
        async with self.database.transaction() as connection:
            if await _closing(connection, board) is not None:
                await begin_paying(connection, board, await standings.count_places(connection, board))
            row = await read_tournament(connection, board)
        return Payment(more=row is not None and row.state == "paying")

    async def _number_page(self, board: int) -> bool:
        """Number the next page; False when everybody has a place, or the instance is not being closed."""
        async with self.database.transaction() as connection:
            if (row := await _closing(connection, board)) is None:
                return False
            least = row.terms.least_score
            return await standings.number_page(connection, row.brand, board, least, NUMBERED_AT_ONCE)

    async def _enough_players(self, board: int) -> bool:
        """Whether prizes are owed; an instance with too few for them is over."""
        async with self.database.transaction() as connection:
            if (row := await _closing(connection, board)) is None or not row.terms.prizes:
                return False
            enough = await standings.count_places(connection, board) >= row.terms.least_players
            if not enough:
                await end_tournament(connection, board, "cancelled", self.clock(), TOO_FEW)
        return enough

    async def _dues(self, board: int) -> list[Due]:
        """What each place is owed: the same whenever it is asked, for no score and no place changes any more."""
        async with self.database.reading() as connection:
            if (row := await read_tournament(connection, board)) is None:
                return []
            ties = row.terms.ties == "split"
            scores = await standings.paid_scores(connection, board, row.terms.last_paid, ties=ties)
        return [*prizes_due(row.terms, scores)]

    async def pay_page(self, board: int) -> bool:
        """Pay the next page; False when everything is paid, and the instance over with it.

        What is paid is written in the transaction that gives it, with the players' rows locked: a page that is done
        again after a crash finds nothing due.
        """
        async with self.database.transaction() as connection:
            row = await read_tournament(connection, board)
            ids = await standings.owed(connection, board, PAGE)
            if row is None or row.state != "paying":
                return False
            if not ids:
                await end_tournament(connection, board, "done", self.clock())
                return False
        try:
            await self._pay(row, ids)
        except Exception as error:
            if isinstance(error, _EVERYBODYS):
                raise
            await self._pay_apart(row, ids)
        return True

    async def _pay_apart(self, row: TournamentRow, ids: Sequence[str]) -> None:
        """Pay players one by one; whose row or rules raise costs nobody else a prize, and a person looks at them."""
        for player_id in ids:
            try:
                await self._pay(row, [player_id])
            except Exception as error:
                if isinstance(error, _EVERYBODYS):
                    raise
                sentence = "The prize of %s in %s of %s is not paid; correct what the traceback names."
                logger.exception(sentence, player_id, row.instance, row.brand)
                async with self.database.transaction() as connection:
                    await standings.settle(connection, row.brand, row.board, {player_id: "withheld:failed"})

    async def _pay(self, row: TournamentRow, ids: Sequence[str]) -> None:
        """Pay players in one transaction, after registers were asked about those of them whose law wants it.

        Raises RegisterUnavailable, to be tried again, as long as a prize waits for a register. Of whom the answer grew
        old while others were asked about, that one is still owed and paid with the next page.
        """
        try:
            await self._pay_now(row, ids)
        except AskFirst as first:
            waits = self.clock() < row.cut_at + REGISTER_PATIENCE
            await self.registers.ask_about(row.brand, first.players, insist=waits)
            await self._pay_now(row, ids, asked=True, waits=waits)

    async def _pay_now(
        self, row: TournamentRow, ids: Sequence[str], *, asked: bool = False, waits: bool = True
    ) -> None:
        now = self.clock()
        async with (
            self.database.transaction() as connection,
            self.intake.locked(connection, row.brand, ids, now) as players,
        ):
            due = await standings.still_owed(connection, row.brand, row.board, ids)
            said = self.registers.said_in(row.brand)
            known = await gate_facts.of_locked(
                connection, row.brand, players.states, now, policies=self.policies, said=said
            )
            page = _Page(row, self.policies, self.registers, now, waits=waits)
            for player_id, (one, has_place) in sorted(due.items(), key=lambda pair: pair[1][0].place):
                page.decide(players, player_id, one, known.get(player_id), has_place=has_place)
            if page.to_ask and not asked:
                raise AskFirst(page.to_ask)
            await standings.settle(connection, row.brand, row.board, page.outcomes)
            await gate_decisions.record_all(connection, page.decided, now)
            for request, decision, currency in page.granted:
                await reserve_prize(connection, request, decision, currency, now)
            await self.intake.tell_all(connection, players, page.told, now)

    async def _writers_gone(self) -> None:
        """Wait until every transaction that may not have seen the close is over."""
        async with self.database.reading() as connection:
            last: str = (await connection.execute(_NEXT_WRITER)).scalar_one()
        while True:
            async with self.database.reading() as connection:
                if (await connection.execute(_GONE, {"last": last})).scalar_one():
                    return
            await self.pauses.sleep(ASK_EVERY_S)

    async def _is_over(self, board: int) -> bool:
        async with self.database.reading() as connection:
            row = await read_tournament(connection, board)
        return row is None or row.state != "open"


async def _closing(connection: AsyncConnection, board: int) -> TournamentRow | None:
    """The instance, held until the transaction ends; None for one that is not being closed."""
    row = await read_tournament(connection, board, lock=True)
    return row if row is not None and row.state == "closing" else None


class _Page:
    """What becomes of a page of prizes, decided player by player."""

    def __init__(
        self, row: TournamentRow, policies: PolicyBook, registers: Registers, now: datetime, *, waits: bool
    ) -> None:
        #: Whether who must be asked about is left for later; else they go without.
        self.waits = waits
        self.row = row
        self.policies = policies
        self.registers = registers
        self.now = now
        #: Of whom registers have said nothing lately enough.
        self.to_ask: dict[str, ToAsk] = {}
        self.outcomes: dict[str, str] = {}
        self.decided: list[tuple[EffectInput, gate_decisions.Decided]] = []
        self.told: list[tuple[str, Event]] = []
        #: What the bonus engine is to give, each with what the gate said and the player's currency.
        self.granted: list[tuple[Give, Allowed, str | None]] = []

    def decide(
        self, players: LockedPlayers, player_id: str, due: Due, known: Receiver | None, *, has_place: bool
    ) -> None:
        """Pay, or say why not: a place that was lost, or the gate."""
        state = players.states.get(player_id)
        if state is None or not has_place or state.merged_into is not None:
            self.outcomes[player_id] = "withheld:place_lost"
            return
        about = place_effect(self.row.brand, player_id, self.row.instance, due.place)
        request = self._money(about, due)
        decision = self._gate(about, due, known, request)
        if self.waits and player_id in self.to_ask:
            return
        if isinstance(decision, Refusal):
            self.outcomes[player_id] = f"withheld:{decision.reason}"
            return
        if request is not None:
            self.granted.append((request, decision, state.facts.get("currency")))
        ref = f"{self.row.instance} place {due.place}"
        players.record(player_id, state.take_prize(self.row.terms, due, ref, self.now))
        self.outcomes[player_id] = "paid" if request is None else GRANTED
        result = TournamentResult(
            event_id=f"{self.row.instance}:{player_id}",
            event_source="engine",
            occurred_at=self.now,
            entity_id=self.row.name,
            rank=due.place,
            instance=self.row.instance,
        )
        self.told.append((player_id, result))

    def _money(self, about: EffectInput, due: Due) -> Give | None:
        reward, product = self.row.terms.reward_of(due.place), self.row.terms.product
        if reward is None:
            return None
        return prize_request(about.brand, about.player_id, about.run_id, about.step, reward, product, earned=True)

    def _gate(self, about: EffectInput, due: Due, known: Receiver | None, request: Give | None) -> Allowed | Refusal:
        product = self.row.terms.product
        asked = GrantFacts(kind="points" if due.points else BADGE, journey_product=product, earned=True)
        if request is not None:
            asked = GrantFacts.of(request.reward, product, earned=True)
        if known is None:
            decision = may_grant(None, asked, self.policies.of(self.row.brand, None, self.now), self.now)
        else:
            decision = may_grant(known.facts, asked, known.policy, self.now)
            if wanted := self.registers.wanted([decision], known.facts, known.policy, self.now):
                self.to_ask[about.player_id] = ToAsk(known.profile, wanted)
                if self.waits:
                    return decision
        self.decided.append((about, gate_decisions.Decided(about.key, asked.kind, decision)))
        return decision


#: The number of the next transaction that may write: all that could have missed the close have a lower one.
_NEXT_WRITER: Final = text("SELECT CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text)")
_GONE: Final = text("SELECT pg_snapshot_xmin(pg_current_snapshot()) >= CAST(CAST(:last AS text) AS xid8)")
