"""The worker process: what each role runs, and how it ends.

`python -m worker` runs everything; `--role worker` only journeys, effects and what recurs on a
calendar, `--role dispatcher` only deliveries and the sweep, `--role retention` only what forgets: it
must own the tables, which the others need not. Any number of each may run.
"""

import asyncio
import logging
import signal
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer
import uvloop
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client, Schedule
from temporalio.runtime import Runtime
from temporalio.service import RPCError
from temporalio.worker import Interceptor, Worker

from activities.application_role import owns_tables
from activities.clock import sleep_or_stop
from activities.database import RETENTION_LIMITS, Database
from activities.engine import RETENTION_CONNECTIONS, WorkerEngine, worker_engine
from activities.failing_effects import FailureInterceptor
from activities.gc_tuning import SettledHeap, freeze_gc
from activities.liveness import Heartbeat, serve
from activities.log_output import log_to_stderr
from activities.loops.maintenance_schedules import keep_schedules, schedules_of
from activities.loops.nightly_retention import Forgetting
from activities.message_urgency import MessageUrgency
from activities.processes import Role
from activities.registers import without_address
from activities.settings import Settings, settings_from
from activities.temporal_client import client_options, connect, metrics_runtime, worker_deployment
from activities.temporal_credentials import WrongSetting, keep_credentials
from workflows.background.audience_push import PushAudiences
from workflows.background.bulk_job import BulkJobWorkflow
from workflows.background.maintenance import MAINTENANCE_WORKFLOWS, ErasePlayers, RetainRecords
from workflows.background.take_figures import FIGURE_WORKFLOWS
from workflows.background.telling_people import TellPeople
from workflows.background.tournament_run import TournamentWorkflow
from workflows.effect_queues import PROVIDERS, queue_of
from workflows.effects import SEND
from workflows.errors import DesignError
from workflows.temporal_internals import runner_for

logger = logging.getLogger("journeys.worker")

# A hand-over cut off half-way is in doubt for good where nobody can be asked, so effects under way are finished.
GRACE = SEND.time_limit
#: Workflows of upkeep and of long work; none is of one player.
UPKEEP_WORKFLOWS = [
    *MAINTENANCE_WORKFLOWS,
    *FIGURE_WORKFLOWS,
    TellPeople,
    PushAudiences,
    BulkJobWorkflow,
    TournamentWorkflow,
]
# Effects on the database alone. Each holds a connection now and then; far more would only wait for the pool.
EFFECTS_AT_ONCE = 40
# Runs that think at a time. They share one core, so more of them would only stand in each other's way here, where no
# priority and no turn of brands is kept, instead of in Temporal, where both are. Who waits for a task holds a place,
# too: with eight, reactions were slower (docs/decisions/0027-passes-are-short.md).
RUNS_AT_ONCE = 20
# Tasks asked for at a time in a provider's queue; the provider is slower than the asking.
PROVIDER_POLLS = 2
# Runs that wait in memory, about 140 kB each; another is fetched and replayed when something happens to it.
CACHED_RUNS = 6_000
# Enrolments and sweeps over all players; more of them wait for their turn.
LONG_WORK_AT_ONCE = 8
# Seconds to wait for the database's clock: what is swept is decided by it.
FIRST_BEAT_S = 5.0
# Seconds between two attempts to make the schedules, and to ask Postgres who owns the tables.
RETRY_S = 5.0
#: What a process of this module does.
WorkerRole = Literal["all", "worker", "dispatcher", "retention"]


def journey_worker(
    client: Client, engine: WorkerEngine, *, interceptors: Sequence[Interceptor] = (), **options: Any
) -> Worker:
    """The Temporal worker that plays journeys and does what needs the database alone; `options` go to the SDK.

    It offers every effect: runs of an earlier release have left some in its queue that need a provider.
    """
    return Worker(
        client,
        task_queue=engine.settings.task_queue,
        workflows=engine.registry.workflows,
        activities=engine.activities,
        workflow_runner=runner_for(client.data_converter),
        graceful_shutdown_timeout=GRACE,
        interceptors=[
            FailureInterceptor(problems=engine.problems),
            MessageUrgency(engine.message_classes),
            *interceptors,
        ],
        deployment_config=worker_deployment(engine.settings),
        **{
            "max_concurrent_workflow_tasks": RUNS_AT_ONCE,
            "max_concurrent_activities": EFFECTS_AT_ONCE,
            "max_cached_workflows": CACHED_RUNS,
            **options,
        },
    )


