"""Temporal Schedules that start maintenance; every worker that starts creates and corrects them."""

import logging
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from activities.deployment_names import queue_in, workflow_in
from activities.settings import MAINTENANCE_QUEUE, RETENTION_QUEUE
from workflows.background.audience_push import PUSH_LIMIT, PushAudiences
from workflows.background.maintenance import (
    DOUBLES_LIMIT,
    ERASE_LIMIT,
    LEARN_LIMIT,
    REARM_LIMIT,
    RECONCILE_LIMIT,
    RETAIN_LIMIT,
    WATCH_LIMIT,
    CompareGrants,
    ErasePlayers,
    FindDoubles,
    RearmPlayers,
    ReconcileGrants,
    ReconcileRuns,
    RetainRecords,
    ScorePlayers,
    WatchExperiments,
)
from workflows.background.take_figures import (
    REPORT_LIMIT,
    TAKE_LIMIT,
    FindChanges,
    SendMonthlyReport,
    SendReport,
    TakeFigures,
    TakeSeeds,
)
from workflows.background.telling_people import TELL_LIMIT, TellPeople

logger = logging.getLogger(__name__)

#: Shares in which all players are looked at, each at `REARM_RATE` wherever a worker is free.
SHARDS: Final = 4
#: Shares in which the brands are searched for doubles: each takes memory for what it compares.
BRAND_SHARDS: Final = 2


def _nightly(hour: int, *, comment: str = "At night, in UTC.") -> ScheduleSpec:
    """Once a day in the half hour after `hour`, in UTC."""
    at = ScheduleCalendarSpec(hour=(ScheduleRange(hour),), comment=comment)
    return ScheduleSpec(calendars=[at], jitter=timedelta(minutes=30))


def _every(interval: timedelta, *, jitter: timedelta) -> ScheduleSpec:
    return ScheduleSpec(intervals=[ScheduleIntervalSpec(every=interval)], jitter=jitter)


def _one_at_a_time(*, caught_up_within: timedelta) -> SchedulePolicy:
    """What is due while the one before works is left out; what was missed is made good for so long."""
    return SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=caught_up_within)


