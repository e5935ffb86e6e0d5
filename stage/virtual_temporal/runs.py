"""What a virtual Temporal remembers of a workflow: its instance, its timers, its activities."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.worker import WorkflowInstance

from stage.virtual_temporal.payload_converter import CONVERTER
from workflows.temporal_internals import Job, ScheduleActivity, ScheduleLocalActivity


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt of an activity, as the world is asked to perform it."""

    name: str
    workflow_id: str
    attempt: int
    now: datetime
    arguments: Sequence[Payload] = field(repr=False)
    #: Since it was first due.
    waited: timedelta = timedelta(0)

    def decode(self, kind: type[Any]) -> Any:
        """The single argument, as its type."""
        return CONVERTER.from_payloads(self.arguments, [kind])[0]


@dataclass(slots=True)
class Activity:
    """An activity under way. `answered` means that the run has its answer, whatever still happens."""

    command: ScheduleActivity | ScheduleLocalActivity
    local: bool
    chapter: int
    #: The activation that scheduled it: what is cancelled in the same one never reaches a server.
    task: int
    scheduled_at: datetime
    deadline: datetime | None = None
    attempt: int = 1
    attempting: bool = False
    cancel_requested: bool = False
    answered: bool = False
    done: bool = False
    last_failure: Failure | None = None


@dataclass(slots=True)
class StageRun:
    """One workflow: its living instance and everything it waits for."""

    workflow_id: str
    workflow_type: str
    #: Of its current chapter, as the SDK tells it.
    started_at: datetime
    memo: dict[str, Payload] = field(default_factory=dict)
    search_attributes: dict[str, Payload] = field(default_factory=dict)
    instance: WorkflowInstance | None = None
    chapter: int = 1
    #: Events of its history, as a server would count them.
    length: int = 0
    tasks: int = 0
    timers: set[int] = field(default_factory=set)
    activities: dict[int, Activity] = field(default_factory=dict)
    patches: set[str] = field(default_factory=set)
    #: In the middle of a task: whatever comes now waits in `jobs` for the next activation.
    busy: bool = False
    jobs: list[Job] = field(default_factory=list)
    locals: deque[Activity] = field(default_factory=deque)
    #: What came while it was between two chapters.
    held: list[Job] = field(default_factory=list)
    status: str = "running"
    result: Payload | None = None
    failure: Failure | None = None
    closed_at: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether the run goes on."""
        return self.status == "running"

    @property
    def run_id(self) -> str:
        """The id of its current chapter."""
        return f"{self.workflow_id}/{self.chapter}"

    def forget_chapter(self) -> None:
        """Drop everything that belongs to the chapter that is over."""
        self.timers.clear()
        self.activities.clear()
        self.patches.clear()
        self.jobs.clear()
        self.locals.clear()
        self.length = 0


def duration_of(wire: Duration) -> timedelta:
    """The duration, rounded to the microseconds that the clock of the stage counts.

    The SDK computes timers in floating point, so that a deadline may come out some nanoseconds early.
    """
    return timedelta(microseconds=round(wire.ToNanoseconds() / 1_000))
