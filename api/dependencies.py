"""What every endpoint works with, built once a process."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, cast

import httpx
from fastapi import Depends, Request
from temporalio.client import Client

from activities.clock import Clock
from activities.engine import Engine, build, unsubscribe_links
from activities.settings import Settings
from activities.temporal_client import client_options
from activities.unsubscribe import UnsubscribeLinks
from api.auth import Keys
from api.database import PromptDatabase
from workflows.source.registry import load


@dataclass(frozen=True)
class ApiEngine(Engine):
    """The engine with what only the API has: keys, links it reads, and clients of Temporal and of the local stack."""

    keys: Keys
    links: UnsubscribeLinks
    temporal: Client
    http: httpx.AsyncClient


@asynccontextmanager
async def api_engine(settings: Settings, clock: Clock) -> AsyncIterator[ApiEngine]:
    """Build it; nothing is connected yet, so neither Postgres nor Temporal need be there. Raises DesignError."""
    registry, links = load(settings.packages), unsubscribe_links(settings)
    async with AsyncExitStack() as stack:
        database = PromptDatabase(settings)
        stack.push_async_callback(database.close)
        yield ApiEngine(
            **vars(build(settings, registry, database, clock)),
            keys=Keys(database),
            links=links,
            temporal=await Client.connect(**client_options(settings), lazy=True),
            http=await stack.enter_async_context(httpx.AsyncClient(timeout=5)),
        )


async def _engine_of(request: Request) -> ApiEngine:
    return cast(ApiEngine, request.app.state.engine)


EngineOf = Annotated[ApiEngine, Depends(_engine_of)]
