"""Where a run stands: asked of the run itself, and of Temporal, which knows what fails while no worker answers."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from temporalio.client import (
    WorkflowExecutionDescription,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)
from temporalio.service import RPCError

from activities.runs import RunRow
from api.dependencies import ApiEngine
from workflows.run_protocol import POSITION, Position

T = TypeVar("T")

_LIMIT: Final = timedelta(seconds=1)
_AWAY: Final = (RPCError, RuntimeError, TimeoutError, WorkflowQueryFailedError, WorkflowQueryRejectedError)


class FailingEffect(BaseModel):
    """What a run cannot get done. It is tried until it succeeds; the run waits meanwhile."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "effect": "grant",
                    "attempts": 7,
                    "since": "2026-01-15T12:00:00Z",
                    "error": "The bonus engine did not take the request: it does not answer.",
                    "next_attempt_at": "2026-01-15T12:03:30Z",
                }
            ]
        }
    )

    effect: str | None = Field(description="Null where it is the journey's own code that fails.")
    attempts: int = Field(description="How many have failed.")
    since: datetime | None = Field(description="When it was first due.")
    error: str = Field(description="What the last attempt failed of.")
    next_attempt_at: datetime | None = Field(description="Null while one is under way.")


@dataclass(frozen=True)
class RunStatus:
    """Where a run stands right now, or why nobody can say; and what it fails at, if anything."""

    position: Position | None = None
    position_missing: str | None = None
    failing: FailingEffect | None = None


async def ask_status(engine: ApiEngine, run: RunRow) -> RunStatus:
    """Ask a run and Temporal, for a second at most, where it stands."""
    if not run.has_workflow:
        return RunStatus(position_missing="This run is only tracked, as control runs once were; it stands nowhere.")
    if run.state != "active":
        return RunStatus(position_missing="The run is over.")
    handle = engine.temporal.get_workflow_handle(run.id)
    position, failing = await asyncio.gather(
        _within_limit(handle.query(POSITION, result_type=Position, rpc_timeout=_LIMIT)),
        _within_limit(_failing_effect(engine, handle)),
    )
    shown = None if isinstance(failing, Exception) else failing
    if isinstance(position, Exception):
        detail = f" ({position.message})" if isinstance(position, RPCError) else ""
        why = f"The run cannot be asked right now: Temporal or a worker does not answer{detail[:200]}."
        return RunStatus(position_missing=why, failing=shown)
    return RunStatus(position=position, failing=shown)


async def _within_limit(asked: Awaitable[T]) -> T | Exception:
    try:
        return await asyncio.wait_for(asked, _LIMIT.total_seconds())
    except _AWAY as error:
        return error


async def _failing_effect(engine: ApiEngine, handle: WorkflowHandle[Any, Any]) -> FailingEffect | None:
    described: WorkflowExecutionDescription = await handle.describe(rpc_timeout=_LIMIT)
    raw = described.raw_description
    for pending in raw.pending_activities:
        if not pending.HasField("last_failure"):
            continue
        # Of a failure too long to be kept, Temporal keeps the beginning, as the cause of one of its own.
        stored = pending.last_failure
        is_cut = stored.HasField("server_failure_info") and stored.HasField("cause")
        failure = await engine.temporal.data_converter.decode_failure(stored.cause if is_cut else stored)
        waiting = pending.HasField("next_attempt_schedule_time")
        return FailingEffect(
            effect=pending.activity_type.name,
            attempts=pending.attempt - 1,
            since=_time(pending.scheduled_time),
            error=str(getattr(failure, "message", failure))[:500],
            next_attempt_at=_time(pending.next_attempt_schedule_time) if waiting else None,
        )
    task = raw.pending_workflow_task
    if task.attempt > 1:
        return FailingEffect(
            effect=None,
            attempts=task.attempt - 1,
            since=_time(task.original_scheduled_time),
            error="The journey could not be played on: its code failed, or its worker was killed. See the log.",
            next_attempt_at=None,
        )
    return None


def _time(stamp: Any) -> datetime | None:
    return stamp.ToDatetime(UTC) if stamp.seconds else None
