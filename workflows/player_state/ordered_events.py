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
from workflows.events.kinds import Kinds
from workflows.player_state.consents import withdraws

_ORDERED = Kinds(ConsentChanged, StatusChanged, ExclusionSet, ExclusionEnded, HarmReviewed, ProfileUpdated, TierChanged)
_OF_MESSAGES = Kinds(MessageStatus, MessageReceived)


def is_ordered(event: Event) -> bool:
    """Whether an event is one of many words on a fact; there is one registration, which has an order of its own."""
    kind = type(event)
    return _ORDERED[kind] or (_OF_MESSAGES[kind] and withdraws(event))
