"""Reads days of points back from the journal that left a player's row, for events that come long after."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.intake.locked_players import LockedPlayers
from activities.point_transfers import last_units
from workflows.events import Event
from workflows.loyalty.point_transfers import PointTransfer


async def remember_buckets(
    connection: AsyncConnection, brand: str, players: LockedPlayers, player_id: str, event: Event, now: datetime
) -> None:
    """Have the row know what an event is about, just before it is counted; almost always it does, and nothing is read.

    An event before it in the batch may have let the day go: then what was decided here knows more than the journal.
    """
    program, state = players.rules.loyalty, players.states[player_id]
    wanted = state.forgotten_buckets(event, program, now) if program.earn_rules else {}
    if not wanted:
        return
    known = await last_units(connection, brand, player_id, [*wanted])
    for whose, decision in players.decisions:
        if whose == player_id and isinstance(decision, PointTransfer) and decision.bucket in wanted:
            known[decision.bucket] = dict(decision.units or {})
    for key, units in known.items():
        state.remember_bucket(wanted[key], key, units, now)
