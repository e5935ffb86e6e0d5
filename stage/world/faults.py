"""Providers that fail on demand: what a `faults` function raises, and two that are often wanted."""

from datetime import datetime
from typing import Protocol

from stage.virtual_temporal.activities import TimedOut
from stage.virtual_temporal.runs import Call
from workflows.effect_queues import Provider
from workflows.effects import EffectInput

__all__ = ["Away", "Declines", "Faults", "Provider", "TimedOut", "away", "both"]


class Faults(Protocol):
    """Called before every attempt of every effect; return to let it pass, raise to make it go wrong.

    `Away` and `Declines` name providers and leave the others alone. `TimedOut` makes the attempt last until its
    time limit. Any other exception fails the whole attempt at once, as when the database is away.
    """

    def __call__(self, call: Call, given: EffectInput) -> None:
        """Decide about one attempt of one effect."""


class Away(Exception):
    """These providers cannot be reached now: the attempt fails and is made again."""

    def __init__(self, *providers: Provider) -> None:
        super().__init__(f"{' and '.join(providers)} cannot be reached")
        self.providers = frozenset(providers)


class Declines(Exception):
    """These providers answer no, for good: the message has failed, the reward is refused."""

    def __init__(self, *providers: Provider, reason: str = "declined") -> None:
        super().__init__(f"{' and '.join(providers)} answered no: {reason}")
        self.providers = frozenset(providers)
        self.reason = reason


def away(*providers: Provider, until: datetime, since: datetime | None = None) -> Faults:
    """These providers cannot be reached until then."""

    def faults(call: Call, given: EffectInput) -> None:  # noqa: ARG001 - it does not matter who asks
        if call.now < until and (since is None or call.now >= since):
            raise Away(*providers)

    return faults


def both(*faults: Faults) -> Faults:
    """The first of these that has something against an attempt decides."""

    def all_of_them(call: Call, given: EffectInput) -> None:
        for one in faults:
            one(call, given)

    return all_of_them
