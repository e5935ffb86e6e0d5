"""Players as a list of something else shows them: a name, a tier, a clock, and whether they are protected."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Row, Select

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


def with_glances(listed: Select[Any], brand: ColumnElement[str], player_id: ColumnElement[str]) -> Select[Any]:
    """A list of something about players with what glances at them need, in the same statement.

    `glances_in` reads them out of its rows, which have the player's id as `player_id`.
    """
    columns = (players.c.profile.label("seen_profile"), players.c.state.label("seen_state"))
    return listed.add_columns(*columns).outerjoin(players, (players.c.brand == brand) & (players.c.id == player_id))


def glances_in(rows: Iterable[Row[Any]], brand: str, now: datetime) -> dict[str, PlayerGlance]:
    """A glance at each player of rows that were read `with_glances`, by id; one that is not there is left out."""
    seen = {row.player_id: row for row in rows if row.seen_state is not None}
    return {
        one: PlayerGlance.of(one, row.seen_profile, PlayerState.from_json(brand, one, row.seen_state), now)
        for one, row in seen.items()
    }