def provider_workers(
    client: Client, engine: WorkerEngine, *, interceptors: Sequence[Interceptor] = (), **options: Any
) -> list[Worker]:
    """A Temporal worker for each provider, with slots and a rate of its own; `options` go to the SDK."""
    return [
        Worker(
            client,
            task_queue=queue_of(engine.settings.task_queue, provider),
            activities=engine.activities_of(provider),
            graceful_shutdown_timeout=GRACE,
            interceptors=[FailureInterceptor(problems=engine.problems), *interceptors],
            deployment_config=worker_deployment(engine.settings),
            max_concurrent_activities=limits.slots,
            max_task_queue_activities_per_second=limits.per_second,
            **{"max_concurrent_activity_task_polls": PROVIDER_POLLS, **options},
        )
        for provider in PROVIDERS
        for limits in [engine.settings.limits_of(provider)]
    ]


def maintenance_worker(client: Client, engine: WorkerEngine) -> Worker:
    """The Temporal worker of what recurs on a calendar and of long work: neither may take a slot from effects."""
    return Worker(
        client,
        task_queue=engine.settings.maintenance_queue,
        workflows=UPKEEP_WORKFLOWS,
        activities=[
            *engine.maintenance.activities,
            *engine.learned.upkeep,
            engine.doubles.search,
            engine.reconciliation.reconcile,
            engine.forgetting.retain,
            engine.forgetting.erase,
            engine.telling.tell,
            *engine.bulk_jobs.activities,
            engine.tournament_closing.close,
            engine.tournament_closing.pay,
            *engine.figure_reports.activities,
            engine.changes.find,
            engine.seeds.take,
            engine.audiences.push,
        ],
        graceful_shutdown_timeout=GRACE,
        interceptors=[FailureInterceptor()],
        deployment_config=worker_deployment(engine.settings),
        max_concurrent_activities=LONG_WORK_AT_ONCE,
        max_concurrent_workflow_task_polls=2,
        max_concurrent_activity_task_polls=1,
    )


def retention_worker(client: Client, forgetting: Forgetting) -> Worker:
    """The Temporal worker of what forgets: it drops months of events, which only their owner may."""
    return Worker(
        client,
        task_queue=forgetting.settings.retention_queue,
        workflows=[RetainRecords, ErasePlayers],
        activities=[forgetting.retain, forgetting.erase],
        graceful_shutdown_timeout=GRACE,
        interceptors=[FailureInterceptor()],
        deployment_config=worker_deployment(forgetting.settings),
        # A player does not wait for the night's work.
        max_concurrent_activities=2,
        max_concurrent_workflow_task_polls=2,
        max_concurrent_activity_task_polls=1,
    )


async def main(role: WorkerRole, settings: Settings | None = None) -> None:
    """Run until SIGINT or SIGTERM, then let what is under way finish."""
    settings = settings or settings_from()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    heartbeat = Heartbeat()
    if settings.metrics_port:
        serve(settings.metrics_port, settings.metrics_host, heartbeat)
    runtime = metrics_runtime(settings)
    client_options(settings)  # a wrong one is told before anything starts
    worker_deployment(settings)
    if role == "retention":
        await _retain(settings, runtime, heartbeat, stop)
    else:
        await _work(role, settings, runtime, heartbeat, stop)


async def _work(
    role: Role, settings: Settings, runtime: Runtime | None, heartbeat: Heartbeat, stop: asyncio.Event
) -> None:
    """Be a worker, a dispatcher or both."""
    async with worker_engine(settings, role=role) as engine, asyncio.TaskGroup() as group:
        freeze_gc()
        group.create_task(SettledHeap().run(stop))
        group.create_task(heartbeat.run(stop))
        group.create_task(engine.processes.run(stop))
        if role in {"all", "dispatcher"}:
            await engine.processes.begun(FIRST_BEAT_S)
            group.create_task(engine.sweeper().run(stop))
            group.create_task(engine.webhooks.run(stop))
            group.create_task(engine.settlement().run(stop))
            group.create_task(engine.economy().watch(stop))
            group.create_task(engine.prizes().run(stop))
            group.create_task(engine.raffles().run(stop))
        client = await _connect_or_stop(stop, settings, runtime)
        if client is None:
            return
        workers: list[Worker] = []
        group.create_task(keep_credentials(client, settings, stop, workers))
        if role in {"all", "dispatcher"}:
            group.create_task(engine.dispatcher(client).run(stop))
            group.create_task(engine.bulk_jobs.watch(client, stop))
            group.create_task(engine.tournament_opening.watch(client, stop))
            group.create_task(engine.problems.watch(client, stop))
            group.create_task(engine.gauges.watch(stop))
            group.create_task(engine.followers.run(stop))
        if role in {"all", "worker"}:
            group.create_task(_make_schedules(client, schedules_of(settings.deployment_name), stop))
            workers += [maintenance_worker(client, engine), journey_worker(client, engine)]
            workers += provider_workers(client, engine)
            for worker in workers:
                group.create_task(_run_worker(worker, stop))
            group.create_task(_retain_if_owner(client, engine, stop, workers))
        if unreleased := [name for name, journey in engine.registry.journeys.items() if not journey.version]:
            logger.warning(
                "Runs follow every edit of what is no release, see journeys release: %s", ", ".join(unreleased)
            )
        for sentence in without_address(engine.policies, settings, datetime.now(UTC)):
            logger.warning("%s", sentence)
        logger.info("Ready as %s with journeys %s.", role, ", ".join(engine.registry.journeys))


