"""The API in this process, with its lifespan, on a real Postgres, for the tests of its nouns."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from fastapi import FastAPI

from activities.api_keys import create_key
from activities.settings import Settings
from api.app import create_app
from api.dependencies import ApiEngine

#: Signs the links of served applications.
LINK_SECRET = "a secret of twenty-four bytes"
#: What the backend of a casino may do.
BACKEND = ("events:write", "protection:lift", "profiles:write", "inbox:read")


@dataclass(frozen=True)
class Api:
    """A served application and the means to call it."""

    app: FastAPI
    #: A brand of its own, so that tests may share a database.
    brand: str
    stack: AsyncExitStack
    anonymous: httpx.AsyncClient

    @property
    def engine(self) -> ApiEngine:
        engine: ApiEngine = self.app.state.engine
        return engine

    async def key(
        self, *scopes: str, brand: str | None = None, name: str = "tester", sources: Sequence[str] = ()
    ) -> str:
        now = datetime.now(UTC)
        _, secret = await create_key(self.engine.database, brand or self.brand, name, scopes, now, sources=sources)
        return secret

    async def client(
        self, *scopes: str, brand: str | None = None, name: str = "tester", sources: Sequence[str] = ()
    ) -> httpx.AsyncClient:
        """A client with a key of its own."""
        secret = await self.key(*scopes, brand=brand, name=name, sources=sources)
        return await self.stack.enter_async_context(_client(self.app, {"Authorization": f"Bearer {secret}"}))


@asynccontextmanager
async def serving(postgres_url: str, **settings: Any) -> AsyncIterator[Api]:
    """The application for as long as the block lasts."""
    given = {"link_secrets": LINK_SECRET, **settings}
    app = create_app(Settings(database_url=postgres_url, **given))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        yield Api(app, f"brand-{secrets.token_hex(4)}", stack, await stack.enter_async_context(_client(app, {})))


def _client(app: FastAPI, headers: dict[str, str]) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api", headers=headers)
