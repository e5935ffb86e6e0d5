"""Reads days of points back from the journal that left a player's row, for events that come long after."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.point_transfers import last_units
from workflows.events import Event
from workflows.loyalty.program import LoyaltyProgram
from workflows.player_state.state import PlayerState


async def remember_buckets(
    connection: AsyncConnection,
    brand: str,
    new: Sequence[tuple[str, Event]],
    states: Mapping[str, PlayerState],
    program: LoyaltyProgram,
    now: datetime,
) -> None:
    """Have the rows know what these events are about; almost always they do, and nothing is read."""
    if not program.earn_rules:
        return
    for player_id, event in new:
        state = states[player_id]
        wanted = state.forgotten_buckets(event, program, now)
        for key, units in (await last_units(connection, brand, player_id, [*wanted])).items() if wanted else ():
            state.remember_bucket(wanted[key], key, units, now)