#: Every schedule by its id. One run at a time; what was missed while Temporal was away is soon forgotten.
SCHEDULES: Final[Mapping[str, Schedule]] = {
    "journeys-reconcile-grants": Schedule(
        action=ScheduleActionStartWorkflow(
            ReconcileGrants.run,
            id="upkeep-reconcile-grants",
            task_queue=MAINTENANCE_QUEUE,
            execution_timeout=RECONCILE_LIMIT,
        ),
        spec=_every(timedelta(seconds=30), jitter=timedelta(seconds=5)),
        policy=_one_at_a_time(caught_up_within=timedelta(seconds=30)),
    ),
    "journeys-compare-grants": Schedule(
        action=ScheduleActionStartWorkflow(
            CompareGrants.run,
            id="upkeep-compare-grants",
            task_queue=MAINTENANCE_QUEUE,
            execution_timeout=RETAIN_LIMIT,
        ),
        spec=_nightly(5, comment="After the night, in UTC."),
        policy=_one_at_a_time(caught_up_within=timedelta(hours=12)),
    ),
    "journeys-reconcile-runs": Schedule(
        action=ScheduleActionStartWorkflow(
            ReconcileRuns.run,
            id="upkeep-reconcile-runs",
            task_queue=MAINTENANCE_QUEUE,
            execution_timeout=RECONCILE_LIMIT,
        ),
        spec=_every(timedelta(minutes=1), jitter=timedelta(seconds=10)),
        policy=_one_at_a_time(caught_up_within=timedelta(minutes=1)),
    ),
    "journeys-watch-experiments": Schedule(
        action=ScheduleActionStartWorkflow(
            WatchExperiments.run,
            id="upkeep-watch-experiments",
            task_queue=MAINTENANCE_QUEUE,
            execution_timeout=WATCH_LIMIT,
        ),
        spec=_every(timedelta(hours=1), jitter=timedelta(minutes=2)),
        policy=_one_at_a_time(caught_up_within=timedelta(hours=1)),
    ),
    "journeys-score-players": Schedule(
        action=ScheduleActionStartWorkflow(
            ScorePlayers.run, id="upkeep-score-players", task_queue=MAINTENANCE_QUEUE, execution_timeout=LEARN_LIMIT
        ),
        spec=_nightly(2),
        policy=_one_at_a_time(caught_up_within=timedelta(hours=12)),
    ),
    "journeys-find-doubles": Schedule(
        action=ScheduleActionStartWorkflow(
            FindDoubles.run,
            BRAND_SHARDS,
            id="upkeep-find-doubles",
            task_queue=MAINTENANCE_QUEUE,
            execution_timeout=DOUBLES_LIMIT,
        ),
        spec=_nightly(1),
        policy=_one_at_a_time(caught_up_within=timedelta(hours=12)),
    ),
    "journeys-rearm-players": Schedule(
        action=ScheduleActionStartWorkflow(
            RearmPlayers.run,
            SHARDS,
            id="upkeep-rearm-players",
            task_queue=MAINTENANCE_QUEUE,
            execution_timeout=REARM_LIMIT,
        ),
        spec=_nightly(3),
        policy=_one_at_a_time(caught_up_within=timedelta(hours=2)),
    ),
    "journeys-tell-people": Schedule(
        action=ScheduleActionStartWorkflow(
            TellPeople.run, id="upkeep-tell-people", task_queue=MAINTENANCE_QUEUE, execution_timeout=TELL_LIMIT
        ),
        spec=_every(timedelta(seconds=20), jitter=timedelta(seconds=3)),
        policy=_one_at_a_time(caught_up_within=timedelta(seconds=20)),
    ),
    "journeys-retain": Schedule(
        action=ScheduleActionStartWorkflow(
            RetainRecords.run, id="upkeep-retain", task_queue=RETENTION_QUEUE, execution_timeout=RETAIN_LIMIT
        ),
        spec=_nightly(4),
        policy=_one_at_a_time(caught_up_within=timedelta(hours=12)),
    ),
    "journeys-take-figures": Schedule(
        action=ScheduleActionStartWorkflow(
            TakeFigures.run, id="upkeep-take-figures", task_queue=MAINTENANCE_QUEUE, execution_timeout=TAKE_LIMIT
        ),
        spec=ScheduleSpec(
            calendars=[ScheduleCalendarSpec(hour=(ScheduleRange(0),), minute=(ScheduleRange(20),), comment="In UTC.")],
            jitter=timedelta(minutes=5),
        ),
        policy=_one_at_a_time(caught_up_within=timedelta(hours=20)),
    ),
    "journeys-find-changes": Schedule(
        action=ScheduleActionStartWorkflow(
            FindChanges.run, id="upkeep-find-changes", task_queue=MAINTENANCE_QUEUE, execution_timeout=TAKE_LIMIT
        ),
        spec=ScheduleSpec(
            calendars=[ScheduleCalendarSpec(hour=(ScheduleRange(5),), minute=(ScheduleRange(40),), comment="In UTC.")],
            jitter=timedelta(minutes=5),
        ),
        policy=_one_at_a_time(caught_up_within=timedelta(hours=12)),
    ),
    "journeys-push-audiences": Schedule(
        action=ScheduleActionStartWorkflow(
            PushAudiences.run, id="upkeep-push-audiences", task_queue=MAINTENANCE_QUEUE, execution_timeout=PUSH_LIMIT
        ),
        spec=_every(timedelta(seconds=30), jitter=timedelta(seconds=5)),
        policy=_one_at_a_time(caught_up_within=timedelta(seconds=30)),
    ),
    "journeys-take-seeds": Schedule(
        action=ScheduleActionStartWorkflow(
            TakeSeeds.run, id="upkeep-take-seeds", task_queue=MAINTENANCE_QUEUE, execution_timeout=TAKE_LIMIT
        ),
        spec=ScheduleSpec(
            calendars=[ScheduleCalendarSpec(hour=(ScheduleRange(6),), minute=(ScheduleRange(10),), comment="In UTC.")],
            jitter=timedelta(minutes=5),
        ),
        policy=_one_at_a_time(caught_up_within=timedelta(hours=12)),
    ),
    "journeys-send-report": Schedule(
        action=ScheduleActionStartWorkflow(
            SendReport.run, id="upkeep-send-report", task_queue=MAINTENANCE_QUEUE, execution_timeout=REPORT_LIMIT
        ),
        spec=ScheduleSpec(
            calendars=[
                ScheduleCalendarSpec(
                    day_of_week=(ScheduleRange(1),), hour=(ScheduleRange(7),), comment="Mondays, in UTC."
                )
            ],
        ),
        policy=_one_at_a_time(caught_up_within=timedelta(hours=12)),
    ),
    "journeys-send-monthly-report": Schedule(
        action=ScheduleActionStartWorkflow(
            SendMonthlyReport.run,
            id="upkeep-send-monthly-report",
            task_queue=MAINTENANCE_QUEUE,
            execution_timeout=REPORT_LIMIT,
        ),
        spec=ScheduleSpec(
            calendars=[
                ScheduleCalendarSpec(
                    day_of_month=(ScheduleRange(3),), hour=(ScheduleRange(7),), comment="On the third, in UTC."
                )
            ],
        ),
        policy=_one_at_a_time(caught_up_within=timedelta(hours=12)),
    ),
    "journeys-erase": Schedule(
        action=ScheduleActionStartWorkflow(
            ErasePlayers.run, id="upkeep-erase", task_queue=RETENTION_QUEUE, execution_timeout=ERASE_LIMIT
        ),
        spec=_every(timedelta(minutes=1), jitter=timedelta(seconds=10)),
        policy=_one_at_a_time(caught_up_within=timedelta(minutes=1)),
    ),
}


