"""What a player does with a button: begin a mission, claim its prize, spin. Each once for its key, under gate and lock.

The tables `player_commands` and `loyalty_limits`, which only this module writes. A command is one transaction: the row
of the player is locked, the answer of an earlier attempt is looked for, the gate is asked, and what follows is written
with the answer.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities import gate_decisions, gate_facts
from activities.clock import Clock
from activities.database import Database
from activities.intake.intake import Intake
from activities.intake.locked_players import LockedPlayers
from workflows.effects import EffectInput
from workflows.errors import JourneysError
from workflows.field_types import Product
from workflows.gate.decide import may_grant
from workflows.gate.decision import Refusal
from workflows.gate.facts import GrantFacts
from workflows.gate.policy_book import PolicyBook
from workflows.json_object import JsonObject
from workflows.player_state.state import PlayerState

CommandKind = Literal["opt_in", "claim"]


class CommandKeyReused(JourneysError):
    """Another command was given under this key before; a key belongs to one intent, so make a new one."""


@dataclass(frozen=True)
class PlayerCommand:
    """One press of a button. `key` is made once by whoever shows it, and names this press for ever."""

    brand: str
    player_id: str
    key: str
    kind: CommandKind
    #: The mission it is about.
    name: str

    @property
    def digest(self) -> str:
        """What it asks for."""
        return hashlib.sha256(f"{self.kind}\x00{self.name}".encode()).hexdigest()


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

    async def _decide(
        self,
        connection: AsyncConnection,
        command: PlayerCommand,
        players: LockedPlayers,
        state: PlayerState,
        now: datetime,
    ) -> JsonObject:
        program = players.rules.loyalty
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
        players.record(command.player_id, state.claim_mission(mission, f"mission {mission.name}", now))
        return {"status": "done", "points": mission.points}

    async def _gate(
        self, connection: AsyncConnection, command: PlayerCommand, kind: str, product: Product, now: datetime
    ) -> str | None:
        """Ask the gate as for any reward, and write down what it said; the reason where it refuses."""
        facts = await gate_facts.read_to_show(connection, command.brand, command.player_id, now)
        asked = GrantFacts(kind=kind, journey_product=product)
        decision = may_grant(facts, asked, self.policies.of(command.brand, facts, now), now)
        about = EffectInput(
            brand=command.brand,
            player_id=command.player_id,
            journey="",
            run_id=f"{command.kind}:{command.name}",
            step=command.key,
        )
        await gate_decisions.record(connection, about, [gate_decisions.Decided(about.key, kind, decision)], 0, now)
        return str(decision.reason) if isinstance(decision, Refusal) else None


def refused(reason: str) -> JsonObject:
    """The answer to a command that is not done."""
    return {"status": "refused", "reason": reason}


async def take_of(connection: AsyncConnection, brand: str, limit: str, amount: int, *, most: int) -> bool:
    """Take from what all players share, a budget or a stock; False, and nothing is taken, where too little is left."""
    asked = {"brand": brand, "limit": limit, "amount": amount, "most": most}
    return (await connection.execute(_TAKE, asked)).first() is not None


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
_TAKE: Final = text(
    """
    INSERT INTO loyalty_limits AS l (brand, name, used)
    SELECT :brand, :limit, CAST(:amount AS bigint) WHERE CAST(:amount AS bigint) <= CAST(:most AS bigint)
    ON CONFLICT (brand, name) DO UPDATE SET used = l.used + EXCLUDED.used
    WHERE l.used + EXCLUDED.used <= CAST(:most AS bigint)
    RETURNING used
    """
)
FORGET: Final = text(
    """
    DELETE FROM player_commands
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM player_commands WHERE at < :before LIMIT :limit))
    """
)
