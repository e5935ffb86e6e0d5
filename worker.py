"""Composition root of the worker process: effects, journeys, dispatcher, sweeper.

`python -m worker` runs everything; `--role worker` only journeys, effects and what recurs on a
calendar, `--role dispatcher` only deliveries and the sweep. Any number of each may run.
"""

import argparse
import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import prometheus_client
import uvloop
from temporalio.client import Client
from temporalio.runtime import Runtime
from temporalio.service import RPCError
from temporalio.worker import Interceptor, Worker

from activities.database import Database
from activities.delivery.dispatcher import Dispatcher
from activities.effect_failures import TellsFailures
from activities.gc_tuning import settle
from activities.intake.backpressure import Pressure
from activities.intake.intake import Intake
from activities.loops.enrolment import Enrolments
from activities.loops.maintenance import Upkeep
from activities.loops.schedules import keep_schedules
from activities.loops.sweeper import Sweeper, wait
from activities.messages import Messages
from activities.providers.bonus_engine import BonusEngine
from activities.providers.messaging import Adapter, EmailChannel, MailLookup, WebhookChannel
from activities.rewards import Grants
from activities.runs import RunEffects
from activities.settings import TASK_QUEUE, UPKEEP_QUEUE, Settings, settings_from
from activities.tasks import TaskEffects
from activities.temporal_client import WrongSetting, client_options, connect, metered
from activities.workflow_runner import runner_for
from content.templates import Catalogue
from workflows.background.bulk_job import LongWork
from workflows.background.maintenance import UPKEEP
from workflows.effects import SEND, Channel
from workflows.errors import DesignError
from workflows.gate.policy import Policy
from workflows.source.registry import Registry, load

logger = logging.getLogger("journeys.worker")

Clock = Callable[[], datetime]
# A hand-over cut off half-way is in doubt for good where nobody can be asked, so effects under way are finished.
GRACE = SEND.time_limit
# Each effect holds a connection now and then; far more at a time would only wait for the pool.
EFFECTS_AT_ONCE = 40
# Runs that wait in memory, about 165 kB each; another is fetched and replayed when something happens to it.
CACHED_RUNS = 6_000
# Enrolments and sweeps over all players; more of them wait for their turn.
LONG_AT_ONCE = 8
# Seconds between two attempts to see to the schedules.
SCHEDULES_AGAIN = 5.0


