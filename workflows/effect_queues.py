"""Where an effect waits for a worker, and what goes before it.

Each provider has a queue of its own, with slots, a rate and a breaker of its own: one that hangs keeps nobody waiting
but those who need it. What needs the database alone waits in the queue of the runs.
"""

from enum import IntEnum
from typing import Final, Literal, get_args

from workflows.channels import ExternalChannel

#: Who does the work outside: those who take messages, and the engine that pays rewards out.
Provider = Literal[ExternalChannel, "bonus_engine"]
PROVIDERS: Final[tuple[Provider, ...]] = get_args(Provider)


class Urgency(IntEnum):
    """What goes before what in one queue, the lowest first: the numbers are Temporal's priority keys."""

    #: What protects a player, and the end of a run, which frees its player.
    PROTECTION = 1
    #: Tasks for people, and service messages.
    SERVICE = 2
    #: Rewards, and the short work on the database that stands between everything else.
    REWARD = 3
    MARKETING = 4
    #: Rewards, marketing and what stands between in a run that was begun with many others at once.
    BULK = 5


def queue_of(queue: str, provider: Provider | None) -> str:
    """The task queue of a provider's effects beside `queue`, the one of the runs; without a provider it is that one."""
    return queue if provider is None else f"{queue}-{provider.replace('_', '-')}"
