"""A breaker for each provider: one that hangs is left alone for a while, instead of holding every slot of its queue.

`closed` while it answers. After some failures in a row it is `open`, and attempts fail at once, without a call. When
its pause is over one attempt is let through as a probe: an answer closes it, a failure opens it for longer.
Each process has its own, so that none depends on what another has seen.
"""

import random
import time
from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from typing import Final

from prometheus_client import Counter, Gauge

from activities.providers.adapter import ChannelUnavailable
from workflows.channels import Channel
from workflows.effect_queues import Provider

#: Failures in a row that open it.
FAILURES: Final = 5
#: How long it is open at first, and at most; the pause doubles while probes fail.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=1)
#: A probe that has said nothing for so long was cut off, and another is let through.
PROBE_LIMIT: Final = timedelta(seconds=30)
#: The longest pause between two attempts of one effect that find it open.
LONGEST_WAIT: Final = timedelta(minutes=2)

OPEN = Gauge("journeys_provider_open", "1 while the breaker of a provider is open: it is not called.", ["provider"])
CALLS = Counter(
    "journeys_provider_calls_total",
    "Calls of providers: answered, failed, or held_back because the breaker was open.",
    ["provider", "outcome"],
)


class BreakerState(Enum):
    """Whether the provider is called."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class Breaker:
    """What this process knows of one provider's health. An answer of any kind is health; a refusal is an answer."""

    def __init__(self, provider: Provider | str, *, timer: Callable[[], float] = time.monotonic) -> None:
        self.provider = provider
        self.state = BreakerState.CLOSED
        self._timer = timer
        self._failures = 0
        self._pause = FIRST_PAUSE
        #: Until when nobody calls, or until when the probe may take.
        self._until = 0.0
        OPEN.labels(provider).set(0)

    def pause(self) -> timedelta | None:
        """How long nobody may call; None: call now, and say what came of it by `answered` or `failed`."""
        if (left := self.left()) is not None:
            CALLS.labels(self.provider, "held_back").inc()
            return left
        if self.state is not BreakerState.CLOSED:
            self.state, self._until = BreakerState.PROBING, self._timer() + PROBE_LIMIT.total_seconds()
        return None

    def left(self) -> timedelta | None:
        """How much longer nobody may call, for whoever only wants to know; None: the next one may."""
        seconds = self._until - self._timer()
        return timedelta(seconds=seconds) if self.state is not BreakerState.CLOSED and seconds > 0 else None

    def answered(self) -> None:
        """The provider answered."""
        CALLS.labels(self.provider, "answered").inc()
        self.state, self._failures, self._pause = BreakerState.CLOSED, 0, FIRST_PAUSE
        OPEN.labels(self.provider).set(0)

    def failed(self) -> None:
        """The provider could not be reached, or did not answer in time."""
        CALLS.labels(self.provider, "failed").inc()
        self._failures += 1
        # Calls that were under way when it opened say nothing new.
        if self.state is BreakerState.PROBING:
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            self._open()
        elif self.state is BreakerState.CLOSED and self._failures >= FAILURES:
            self._open()

    def _open(self) -> None:
        self.state, self._until = BreakerState.OPEN, self._timer() + self._pause.total_seconds()
        OPEN.labels(self.provider).set(1)


def wait_for(pause: timedelta, attempt: int) -> timedelta:
    """When an effect that found the breaker open is tried again: the later the more often it did, never all at once."""
    grown = min(timedelta(seconds=2 ** min(attempt, 10)), LONGEST_WAIT)
    return max(pause, grown) * random.uniform(1, 1.5)


def left_alone(channel: Channel, pause: timedelta, attempt: int) -> ChannelUnavailable:
    """What an attempt says that found the breaker of its channel open: nothing was handed over, try again later."""
    text = f"The {channel} channel does not answer and is left alone for a while; try again."
    return ChannelUnavailable(text, wait_for(pause, attempt), may_have_arrived=False)
