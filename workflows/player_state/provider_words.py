"""What providers tell of what they took over: how far a message has come, and how far a reward."""

from workflows.events import Event
from workflows.player_state.decisions import GrantReached, MessageReached
from workflows.player_state.grant_progress import grant_progress_of
from workflows.player_state.message_progress import progress_of


def told_by_providers(event: Event) -> list[MessageReached | GrantReached]:
    """What an event says, of history too; nothing, but for a provider's word."""
    return [*progress_of(event), *grant_progress_of(event)]
