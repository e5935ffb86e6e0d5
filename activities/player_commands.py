"""What a player does with a button: missions, spins, purchases. Each once for its key, under gate and lock.

The table `player_commands`, which only this module writes. A command is one transaction: the row of the player is
locked, the answer of an earlier attempt is looked for, the gate is asked, and what follows is written with the answer.
"""

import hashlib
from dataclasses import dataclass
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
from activities.shop_purchases import buy_item, cancel_purchase
from activities.tournaments import seat_taken
from activities.wheel_spins import spin
from workflows.effects import EffectInput
from workflows.errors import JourneysError
from workflows.field_types import Product
from workflows.gate.decide import may_grant
from workflows.gate.decision import Refusal
from workflows.gate.facts import GrantFacts
from workflows.gate.policy_book import PolicyBook
from workflows.json_object import JsonObject
from workflows.loyalty.point_currencies import HOUSE_GIVES_NO_MORE
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

    @property
    def digest(self) -> str:
        """What it asks for."""
        price = f"\x00{self.price}" if self.price else ""
        return hashlib.sha256(f"{self.kind}\x00{self.name}\x00{self.client_seed}{price}".encode()).hexdigest()


class PlayerCommands:
    """Does what players ask for themselves."""

    def __init__(self, database: Database, intake: Intake, policies: PolicyBook, clock: Clock) -> None:
        self.database = database
        self.intake = intake
        self.policies = policies
        self.clock = clock

    async def do(self, command: PlayerCommand) -> JsonObject:
        """Do it once, however often it is sent: `{"status": "done", …}` or `{"status": "refused", "reason": …}`.

        Raises `CommandKeyReused` where the key was used for something else.
        """
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
            kept = {"brand": brand, "player": player_id, "key": command.key, "digest": command.digest, "at": now}
            await connection.execute(_KEEP, kept | {"answer": orjson.dumps(answer).decode()})
        return answer

    async def _decide(  # noqa: PLR0911 - one line a reason
        self,
        connection: AsyncConnection,
        command: PlayerCommand,
        players: LockedPlayers,
        state: PlayerState,
        now: datetime,
    ) -> JsonObject:
        program = players.rules.loyalty
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
        if wheel is None:
            return refused("unknown")
        spun = state.spins_of(wheel, now)
        if spun >= wheel.plays:
            return refused("no_attempts")
        if (reason := await self._gate(connection, command, "points", wheel.product, now)) is not None:
            return refused(reason)
        landed = await spin(connection, command.brand, command.player_id, wheel, command.client_seed, spun + 1, now)
        if landed is None:
            return refused("budget_spent")
        players.record(command.player_id, state.take_spin(wheel, landed.points, landed.spin_id, now))
        return {
            "status": "done",
            "points": landed.points,
            "spin_id": landed.spin_id,
            "sector": landed.drawn,
            "instead": landed.instead,
            "seed_hash": landed.seed_hash,
            "nonce": landed.nonce,
            "attempts_left": wheel.plays - spun - 1,
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
        return await self._ask_gate(connection, command, GrantFacts(kind=kind, journey_product=product), now=now)

    async def _ask_gate(
        self, connection: AsyncConnection, command: PlayerCommand, asked: GrantFacts, *, now: datetime
    ) -> str | None:
        """Ask the gate as for any reward, and write down what it said; the reason where it refuses."""
        facts = await gate_facts.read_to_show(connection, command.brand, command.player_id, now)
        decision = may_grant(facts, asked, self.policies.of(command.brand, facts, now), now)
        about = EffectInput(
            brand=command.brand,
            player_id=command.player_id,
            journey="",
            run_id=f"{command.kind}:{command.name}",
            step=command.key,
        )
        await gate_decisions.record(
            connection, about, [gate_decisions.Decided(about.key, asked.kind, decision)], 0, now
        )
        return str(decision.reason) if isinstance(decision, Refusal) else None


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
    VALUES (:brand, :player, :key, :digest, CAST(:answer AS jsonb), :at)
    """
)
FORGET: Final = text(
    """
    DELETE FROM player_commands
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM player_commands WHERE at < :before LIMIT :limit))
    """
)
