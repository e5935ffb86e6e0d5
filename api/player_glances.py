"""Players as a list of something else shows them: a name, a tier, a clock, and whether they are protected."""

from collections.abc import Collection
from datetime import datetime

from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.tables import players
from workflows.json_object import JsonObject
from workflows.player_state.state import PlayerState


class PlayerGlance(BaseModel):
    """Who somebody is, at a glance. The name is personal data."""

    id: str
    name: str | None = Field(None, examples=["Anna"])
    tier: str | None = None
    country: str | None = None
    language: str | None = None
    timezone: str | None = None
    protected: str | None = Field(None, description="Why the player is left alone.", examples=["self_excluded"])

    @classmethod
    def of(cls, player_id: str, profile: JsonObject, state: PlayerState, now: datetime) -> "PlayerGlance":
        """What a glance at a player's row tells."""
        facts = {name: state.facts.get(name) for name in ("tier", "country", "language", "timezone")}
        name = profile.get("first_name") or profile.get("username")
        return cls(id=player_id, name=name, protected=state.protected(now), **facts)


async def glances(
    connection: AsyncConnection, brand: str, player_ids: Collection[str], now: datetime
) -> dict[str, PlayerGlance]:
    """A glance at each of these players of a brand, by id; one that is not there is left out."""
    if not player_ids:
        return {}
    chosen = select(players.c.id, players.c.profile, players.c.state).where(
        players.c.brand == brand, players.c.id.in_(set(player_ids))
    )
    return {
        row.id: PlayerGlance.of(row.id, row.profile, PlayerState.from_json(brand, row.id, row.state), now)
        for row in await connection.execute(chosen)
    }
