"""What Temporal has of a run: asked where the books say something else."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.run_delivery.temporal_answers import names_namespace
from workflows.effects import RUN_OVER

logger = logging.getLogger(__name__)

RPC_LIMIT: Final = timedelta(seconds=10)
_ABOUT_ALL: Final = frozenset(
    {
        RPCStatusCode.CANCELLED,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.PERMISSION_DENIED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.UNAUTHENTICATED,
        RPCStatusCode.UNAVAILABLE,
    }
)


class Standing(Enum):
    """Where a run stands in Temporal."""

    OPEN = "open"
    #: It came to its end there. The books would know, had Postgres not been set back.
    PLAYED = "played"
    #: It was terminated, or failed.
    BROKEN_OFF = "broken_off"
    #: It never was there, or was deleted.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class InTemporal:
    """What Temporal has of a run; `outcome` is what one that was played ended as."""

    standing: Standing
    outcome: str | None = None

    @property
    def may_begin(self) -> bool:
        """Whether a run that is under way in the books, and has done nothing there, may begin in Temporal.

        One that was refused there was not in the books then. It entered them again since, with the same id because of
        the same cause, and begins anew: what it had done it does under the same keys.
        """
        return self.standing is Standing.UNKNOWN or self.outcome == RUN_OVER


async def look_at(client: Client, run_id: str) -> InTemporal:
    """What Temporal has of a run. Raises RPCError when it cannot say."""
    try:
        described = await client.get_workflow_handle(run_id).describe(rpc_timeout=RPC_LIMIT)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND and not names_namespace(error):
            return InTemporal(Standing.UNKNOWN)
        raise
    match described.status:
        case WorkflowExecutionStatus.RUNNING:
            return InTemporal(Standing.OPEN)
        case WorkflowExecutionStatus.COMPLETED:
            return InTemporal(Standing.PLAYED, await _outcome(client, run_id, described.run_id))
        case _:
            return InTemporal(Standing.BROKEN_OFF)


async def _outcome(client: Client, run_id: str, execution: str) -> str | None:
    """What the very execution that was described ended as; None if its result is gone or cannot be read."""
    handle = client.get_workflow_handle(run_id, run_id=execution, result_type=str)
    try:
        outcome: str = await handle.result(follow_runs=False, rpc_timeout=RPC_LIMIT)
    except RPCError as error:
        if concerns_everybody(error) or error.status is not RPCStatusCode.NOT_FOUND:
            raise
    except Exception:
        # A codec that has lost its key, a result of another program: any error may come out of reading it.
        logger.exception("What run %s ended as in Temporal cannot be read.", run_id)
    else:
        return outcome
    return None


def concerns_everybody(error: RPCError) -> bool:
    """Whether Temporal's answer is about us or itself, and not about the one run that was asked for."""
    return error.status in _ABOUT_ALL or names_namespace(error)
