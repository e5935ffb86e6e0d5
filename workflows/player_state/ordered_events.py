"""Which events are words on a fact about a player that is told again and again."""

from workflows.events import (
    ConsentChanged,
    Event,
    ExclusionEnded,
    ExclusionSet,
    HarmReviewed,
    MessageReceived,
    MessageStatus,
    ProfileUpdated,
    StatusChanged,
    TierChanged,
)
from workflows.player_state.consents import withdraws


def is_ordered(event: Event) -> bool:
    """Whether an event is one of many words on a fact; there is one registration, which has an order of its own."""
    if isinstance(event, MessageStatus | MessageReceived):
        return withdraws(event)
    return isinstance(
        event,
        ConsentChanged | StatusChanged | ExclusionSet | ExclusionEnded | HarmReviewed | ProfileUpdated | TierChanged,
    )