async def _retain(settings: Settings, runtime: Runtime | None, heartbeat: Heartbeat, stop: asyncio.Event) -> None:
    """Be what forgets, and nothing else: it needs no journey, no provider and no secret but the owner's."""
    database = Database(settings, connections=RETENTION_CONNECTIONS, limits=RETENTION_LIMITS)
    is_owner = True
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        stack.callback(stop.set)
        group.create_task(heartbeat.run(stop))
        client = await _connect_or_stop(stop, settings, runtime)
        if client is not None:
            worker = retention_worker(client, Forgetting(database, settings))
            group.create_task(keep_credentials(client, settings, stop, [worker]))
            is_owner = await _owns_tables(database, stop) or stop.is_set()
            if is_owner:
                logger.info("Ready as retention.")
                await _run_worker(worker, stop)
    if not is_owner:
        raise WrongSetting(
            "This process is to forget what is due, and its role of Postgres owns no table: give it the owner's "
            "DATABASE_URL, the one that `journeys migrate` has."
        )


async def _retain_if_owner(client: Client, engine: WorkerEngine, stop: asyncio.Event, workers: list[Worker]) -> None:
    """Forget what is due here as well, unless this process owns no table: then `--role retention` does."""
    if await _owns_tables(engine.database, stop):
        workers.append(retention_worker(client, engine.forgetting))
        await _run_worker(workers[-1], stop)


async def _owns_tables(database: Database, stop: asyncio.Event) -> bool:
    """Whether the process logs in as the owner of the tables, as soon as Postgres tells."""
    while not stop.is_set():
        try:
            async with database.reading() as connection:
                return await owns_tables(connection)
        except (SQLAlchemyError, OSError) as away:
            logger.warning("Who owns the tables cannot be asked now, trying again: %s", away)
            await sleep_or_stop(stop, RETRY_S)
    return False


async def _connect_or_stop(stop: asyncio.Event, settings: Settings, runtime: Runtime | None) -> Client | None:
    """A client, or None if this process was told to stop while Temporal was away."""
    connecting, stopping = asyncio.create_task(connect(settings, runtime)), asyncio.create_task(stop.wait())
    await asyncio.wait({connecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if connecting.done():
        return await connecting
    connecting.cancel()
    return None


async def _make_schedules(client: Client, schedules: Mapping[str, Schedule], stop: asyncio.Event) -> None:
    """Make the schedules what the code says, as soon as Temporal lets us."""
    while not stop.is_set():
        try:
            await keep_schedules(client, schedules)
        except RPCError as away:
            logger.warning("The schedules cannot be seen to now, trying again: %s", away)
            await sleep_or_stop(stop, RETRY_S)
        else:
            return


async def _run_worker(worker: Worker, stop: asyncio.Event) -> None:
    """Run a worker until told to stop, and let its effects under way finish."""
    running = asyncio.create_task(worker.run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        # A fatal error of the worker ends the process, so that whoever supervises it starts a new one.
        await running
    await worker.shutdown()
    await running


def command(
    role: Annotated[WorkerRole, typer.Option(help="What this process does.")] = "all",
) -> None:
    """Run journeys and their effects."""
    log_to_stderr()
    try:
        uvloop.run(main(role))
    except (DesignError, WrongSetting) as mistakes:
        typer.echo(str(mistakes), err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    app()
