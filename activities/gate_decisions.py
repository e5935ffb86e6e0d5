"""The table `gate_decisions`: every answer of the gate about a message or a reward, written with the effect itself.

Only this module writes it. A row is written in the transaction that marks the effect handed over, reserved or refused:
there is no effect without its decision, and no decision of what was rolled back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database import insert_rows
from activities.tables import gate_decisions
from workflows.effects import EffectInput
from workflows.gate.decision import Allowed, Refusal, Wait
from workflows.json_object import JsonObject


@dataclass(frozen=True)
class Decided:
    """What the gate said about one message or reward; `subject` is the channel or the kind of reward."""

    effect_id: str
    subject: str
    answer: Allowed | Refusal | Wait

    def row(self, request: EffectInput, release: int, now: datetime) -> JsonObject:
        """The row of it."""
        answer = self.answer
        common: JsonObject = {
            "brand": request.brand,
            "player_id": request.player_id,
            "at": now,
            "effect_id": self.effect_id,
            "run_id": request.run_id,
            "journey": request.journey,
            "release": release,
            "subject": self.subject,
            "policy": answer.policy,
            "seen": dict(answer.seen),
        }
        if isinstance(answer, Allowed):
            return common | {
                "outcome": "allowed",
                "reason": None,
                "rule": None,
                "rules": [*answer.rules],
                "detail": None,
            }
        return common | {
            "outcome": "refused" if isinstance(answer, Refusal) else "waits",
            "reason": str(answer.reason),
            "rule": answer.rule,
            "rules": [answer.rule],
            "detail": answer.detail,
        }


# Every attempt of an effect runs these: written with their rows inside they would be compiled anew each time.
_INSERT: Final = gate_decisions.insert()


async def record_change(
    connection: AsyncConnection, request: EffectInput, decided: Decided, release: int, now: datetime
) -> None:
    """The same of one effect, unless what was decided last about it was refused for the same reason."""
    mine = (gate_decisions.c.brand == request.brand, gate_decisions.c.effect_id == decided.effect_id)
    columns = (gate_decisions.c.outcome, gate_decisions.c.reason, gate_decisions.c.rule)
    latest = select(*columns).where(*mine).order_by(gate_decisions.c.at.desc()).fetch(1, with_ties=True)
    before = {tuple(one) for one in await connection.execute(latest)}
    row = decided.row(request, release, now)
    if (row["outcome"], row["reason"], row["rule"]) not in before:
        await record(connection, request, [decided], release, now)


async def record_all(
    connection: AsyncConnection, decided: Sequence[tuple[EffectInput, Decided]], now: datetime
) -> None:
    """Write down what was decided about several players, in the transaction that carries it out."""
    if decided:
        await insert_rows(connection, _INSERT, [one.row(request, 0, now) for request, one in decided])


async def record(
    connection: AsyncConnection, request: EffectInput, decided: Sequence[Decided], release: int, now: datetime
) -> None:
    """Write down what was decided in an attempt of an effect, in its transaction."""
    if decided:
        await insert_rows(connection, _INSERT, [one.row(request, release, now) for one in decided])
