"""What a player does with a button: missions, spins, purchases. Each once for its key, under gate and lock.

The table `player_commands`, which only this module writes. A command is one transaction: the row of the player is
locked, the answer of an earlier attempt is looked for, the gate is asked, and what follows is written with the answer.
Where a law wants a national register's word first, the transaction is left, the register asked, and all begun again.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final, Literal

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities import gate_decisions, gate_facts
from activities.clock import Clock
from activities.database import Database
from activities.intake.intake import Intake
from activities.intake.locked_players import LockedPlayers
from activities.loyalty_limits import give_back, house_gives, take_of
from activities.registers import AskFirst, Registers, ToAsk
from activities.rewards import reserve_prize
from activities.shop_purchases import buy_item, cancel_purchase
from activities.tournaments import seat_taken
from activities.wheel_spins import Spin, spin
from workflows.effects import EffectInput
from workflows.errors import JourneysError
from workflows.field_types import Product
from workflows.gate.decision import Allowed, Refusal
from workflows.gate.facts import GrantFacts
from workflows.gate.policy_book import PolicyBook
from workflows.gate.prize_check import first_refusal, prize_facts
from workflows.gate.reasons import Reason
from workflows.json_object import JsonObject
from workflows.loyalty.point_currencies import HOUSE_GIVES_NO_MORE
from workflows.loyalty.wheels import TOO_SOON, Wheel
from workflows.player_state.prizes import PrizeGiving, give, prize_request
from workflows.player_state.state import PlayerState

CommandKind = Literal["opt_in", "claim", "spin", "register", "buy", "cancel"]


class CommandKeyReused(JourneysError):
    """Another command was given under this key before; a key belongs to one intent, so make a new one."""


@dataclass(frozen=True)
class PlayerCommand:
    """One press of a button. `key` is made once by whoever shows it, and names this press for ever."""

    brand: str
    player_id: str
    key: str
    kind: CommandKind
    #: The mission, the wheel, the instance of a tournament, the item or the purchase it is about.
    name: str
    #: The player's own word, of which the draw is a function too.
    client_seed: str = ""
    #: What the player was shown that it costs.
    price: int = 0
    #: Whether national registers were asked for it: what they have not said by now is a no.
    registers_asked: bool = False

    @property
    def digest(self) -> str:
        """What it asks for."""
        price = f"\x00{self.price}" if self.price else ""
        return hashlib.sha256(f"{self.kind}\x00{self.name}\x00{self.client_seed}{price}".encode()).hexdigest()


class PlayerCommands:
    """Does what players ask for themselves."""

    def __init__(
        self, database: Database, intake: Intake, policies: PolicyBook, registers: Registers, clock: Clock
    ) -> None:
        self.database = database
        self.intake = intake
        self.policies = policies
        self.registers = registers
        self.clock = clock

    async def do(self, command: PlayerCommand) -> JsonObject:
        """Do it once, however often it is sent: `{"status": "done", …}` or `{"status": "refused", "reason": …}`.

        Raises `CommandKeyReused` where the key was used for something else.
        """
        try:
            return await self._do(command)
        except AskFirst as first:
            await self.registers.ask_about(command.brand, first.players, insist=False)
        return await self._do(replace(command, registers_asked=True))

    async def _do(self, command: PlayerCommand) -> JsonObject:
        """Do it in one transaction. Raises `AskFirst`, with nothing done, where a register must be asked before."""
        now = self.clock()
        brand, player_id = command.brand, command.player_id
        async with (
            self.database.transaction() as connection,
            self.intake.locked(connection, brand, [player_id], now) as players,
        ):
            state = players.states.get(player_id)
            if state is None:
                return refused("unknown_player")
            if (earlier := await _earlier(connection, command)) is not None:
                return earlier
            answer = await self._decide(connection, command, players, state, now)
            if answer.get("reason") == "unknown":
                # Names can be made up for ever, and what is not there is not there however often it is asked.
                return answer
            kept = {"brand": brand, "player": player_id, "key": command.key, "digest": command.digest, "at": now}
            # As it is read again: to the letter the same, however often it is asked for.
            written = await connection.execute(_KEEP, kept | {"answer": orjson.dumps(answer).decode()})
            return dict(written.scalar_one())

    async def _decide(  # noqa: PLR0911 - one line a reason
        self,
        connection: AsyncConnection,
        command: PlayerCommand,
        players: LockedPlayers,
        state: PlayerState,
        now: datetime,
    ) -> JsonObject:
        program = players.rules.loyalty
        if state.opted_out and command.kind != "cancel":
            return refused(str(Reason.OPTED_OUT))
        if command.kind == "spin":
            return await self._spin(connection, command, players, state, now)
        if command.kind == "register":
            return await self._register(connection, command, players, state, now)
        if command.kind == "cancel":
            return await cancel_purchase(connection, players, state, command.name, now)
        if command.kind == "buy":
            gate = partial(self._ask_gate, connection, command, now=now)
            sold = program.shop.get(command.name)
            return await buy_item(
                connection, players, state, sold, key=command.key, price=command.price, gate=gate, now=now
            )
        mission = program.missions.get(command.name)
        if mission is None:
            return refused("unknown")
        reason: str | None
        if command.kind == "opt_in":
            reason = state.mission_refusal(mission, program, now, players.failures)
            reason = reason or await self._gate(connection, command, mission.prize_kind, mission.product, now)
            reason = reason or state.begin_mission(mission, now)
            # Pressed twice is as good as once.
            return {"status": "done"} if reason in {None, "already_opted_in"} else refused(str(reason))
        if (reason := state.claim_refusal(mission, now)) is not None:
            return refused(reason)
        if (reason := await self._gate(connection, command, mission.prize_kind, mission.product, now)) is not None:
            return refused(reason)
        if mission.points:
            year, week, _ = now.isocalendar()
            limit = f"mission:{mission.name}:{year}-W{week:02}"
            if not await take_of(connection, command.brand, limit, mission.points, most=mission.budget):
                return refused("budget_spent")
            into = mission.into
            if not await house_gives(connection, command.brand, into, command.player_id, mission.points, now):
                await give_back(connection, command.brand, limit, mission.points)
                return refused(HOUSE_GIVES_NO_MORE)
        players.record(command.player_id, state.claim_mission(mission, f"mission {mission.name}", now))
        return {"status": "done", "points": mission.points}

    async def _spin(
        self,
        connection: AsyncConnection,
        command: PlayerCommand,
        players: LockedPlayers,
        state: PlayerState,
        now: datetime,
    ) -> JsonObject:
        wheel = players.rules.loyalty.wheels.get(command.name)
        if wheel is None or state.is_control(wheel):
            return refused("unknown")
        if not state.spins_left(wheel, now):
            return refused("no_attempts")
        if (again_at := state.may_spin_at(wheel, now)) is not None:
            return refused(TOO_SOON) | {"again_at": again_at.isoformat()}
        decision = await self._ask(connection, command, prize_facts(wheel), now)
        if isinstance(decision, Refusal):
            return refused(str(decision.reason))
        landed = await spin(connection, _spin_of(command, wheel, state, now), now)
        if landed is None:
            return refused("budget_spent")
        given = state.use_spin(wheel, now, blank=wheel.sectors[landed.drawn].gives is None and not landed.instead)
        if landed.prize is not None and landed.prize.settled_here:
            giving = PrizeGiving("issued:wheel", "wheel", landed.spin_id, wheel.into, wheel.product)
            won = give(state, landed.prize, giving, players.rules, now, players.failures)
            players.record(command.player_id, won)
        elif landed.prize is not None:
            won_in = f"wheel:{wheel.name}:{command.brand}:{command.player_id}"
            request = prize_request(
                command.brand, command.player_id, won_in, landed.spin_id, landed.prize, wheel.product
            )
            await reserve_prize(connection, request, decision, state.facts.get("currency"), now)
        if given is not None:
            players.answer(command.player_id, given.run_id, given.step, landed.told)
        return {
            "status": "done",
            "points": 0 if landed.prize is None else landed.prize.awarded_points,
            "prize": landed.told["prize"],
            "spin_id": landed.spin_id,
            "sector": landed.drawn,
            "instead": landed.instead is not None,
            "reason": landed.instead,
            "seed_hash": landed.seed_hash,
            "nonce": landed.nonce,
            "attempts_left": state.spins_left(wheel, now),
        }

    async def _register(
        self,
        connection: AsyncConnection,
        command: PlayerCommand,
        players: LockedPlayers,
        state: PlayerState,
        now: datetime,
    ) -> JsonObject:
        """Take a seat in an instance, under way or the next one; pressed twice is as good as once."""
        found = players.rules.loyalty.seat_named(command.name, now)
        if found is None:
            return refused("unknown")
        declared, instance = found
        reason: str | None = state.seat_refusal(declared, instance, now)
        if reason == "already_registered":
            return {"status": "done"}
        reason = reason or await self._gate(connection, command, "points", declared.product or "casino", now)
        reason = reason or await seat_taken(connection, command.brand, declared, instance)
        if reason is not None:
            return refused(reason)
        players.record(command.player_id, state.take_seat(declared, instance, now))
        return {"status": "done"}

    async def _gate(
        self, connection: AsyncConnection, command: PlayerCommand, kind: str, product: Product, now: datetime
    ) -> str | None:
        return await self._ask_gate(
            connection, command, GrantFacts(kind=kind, journey_product=product, value=0, earned=True), now=now
        )

    async def _ask_gate(
        self, connection: AsyncConnection, command: PlayerCommand, asked: GrantFacts, *, now: datetime
    ) -> str | None:
        """Ask the gate as for any reward, and write down what it said; the reason where it refuses."""
        decision = await self._ask(connection, command, [asked], now)
        return str(decision.reason) if isinstance(decision, Refusal) else None

    async def _ask(
        self, connection: AsyncConnection, command: PlayerCommand, asked: Sequence[GrantFacts], now: datetime
    ) -> Allowed | Refusal:
        """Ask the gate about everything that may be given; what it said first against it, and else of the last.

        Raises `AskFirst` where it misses what a register says and nobody has asked: nothing is written by then.
        """
        brand, player_id = command.brand, command.player_id
        said = self.registers.said_in(brand)
        found = await gate_facts.read_receivers(connection, brand, [player_id], now, policies=self.policies, said=said)
        player = found.get(player_id)
        if player is None:
            kind, decision = first_refusal(None, asked, self.policies.of(brand, None, now), now)
        else:
            kind, decision = first_refusal(player.facts, asked, player.policy, now)
            wanted = self.registers.wanted([decision], player.facts, player.policy, now)
            if wanted and not command.registers_asked:
                raise AskFirst({player_id: ToAsk(player.profile, wanted)})
        about = EffectInput(
            brand=brand,
            player_id=player_id,
            journey="",
            run_id=f"{command.kind}:{command.name}",
            step=command.key,
        )
        await gate_decisions.record(connection, about, [gate_decisions.Decided(about.key, kind, decision)], 0, now)
        return decision


def _spin_of(command: PlayerCommand, wheel: Wheel, state: PlayerState, now: datetime) -> Spin:
    day, given = state.wheel_day(wheel, now), state.next_spin(wheel, now)
    return Spin(
        brand=command.brand,
        player_id=command.player_id,
        wheel=wheel,
        client_seed=command.client_seed,
        nonce=day.spun + 1,
        blanks=day.blanks,
        key=command.key,
        given_by=None if given is None else given.key,
    )


def refused(reason: str) -> JsonObject:
    """The answer to a command that is not done."""
    return {"status": "refused", "reason": reason}


async def _earlier(connection: AsyncConnection, command: PlayerCommand) -> JsonObject | None:
    asked = {"brand": command.brand, "player": command.player_id, "key": command.key}
    row = (await connection.execute(_EARLIER, asked)).one_or_none()
    if row is None:
        return None
    if row.digest != command.digest:
        raise CommandKeyReused
    answer: JsonObject = row.answer
    return answer


_EARLIER: Final = text(
    "SELECT digest, answer FROM player_commands WHERE brand = :brand AND player_id = :player AND key = :key"
)
_KEEP: Final = text(
    """
    INSERT INTO player_commands (brand, player_id, key, digest, answer, at)
    VALUES (:brand, :player, :key, :digest, CAST(:answer AS jsonb), :at) RETURNING answer
    """
)
FORGET: Final = text(
    """
    DELETE FROM player_commands
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM player_commands WHERE at < :before LIMIT :limit))
    """
)
