"""How far a message to a player has come, as its provider tells it, in whatever order that arrives."""

from typing import Final

from workflows.events import Event, MessageStatus
from workflows.player_state.decisions import MessageReached

#: What providers tell, each further than those before it. A message that was opened was delivered, whatever bounced.
PROGRESS: Final = (
    "queued",
    "sent",
    "suppressed",
    "failed",
    "bounced",
    "delivered",
    "opened",
    "clicked",
    "unsubscribed",
    "complained",
)


def progress_of(event: Event) -> list[MessageReached]:
    """What an event says of a message, of history too; nothing, but for a provider's word."""
    if not isinstance(event, MessageStatus):
        return []
    return [MessageReached(event.message_id, event.channel, event.status, event.occurred_at, event.machine)]
