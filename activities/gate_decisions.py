"""The table `gate_decisions`: every answer of the gate about a message or a reward, written with the effect itself.

Only this module writes it. A row is written in the transaction that marks the effect handed over, reserved or refused:
there is no effect without its decision, and no decision of what was rolled back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

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


async def record(
    connection: AsyncConnection, request: EffectInput, decided: Sequence[Decided], release: int, now: datetime
) -> None:
    """Write down what was decided in an attempt of an effect, in its transaction."""
    if decided:
        await connection.execute(gate_decisions.insert().values([one.row(request, release, now) for one in decided]))
