"""Has an exclusion that one brand is told hold in every brand of its group, in the transaction that acknowledges it.

The other brands keep a copy of the event without the words of a person, and the block on the player's row. A player
whom they do not know yet gets a row that holds nothing else, so that who registers there later is excluded already.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.intake.event_store import store_events
from workflows.events import Event
from workflows.player_state.brand_groups import BrandGroups, copy_for_group, hold, reaches_group
from workflows.player_state.decisions import Decision
from workflows.player_state.merging import offers_taken_back, share
from workflows.player_state.state import Mode, PlayerState
from workflows.rules.failures import RuleFailure
from workflows.rules.index import RuleIndex


class Players(Protocol):
    """The locked players of a brand."""

    states: dict[str, PlayerState]
    rules: RuleIndex
    failures: list[RuleFailure]

    def record(self, player_id: str, decisions: Sequence[Decision]) -> None:
        """Record what was decided about a player."""
        ...


async def store_copies(
    connection: AsyncConnection, groups: BrandGroups, brand: str, new: Sequence[tuple[str, Event]], *, history: bool
) -> None:
    """Keep what reaches the group as an event of every other brand of it.

    To be called before players are locked: identities come before rows everywhere.
    """
    others = groups.others(brand)
    if not others:
        return
    copies = [(player_id, copy_for_group(brand, player_id, event)) for player_id, event in new if reaches_group(event)]
    for other in others if copies else ():
        await store_events(connection, other, copies, history=history)


def protect_group(
    groups: BrandGroups,
    brand: str,
    player_id: str,
    event: Event,
    together: Mapping[str, Players],
    now: datetime,
    mode: Mode,
) -> None:
    """Protect a player in the other brands of the group by what one brand was told; their runs there stop with it."""
    states = {one: players.states for one, players in together.items()}
    told = states[brand][player_id]
    blocks, reached = groups.reached(brand, player_id, event, states)
    for other, state in reached:
        if reaches_group(event):
            decisions = share(event, told, state, now, mode=mode)
        else:
            hold(blocks, told.excluded_in, state)
            decisions = [*offers_taken_back(state, now, mode=mode), *state.stop_protected(now, mode=mode)]
        together[other].record(state.player_id, decisions)
