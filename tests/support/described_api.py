"""The API as its own document describes it, for schemathesis: with a player who has something of everything."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
import schemathesis
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.specs.openapi.schemas import OpenApiSchema

from activities.settings import Settings
from api.app import create_app
from tests.support.api_client import BACKEND, LINK_SECRET, serving
from tests.support.api_seed import seeded

#: Who calls, and what their keys may do.
ROLES: Mapping[str, tuple[str, ...]] = {
    "admin": ("admin",),
    "backend": BACKEND,
    "manager": ("tasks:work", "players:read"),
    "designer": ("journeys:manage", "players:read"),
}


@dataclass(frozen=True)
class DescribedApi:
    """The document with the application behind it, the headers of each role, and what path parameters may name."""

    schema: OpenApiSchema
    headers: Mapping[str, dict[str, str]]
    ids: Mapping[str, str]


@asynccontextmanager
async def described_api(postgres_url: str) -> AsyncIterator[DescribedApi]:
    """The application on a loop of schemathesis's own."""
    # A machine busy with other tests may be slow; that it is away is not what is tried here.
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("api.database.CONNECT_TIMEOUT", timedelta(minutes=1))
    # Schemathesis tries every operation without a key and with a wrong one; so many refusals would be told late.
    monkeypatch.setattr("api.key_lookup.FREE_FAILURES", 1_000_000)
    async with serving(postgres_url, journeys="tests.support.api_journeys") as api:
        ids = await seeded(api)
        headers = {role: {"Authorization": f"Bearer {await api.key(*scopes)}"} for role, scopes in ROLES.items()}
        token = api.engine.player_tokens.token(api.brand, ids["player_id"], api.engine.clock())
        headers["player"] = {"Authorization": f"Bearer {token}"}
    settings = Settings(
        database_url=postgres_url, journeys=("tests.support.api_journeys",), link_secrets=(LINK_SECRET,)
    )
    app = create_app(settings)
    yield DescribedApi(schemathesis.openapi.from_asgi("/openapi.json", app), headers, ids)
    shutdown_lifespans()
    monkeypatch.undo()
