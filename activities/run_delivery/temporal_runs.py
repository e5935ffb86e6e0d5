"""What Temporal has of a run: asked where the books say something else."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.run_delivery.temporal_answers import names_namespace
from workflows.effects import RUN_OVER

RPC_LIMIT: Final = timedelta(seconds=10)


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
    handle = client.get_workflow_handle(run_id, result_type=str)
    try:
        described = await handle.describe(rpc_timeout=RPC_LIMIT)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND and not names_namespace(error):
            return InTemporal(Standing.UNKNOWN)
        raise
    match described.status:
        case WorkflowExecutionStatus.RUNNING:
            return InTemporal(Standing.OPEN)
        case WorkflowExecutionStatus.COMPLETED:
            return InTemporal(Standing.PLAYED, await handle.result(rpc_timeout=RPC_LIMIT))
        case _:
            return InTemporal(Standing.BROKEN_OFF)
