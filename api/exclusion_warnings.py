"""Tells who sends an exclusion of an unusual length that it holds, and what the law of the player's place knows."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from activities.database import DatabaseUnreachable
from activities.intake.receipts import Receipt
from activities.tables import players
from api.dependencies import ApiEngine
from workflows.events import Event, ExclusionSet
from workflows.gate.exclusion_lengths import outside_lengths
from workflows.player_state.state import PlayerState


async def exclusion_warnings(
    engine: ApiEngine, brand: str, told: Sequence[tuple[str, Event]], receipts: Sequence[Receipt]
) -> dict[int, str]:
    """By position: what is to be told of exclusions that were accepted. Costs nothing where there are none."""
    taken = {
        position: (player_id, event)
        for position, ((player_id, event), receipt) in enumerate(zip(told, receipts, strict=True))
        if isinstance(event, ExclusionSet) and receipt == "accepted"
    }
    if not taken:
        return {}
    ids = {player_id for player_id, _ in taken.values()}
    mine = (players.c.brand == brand, players.c.id.in_(ids))
    try:
        async with engine.pools.protection.reading() as connection:
            rows = (await connection.execute(select(players.c.id, players.c.state).where(*mine))).all()
    except (DatabaseUnreachable, SQLAlchemyError):
        return {}  # they are in force, and that is what must be answered
    places = {row.id: PlayerState.from_json(brand, row.id, row.state).jurisdiction for row in rows}
    now = engine.clock()
    found = {
        position: outside_lengths(event, engine.policies.at(brand, places.get(player_id), now))
        for position, (player_id, event) in taken.items()
    }
    return {position: told for position, told in found.items() if told is not None}
