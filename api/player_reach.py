"""Would a message go to a player now, and why not: a dry run of the gate for each channel and class."""

from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from activities.gate_facts import read_beside
from activities.ways_out import WaysOut
from api.dependencies import ApiEngine, EngineOf
from api.permissions import Key, needs
from api.problems import COMMON, documented, missing
from workflows.channels import CHANNELS, Channel
from workflows.field_types import MessageClass
from workflows.gate.decide import may_send
from workflows.gate.decision import Allowed, Wait
from workflows.gate.facts import GateFacts, MessageFacts
from workflows.gate.policy import NECESSARY
from workflows.gate.reason_sentences import told_of

router = APIRouter(prefix="/v1/players/{player_id}", tags=["players"])

#: The classes that are asked about: what sells, what serves, what protects.
CLASSES: Final[tuple[MessageClass, ...]] = ("marketing", "service", "rg")


class Reach(BaseModel):
    """Whether a message of a class would go on a channel now."""

    channel: str
    message_class: str
    outcome: Literal["allowed", "refused", "waits"]
    reason: str | None = None
    rule: str | None = None
    detail: str | None = Field(None, description="Why, for people who know the system.")
    until: datetime | None = Field(None, description="Of `waits`: when it would be asked again.")
    told: dict[str, str] | None = Field(None, description="What the player may be told, by language.")


class ReachList(BaseModel):
    """Every channel and class, as of a moment."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "as_of": "2026-01-15T12:00:00Z",
                    "policy": "GB+house@6f1d2a90bc",
                    "items": [
                        {
                            "channel": "email",
                            "message_class": "marketing",
                            "outcome": "refused",
                            "reason": "no_consent",
                            "rule": "consent",
                            "detail": "The player has not opted in to email.",
                        }
                    ],
                }
            ]
        }
    )

    as_of: datetime
    policy: str = Field(description="The policies that apply, and a fingerprint of their numbers.")
    items: list[Reach]


@router.get("/reach", responses={**COMMON, **documented(404)})
async def get_reach(player_id: str, engine: EngineOf, key: Annotated[Key, needs("players:read")]) -> ReachList:
    """Whether a message would go to the player now, by the same rules as one that goes. It changes nothing.

    It is about no journey in particular: what a journey itself asks for (a product, `by`) is not known here, and
    national registers are not asked. An exclusion may come before the next message all the same.
    """
    now = engine.clock()
    async with engine.database.reading() as connection:
        ways = WaysOut.of(engine.settings)
        watched = await read_beside(connection, key.brand, player_id, "", (), now, policies=engine.policies, ways=ways)
    if watched is None:
        raise missing("player")
    policy = engine.policies.of(key.brand, watched.facts, now)
    items = [
        _asked(engine, key.brand, watched.facts, channel, message_class, now)
        for message_class in CLASSES
        for channel in CHANNELS
    ]
    return ReachList(as_of=now, policy=policy.version, items=items)


def _asked(
    engine: ApiEngine, brand: str, facts: GateFacts, channel: Channel, message_class: MessageClass, now: datetime
) -> Reach:
    message = MessageFacts(
        channel=channel, message_class=message_class, step="dry-run", product=engine.settings.product
    )
    decision = may_send(facts, message, engine.policies.of(brand, facts, now), now)
    told = told_of(
        None if isinstance(decision, Allowed) else decision.reason, channel, necessary=message_class in NECESSARY
    )
    reach = Reach(
        channel=channel, message_class=message_class, outcome="allowed", told=None if told is None else dict(told)
    )
    if not isinstance(decision, Allowed):
        reach.outcome = "waits" if isinstance(decision, Wait) else "refused"
        reach.reason, reach.rule, reach.detail = str(decision.reason), decision.rule, decision.detail
        reach.until = decision.until if isinstance(decision, Wait) else None
    return reach
