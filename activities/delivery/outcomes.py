"""What became of a delivery, and when Temporal's answers are about us all and not about the run that was told.

Only what is wrong with a run's own payload is refused for good. A revoked key or a full namespace hits every run alike:
the breaker and the brake notice it, and nothing is buried.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import Gauge
from temporalio.service import RPCError, RPCStatusCode

from activities.delivery.deliveries import CLAIM, DueDelivery

logger = logging.getLogger(__name__)

BREAKER: Final = Gauge(
    "journeys_delivery_breaker_open",
    "1 while Temporal refuses every run alike: a key, a role, a namespace or the server's configuration is wrong.",
)
#: Runs told in one pass when nothing is wrong, and the seconds of the longest pause between two when Temporal is full.
MOST_RUNS: Final = 2 * CLAIM
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
# Who asks is refused, whatever is asked.
_REFUSES_US: Final = frozenset({RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED})


@dataclass(frozen=True)
class DeliveryRefused:
    """Nobody will ever take this; a person must look. `rows` are the deliveries meant, all of the run's if empty."""

    reason: str
    rows: Sequence[DueDelivery] = ()
    #: Whether Temporal said so, and not we.
    by_temporal: bool = False


@dataclass(frozen=True)
class RetryLater:
    """Temporal did not take this now."""

    reason: str
    #: Temporal refuses whoever we are, not this delivery.
    refuses_us: bool = False
    #: Temporal has more to do than it can.
    is_full: bool = False


@dataclass(frozen=True)
class NotRunning:
    """Temporal has no such run under way: it is over, which is fine, or lost, which is not."""


#: None: Temporal has taken it.
Outcome = DeliveryRefused | RetryLater | NotRunning | None


def outcome_of(error: RPCError) -> DeliveryRefused | RetryLater:
    """What Temporal's error means for what was delivered. Everything that may pass later is tried again."""
    if error.status is RPCStatusCode.INVALID_ARGUMENT:
        return DeliveryRefused(f"Temporal refused it: {error.message}", by_temporal=True)
    return RetryLater(
        f"{error.status.name}: {error.message}"[:500],
        refuses_us=error.status in _REFUSES_US,
        is_full=error.status is RPCStatusCode.RESOURCE_EXHAUSTED,
    )


def names_namespace(error: RPCError) -> bool:
    """Whether it is the namespace that was not found, as from a server that is still starting."""
    return any("NamespaceNotFound" in detail.type_url for detail in error.grpc_status.details)


class DeliveryBreaker:
    """Notices that every run is refused alike, and then lets one at a time ask whether it is over.

    Temporal's "invalid argument" is about a payload, or about the server's configuration, and does not say which. So a
    run is refused for good only where Temporal has taken another one since it last refused one.
    """

    def __init__(self) -> None:
        self.why: RetryLater | None = None
        self._refused: set[str] = set()

    def judge(self, answers: Mapping[str, Outcome]) -> dict[str, Outcome]:
        """The answers to a pass by run, with those put off that are nobody's own fault."""
        outcomes = dict(answers)
        if any(answer is None or isinstance(answer, NotRunning) for answer in answers.values()):
            self._refused.clear()
            self._close()
            return outcomes
        refused = {run: a for run, a in answers.items() if isinstance(a, DeliveryRefused) and a.by_temporal}
        self._refused |= refused.keys()
        if refused and len(self._refused) > 1:
            later = {
                run_id: RetryLater(f"{answer.reason} It refuses every run, so nothing is given up.")
                for run_id, answer in refused.items()
            }
            self._open(next(iter(later.values())))
            return outcomes | later
        if alike := [a for a in answers.values() if isinstance(a, RetryLater) and a.refuses_us]:
            self._open(alike[0])
        return outcomes

    def _open(self, why: RetryLater) -> None:
        if self.why is None:
            logger.error(
                "Temporal refuses every run: %s Correct the key, the role or the namespace of this process; deliveries "
                "wait and none is given up.",
                why.reason,
            )
        self.why = why
        BREAKER.set(1)

    def _close(self) -> None:
        if self.why is not None:
            logger.info("Temporal takes deliveries again.")
        self.why = None
        BREAKER.set(0)


class DeliveryBrake:
    """Tells fewer runs in a pass while Temporal is full, and more again when it is not."""

    def __init__(self) -> None:
        #: How many runs the next pass may tell.
        self.allowance = MOST_RUNS
        #: Seconds to rest before it; 0 while Temporal takes everything.
        self.pause = 0.0

    def judge(self, answers: Mapping[str, Outcome]) -> None:
        """Learn from the answers to a pass."""
        if any(isinstance(answer, RetryLater) and answer.is_full for answer in answers.values()):
            self.allowance = max(1, min(self.allowance, len(answers)) // 2)
            self.pause = min(LONGEST_PAUSE, 2 * self.pause or SHORTEST_PAUSE)
        elif answers:
            self.allowance = min(MOST_RUNS, 2 * self.allowance)
            self.pause = 0.0
