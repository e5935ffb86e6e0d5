"""The policy that holds for a player: every number and rule of the gate, and where each comes from."""

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from sqlalchemy import select

from activities.tables import players
from api.dependencies import EngineOf
from api.pagination import Moment
from api.permissions import Key, needs
from api.problems import COMMON, documented, missing
from workflows.gate.policy import NUMBERS, Policy
from workflows.gate.rule_catalogue import RULES
from workflows.player_state.state import PlayerState

router = APIRouter(prefix="/v1/players", tags=["players"])

Reading = Annotated[Key, needs("players:read", "journeys:manage")]


class AppliedPolicy(BaseModel):
    """A policy that applies to the player, in the wording of the day."""

    name: str = Field(examples=["GB"])
    since: date | None = Field(None, description="The first day of this wording; absent: always.")
    jurisdiction: str | None = None
    brand: str | None = None
    numbers: dict[str, JsonValue] = Field(description="What it says; of each number the strictest of all holds.")


class PolicyNumber(BaseModel):
    """A number that holds, and the policies that say it."""

    number: str = Field(examples=["wager_cap"])
    value: JsonValue
    policies: list[str]


class AppliedRule(BaseModel):
    """A rule of the gate. One that is off is never the reason for a no."""

    id: str = Field(examples=["wager-cap"])
    says: str
    on: bool
    numbers: list[str] = Field(description="What it goes by, among the numbers.")
    sources: list[str] = Field(description="Law, section and where that is written; none: a rule of the house.")
    needs_lawyer: str | None = Field(
        None, description="What is open, so that it is off unless your own policy says on."
    )


class PlayerPolicy(BaseModel):
    """What the gate goes by for a player at a moment, each number with the policy it comes from."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "player_id": "p-1001",
                    "at": "2026-02-01T12:00:00Z",
                    "jurisdiction": "GB",
                    "version": "GB+house@6f1d2a90bc",
                    "policies": [{"name": "GB", "since": "2026-01-19", "jurisdiction": "GB", "numbers": {}}],
                    "numbers": [{"number": "wager_cap", "value": 10, "policies": ["house", "GB"]}],
                    "rules": [
                        {
                            "id": "wager-cap",
                            "says": "Wagering of a bonus stays within the ceiling: ten times in Great Britain.",
                            "on": True,
                            "numbers": ["wager_cap"],
                            "sources": ["GB LCCP, SR 5.1.1 (harrishagan.com/?p=3938)"],
                        }
                    ],
                }
            ]
        }
    )

    player_id: str
    at: datetime
    jurisdiction: str | None = Field(None, description="As it is known now; absent: nobody told us, nor the country.")
    version: str = Field(description="What decisions under it bear.")
    policies: list[AppliedPolicy]
    numbers: list[PolicyNumber]
    rules: list[AppliedRule]


@router.get("/{player_id}/policy", responses={**COMMON, **documented(404)})
async def get_player_policy(
    player_id: str,
    engine: EngineOf,
    key: Reading,
    at: Annotated[Moment | None, Query(description="The moment; now unless given.")] = None,
) -> PlayerPolicy:
    """The numbers and rules of the gate for a player at a moment, and which policy says each.

    The player's jurisdiction is the one known now: where they lived at that moment is not kept.
    """
    async with engine.database.reading() as connection:
        query = select(players.c.state).where(players.c.brand == key.brand, players.c.id == player_id)
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise missing("player")
    where, moment = PlayerState.from_json(key.brand, player_id, row.state).jurisdiction, at or engine.clock()
    joined = engine.policies.at(key.brand, where, moment)
    origins = engine.policies.origins(key.brand, where, moment)
    return PlayerPolicy(
        player_id=player_id,
        at=moment,
        jurisdiction=where,
        version=joined.version,
        policies=[_applied(one) for one in engine.policies.applying(key.brand, where, moment)],
        numbers=[
            PolicyNumber(number=name, value=joined.numbers[name], policies=[one.name for one in origins[name]])
            for name in NUMBERS
        ],
        rules=[
            AppliedRule(
                id=rule.id,
                says=rule.says,
                on=rule.is_on(joined),
                numbers=[*rule.numbers],
                sources=[str(source) for source in rule.sources],
                needs_lawyer=rule.needs_lawyer,
            )
            for rule in RULES.values()
        ],
    )


def _applied(one: Policy) -> AppliedPolicy:
    return AppliedPolicy(
        name=one.name,
        since=None if one.since == date.min else one.since,
        jurisdiction=one.jurisdiction,
        brand=one.brand,
        numbers=dict(one.numbers),
    )
