"""The API in this process, with its lifespan, on a real Postgres, for the tests of its nouns."""

import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from ipaddress import IPv4Address
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from activities.api_keys import create_key
from activities.figures.followers import EventFollower, JourneyFollower, RewardFollower, catch_up
from activities.settings import Settings
from api.app import create_app
from api.database import CONNECT_TIMEOUT, LIMITS, LIMITS_FOR_PROTECTION, LINE_TIMEOUT
from api.dependencies import ApiEngine
from tests.support.machine import promised

#: Signs the links of served applications.
LINK_SECRET = "a secret of twenty-four bytes"
#: What the backend of a casino may do.
BACKEND = ("events:write", "protection:lift", "profiles:write", "inbox:read")


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document, with what only a development stack has; made once for all tests that read it."""
    return create_app(Settings(database_url="postgresql://nowhere", catch_all_url="http://127.0.0.1:9")).openapi()


@dataclass(frozen=True)
class Api:
    """A served application and the means to call it."""

    app: FastAPI
    #: A brand of its own, so that tests may share a database and an application.
    brand: str
    #: Where its clients call from: an address that was refused too often is told later, and another test's was not.
    address: str
    stack: AsyncExitStack
    anonymous: httpx.AsyncClient

    @property
    def engine(self) -> ApiEngine:
        engine: ApiEngine = self.app.state.engine
        return engine

    async def count(self) -> None:
        """Have everything counted that has happened by now, as a dispatcher does behind it."""
        database = self.engine.database
        await catch_up(EventFollower(database), RewardFollower(database), JourneyFollower(database))

    async def key(
        self,
        *scopes: str,
        brand: str | None = None,
        name: str = "tester",
        sources: Sequence[str] = (),
        teams: Sequence[str] = (),
        skills: Sequence[str] = (),
    ) -> str:
        """A key's secret; bound to sources and teams, and with skills, if they are given."""
        given = (self.engine.database, brand or self.brand, name, scopes, datetime.now(UTC))
        _, secret = await create_key(*given, sources=sources, teams=teams, skills=skills)
        return secret

    async def client(
        self, *scopes: str, brand: str | None = None, name: str = "tester", **bound: Sequence[str]
    ) -> httpx.AsyncClient:
        """A client with a key of its own."""
        return await self.client_with(await self.key(*scopes, brand=brand, name=name, **bound))

    async def client_with(self, secret: str) -> httpx.AsyncClient:
        """A client with this key."""
        authorization = {"Authorization": f"Bearer {secret}"}
        return await self.stack.enter_async_context(_client(self.app, self.address, authorization))

    @asynccontextmanager
    async def for_one_test(self) -> AsyncIterator["Api"]:
        """The same application, with a brand, an address and clients of the test's own."""
        async with called(self.app) as own:
            yield own


@asynccontextmanager
async def serving(postgres_url: str, **settings: Any) -> AsyncIterator[Api]:
    """The application for as long as the block lasts."""
    given = {"link_secrets": LINK_SECRET, **settings}
    app = create_app(Settings(database_url=postgres_url, **given))
    with limits_of_this_machine():
        async with app.router.lifespan_context(app), called(app) as served:
            yield served


@contextmanager
def limits_of_this_machine() -> Iterator[None]:
    """How long a caller waits for a connection and for a row, in seconds of this machine.

    Else many who ask at once, which tests do, are sent back where it is slow, though all are told within `promised(1)`.
    """
    longer = promised(1)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("database", "key_lookup"):
            patch.setattr(f"api.{module}.CONNECT_TIMEOUT", CONNECT_TIMEOUT * longer)
        patch.setattr("api.database.LINE_TIMEOUT", LINE_TIMEOUT * longer)
        for name, limits in (("LIMITS", LIMITS), ("LIMITS_FOR_PROTECTION", LIMITS_FOR_PROTECTION)):
            assert limits.lock is not None
            patch.setattr(f"api.database.{name}", replace(limits, lock=limits.lock * longer))
        patch.setattr("api.database._BE_PATIENT", text(f"SET LOCAL lock_timeout = '{2 * longer:.0f}s'"))
        yield


@asynccontextmanager
async def called(app: FastAPI) -> AsyncIterator[Api]:
    """The application, already begun, with a brand, an address and clients of one test."""
    brand, address = f"brand-{secrets.token_hex(4)}", str(IPv4Address(secrets.randbits(32)))
    async with AsyncExitStack() as stack:
        yield Api(app, brand, address, stack, await stack.enter_async_context(_client(app, address, {})))


def _client(app: FastAPI, address: str, headers: dict[str, str]) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(address, 123))
    return httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers)