def utc_now() -> datetime:
    """The clock of production."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Engine:
    """Everything one process needs, built once from settings."""

    settings: Settings
    registry: Registry
    catalogue: Catalogue
    database: Database
    intake: Intake
    pressure: Pressure
    upkeep: Upkeep
    enrolments: Enrolments
    activities: Sequence[Callable[..., Any]]
    clock: Clock


def designed(settings: Settings) -> tuple[Registry, Catalogue]:
    """The journeys and templates of a deployment, checked against each other."""
    registry = load(settings.packages)
    catalogue = Catalogue.load(*settings.template_folders)
    used: dict[str, set[Any]] = {}
    named_by: dict[str, str] = {}
    for use in registry.templates:
        used.setdefault(use.template, set()).update(use.channels)
        named_by.setdefault(use.template, f"Journey {use.journey}, line {use.line},")
    mistakes = catalogue.check(used, named_by)
    for use in registry.templates if not mistakes else ():
        if use.variables is None:
            continue
        where = f"Journey {use.journey}, line {use.line}: the template {use.template}"
        forgotten = catalogue.forgotten(use.template, use.channels, use.variables)
        mistakes += [f"{where} needs {name}; add {name}=… to the send." for name in forgotten]
        known = ", ".join(sorted(catalogue[use.template].variables))
        unknown = catalogue.unknown(use.template, use.variables)
        mistakes += [f"{where} says nothing with {name}; it knows {known}." for name in unknown]
    if mistakes:
        raise DesignError("\n".join(mistakes))
    return registry, catalogue


@asynccontextmanager
async def engine(settings: Settings, clock: Clock = utc_now) -> AsyncIterator[Engine]:
    """Build the engine and give its connections back at the end."""
    registry, catalogue = designed(settings)
    async with AsyncExitStack() as stack:
        database = Database(settings)
        stack.push_async_callback(database.close)
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=settings.provider_timeout.total_seconds()))
        intake = Intake(database, registry.rules)
        secret = settings.webhook_secret
        adapters: dict[Channel, Adapter] = {
            "email": EmailChannel(settings.smtp_url, sender=settings.mail_from),
            "sms": WebhookChannel(settings.sms_webhook_url, secret, http),
            "push": WebhookChannel(settings.push_webhook_url, secret, http),
        }
        lookup = MailLookup(settings.mail_lookup_url, http) if settings.mail_lookup_url else None
        messages = Messages(database, catalogue, adapters, lookup, Policy(), settings, clock)
        bonus_engine = BonusEngine(settings.bonus_engine_url, http, timeout=settings.provider_timeout)
        grants = Grants(database, bonus_engine, Policy(), settings, clock)
        runs = RunEffects(database, intake, clock)
        tasks = TaskEffects(database, clock)
        pressure = Pressure(database, settings)
        enrolments = Enrolments(database, intake, pressure, clock)
        yield Engine(
            settings=settings,
            registry=registry,
            catalogue=catalogue,
            database=database,
            intake=intake,
            pressure=pressure,
            upkeep=Upkeep(database, intake, grants, clock, rate=settings.rearm_rate),
            enrolments=enrolments,
            activities=[
                messages.send,
                grants.give,
                tasks.open,
                tasks.move,
                runs.end,
                runs.mark,
                runs.match,
                runs.refresh,
                runs.start,
            ],
            clock=clock,
        )


def make_worker(client: Client, built: Engine, *, interceptors: Sequence[Interceptor] = (), **options: Any) -> Worker:
    """The Temporal worker of an engine."""
    return Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=built.registry.workflows,
        activities=built.activities,
        workflow_runner=runner_for(client.data_converter),
        graceful_shutdown_timeout=GRACE,
        interceptors=[TellsFailures(), *interceptors],
        **{"max_concurrent_activities": EFFECTS_AT_ONCE, "max_cached_workflows": CACHED_RUNS, **options},
    )


def make_upkeep_worker(client: Client, built: Engine) -> Worker:
    """The Temporal worker of what recurs on a calendar and of long work: neither may take a slot from effects."""
    return Worker(
        client,
        task_queue=UPKEEP_QUEUE,
        workflows=[*UPKEEP, LongWork],
        activities=[*built.upkeep.activities, built.enrolments.work],
        graceful_shutdown_timeout=GRACE,
        max_concurrent_activities=LONG_AT_ONCE,
        max_concurrent_workflow_task_polls=2,
        max_concurrent_activity_task_polls=1,
    )


async def main(role: str, settings: Settings | None = None) -> None:
    """Run until SIGINT or SIGTERM, then let what is under way finish."""
    settings = settings or settings_from()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if settings.metrics_port:
        prometheus_client.start_http_server(settings.metrics_port, settings.metrics_host)
    runtime = metered(settings)
    client_options(settings)  # a wrong one is told before anything starts
    async with engine(settings) as built, asyncio.TaskGroup() as group:
        settle()
        if role in {"all", "dispatcher"}:
            group.create_task(_sweeper(built).run(stop))
        client = await _connect_unless(stop, settings, runtime)
        if client is None:
            return
        if role in {"all", "dispatcher"}:
            group.create_task(Dispatcher(built.database, client, built.registry).run(stop))
            group.create_task(built.enrolments.watch(client, stop))
        if role in {"all", "worker"}:
            group.create_task(_schedule(client, stop))
            group.create_task(_work(make_upkeep_worker(client, built), stop))
            group.create_task(_work(make_worker(client, built), stop))
        logger.info("Ready as %s with journeys %s.", role, ", ".join(built.registry.journeys))


async def _connect_unless(stop: asyncio.Event, settings: Settings, runtime: Runtime | None) -> Client | None:
    """A client, or None if this process was told to stop while Temporal was away."""
    connecting, stopping = asyncio.create_task(connect(settings, runtime)), asyncio.create_task(stop.wait())
    await asyncio.wait({connecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if connecting.done():
        return await connecting
    connecting.cancel()
    return None


def _sweeper(built: Engine) -> Sweeper:
    rate = built.settings.sweep_rate
    return Sweeper(built.database, built.intake, built.clock, rate=rate, pressure=built.pressure)


async def _schedule(client: Client, stop: asyncio.Event) -> None:
    """Make the schedules what the code says, as soon as Temporal lets us."""
    while not stop.is_set():
        try:
            await keep_schedules(client)
        except RPCError as away:
            logger.warning("The schedules cannot be seen to now, trying again: %s", away)
            await wait(stop, SCHEDULES_AGAIN)
        else:
            return


async def _work(worker: Worker, stop: asyncio.Event) -> None:
    running = asyncio.create_task(worker.run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        # A fatal error of the worker ends the process, so that whoever supervises it starts a new one.
        await running
    await worker.shutdown()
    await running


if __name__ == "__main__":
    logging.captureWarnings(True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    parser = argparse.ArgumentParser(description="Run journeys and their effects.")
    parser.add_argument("--role", choices=["all", "worker", "dispatcher"], default="all")
    try:
        uvloop.run(main(parser.parse_args().role))
    except (DesignError, WrongSetting) as mistakes:
        parser.exit(1, f"{mistakes}\n")
