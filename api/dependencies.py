"""What every endpoint works with, built once a process."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, cast

import httpx
from fastapi import Depends, Request
from temporalio.client import Client

from activities.intake.backpressure import Pressure
from activities.intake.intake import Intake
from activities.settings import Settings
from activities.temporal_client import client_options
from api.auth import Keys
from api.database import PromptDatabase
from workflows.source.registry import Registry, load

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of production."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class ApiEngine:
    """Postgres, the journeys and their rules, the keys, Temporal, and the time."""

    settings: Settings
    database: PromptDatabase
    registry: Registry
    intake: Intake
    pressure: Pressure
    keys: Keys
    temporal: Client
    http: httpx.AsyncClient
    clock: Clock


@asynccontextmanager
async def engine(settings: Settings, clock: Clock) -> AsyncIterator[ApiEngine]:
    """Build it; nothing is connected yet, so neither Postgres nor Temporal need be there."""
    registry = load(settings.packages)
    async with AsyncExitStack() as stack:
        database = PromptDatabase(settings)
        stack.push_async_callback(database.close)
        pressure = Pressure(database, settings)
        yield ApiEngine(
            settings=settings,
            database=database,
            registry=registry,
            intake=Intake(database, registry.rules, settings.import_settles_after, pressure),
            pressure=pressure,
            keys=Keys(database),
            temporal=await Client.connect(**client_options(settings), lazy=True),
            http=await stack.enter_async_context(httpx.AsyncClient(timeout=5)),
            clock=clock,
        )


async def _engine_of(request: Request) -> ApiEngine:
    return cast(ApiEngine, request.app.state.engine)


EngineOf = Annotated[ApiEngine, Depends(_engine_of)]