def schedules_of(deployment: str) -> Mapping[str, Schedule]:
    """Every schedule as this deployment calls it, with what it starts."""
    return {queue_in(deployment, name): _named(deployment, schedule) for name, schedule in SCHEDULES.items()}


def _named(deployment: str, schedule: Schedule) -> Schedule:
    action = copy(schedule.action)
    assert isinstance(action, ScheduleActionStartWorkflow)
    action.id, action.task_queue = workflow_in(deployment, action.id), queue_in(deployment, action.task_queue)
    return replace(schedule, action=action)


async def keep_schedules(client: Client, schedules: Mapping[str, Schedule] = SCHEDULES) -> None:
    """Make the schedules that are missing and correct those that the code says otherwise by now.

    Any number of workers may do it at once. Whether one is paused, and the note on it, belong to people and
    are left as they are. Raises RPCError while Temporal is away.
    """
    for name, wanted in schedules.items():
        try:
            await client.create_schedule(name, wanted)
            logger.info("Made the schedule %s.", name)
        except ScheduleAlreadyRunningError:
            await client.get_schedule_handle(name).update(partial(_update, wanted))


def _update(wanted: Schedule, update: ScheduleUpdateInput) -> ScheduleUpdate | None:
    current = update.description.schedule
    if _declared(current) == _declared(wanted):
        return None
    logger.info("Correcting the schedule %s.", update.description.id)
    return ScheduleUpdate(Schedule(action=wanted.action, spec=wanted.spec, policy=wanted.policy, state=current.state))


def _declared(schedule: Schedule) -> tuple[object, ...]:
    """What the code says of a schedule."""
    action = schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    # Arguments come back encoded: that there are as many must do.
    started = (action.workflow, action.id, action.task_queue, action.execution_timeout, len(action.args))
    spec = schedule.spec
    return *started, [*spec.calendars], [*spec.intervals], spec.jitter, schedule.policy
