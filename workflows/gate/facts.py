"""What the gate is told about a player: facts out of the player's state, the same in both theatres."""

from collections.abc import Collection
from datetime import datetime

from workflows.gate.policy import Contact, GateFacts
from workflows.player_state.state import PlayerState

SIGNS_OF_LIFE = ("session.login", "session.ended", "game.round_completed", "payment.deposit_approved")


def facts_of(
    state: PlayerState, *, addresses: Collection[str], contacts: Collection[Contact], now: datetime
) -> GateFacts:
    """The gate's facts at `now`. `contacts` are the marketing contacts of at least the last 7 days.

    What the state does not say stays unknown here, and the gate takes unknown for no. Only harm and the
    test mark are known to be absent once the player is known: nobody ever reports that there is none.
    """
    return GateFacts(
        status=state.status_at(now),
        exclusions=tuple(state.exclusions),
        harm=state.harm or "none",
        is_test=bool(state.facts.get("is_test", False)),
        consents={channel: given for channel, (given, _) in state.consents.items()},
        addresses=tuple(addresses),
        timezone=state.facts.get("timezone"),
        activity=[state.last[kind] for kind in SIGNS_OF_LIFE if kind in state.last],
        contacts=tuple(contacts),
    )
