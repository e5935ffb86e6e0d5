"""What Temporal answers when a run is told something: taken, refused for good, later, or not running."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from temporalio.service import RPCError, RPCStatusCode

from activities.run_delivery.deliveries import DueDelivery

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
