"""The longest address and headers that may be sent to every route of the document: nobody waits, little is kept.

The bodies are tried in `test_api_bounds`. Every route of the API is tried here, so a new one cannot be forgotten. The
pages of the console are not: they stand in no document, and answer people who are signed in.
"""

import tracemalloc
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
from fastapi.routing import APIRoute

from activities.settings import Settings
from api.app import create_app
from api.bounded_protocol import HEAD_LIMIT
from local.slowness import slowness
from tests.postgres.test_api_access import OPERATIONS
from tests.postgres.test_api_bounds import STALL_S, stalls
from tests.support.api_client import document, serving
from tests.support.api_seed import seeded

#: Not in the document, and they take nothing: the document itself and its page.
UNDOCUMENTED: Final = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"}
#: Where the pages of the console begin, and those by which people come in and leave.
CONSOLE: Final = ("/console", "/sign-in", "/sign-out")
#: Bytes of the parts of an address, so that all of it stays below what a head may be.
LONG: Final = HEAD_LIMIT // 4
#: Bytes that one request may cost.
MOST_MEMORY: Final = 50_000_000
BODIES: Final = {operation.id: operation for operation in OPERATIONS}


@dataclass(frozen=True)
class Route:
    """An operation of the document with its parameters."""

    id: str
    method: str
    path: str
    parameters: tuple[Mapping[str, Any], ...]


def routes() -> Iterator[Route]:
    for path, methods in document()["paths"].items():
        for method, described in methods.items():
            yield Route(described["operationId"], method.upper(), path, tuple(described.get("parameters", ())))


ROUTES: Final = list(routes())
#: One route of each kind: by its method, the parts of a head that hold parameters, and whether it takes a body.
KINDS: Final = {
    (route.method, frozenset(parameter["in"] for parameter in route.parameters), route.id in BODIES): route.id
    for route in ROUTES
}
Caller = tuple[httpx.AsyncClient, dict[str, str]]


@pytest.fixture(scope="module")
async def caller(module_postgres_url: str) -> AsyncIterator[Caller]:
    """Somebody who may do everything, and the ids of what is there."""
    settings = {"journeys": "tests.support.api_journeys", "catch_all_url": "http://127.0.0.1:9"}
    async with serving(module_postgres_url, **settings) as served:
        yield await served.client("admin"), await seeded(served)


def schema_of(parameter: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of what is given; that it may be left out is another."""
    schema: Mapping[str, Any] = parameter["schema"]
    return next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema)


def values(parameter: Mapping[str, Any]) -> Iterator[str]:
    """The longest that a parameter may be, and longer: as the document says, and as nobody would send it."""
    schema = schema_of(parameter)
    most = min(schema.get("maxLength", LONG), LONG)
    yield "a" * most
    yield "\u00e9" * (most // 6)
    yield "(a+" * (most // 3)
    yield "9" * most
    for bound in ("maximum", "minimum"):
        if bound in schema:
            yield str(schema[bound])
    yield from (str(one) for one in schema.get("enum", ()))
    yield "a" * LONG
    yield "0001-01-01T00:00:00+14:00"


def requests(
    route: Route, ids: Mapping[str, str], most: int | None, *, crowded: bool
) -> Iterator[tuple[str, dict[str, str]]]:
    """Addresses and headers: each parameter at its worst with the others in order; `most` values of each.

    `crowded` adds thousands of parameters and headers that nobody asked for.
    """
    known = {name: quote(value, safe="") for name, value in ids.items()}
    real = route.path
    for name, value in known.items():
        real = real.replace("{" + name + "}", value)
    yield real, {}
    for parameter in route.parameters:
        for value in islice(values(parameter), most):
            name = parameter["name"]
            match parameter["in"]:
                case "path":
                    here = route.path.replace("{" + name + "}", quote(value, safe="")[:LONG])
                    for other, one in known.items():
                        here = here.replace("{" + other + "}", one)
                    yield here, {}
                case "query":
                    yield f"{real}?{name}={quote(value, safe='')[:LONG]}", {}
                    yield f"{real}?" + "&".join([f"{name}={quote(value, safe='')[:90]}"] * 300), {}
                case "header":
                    yield real, {name: value.encode("ascii", "replace").decode()}
    if crowded:
        yield f"{real}?" + "&".join(f"x{number}=1" for number in range(3_000)), {}
        yield real, {f"x-{number}": "1" for number in range(2_000)}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.id)
async def test_the_longest_head_holds_nobody_up(caller: Caller, route: Route) -> None:
    # What nobody asked for is read in the same way for all routes of a kind; one of them stands for the others here.
    client, ids = caller
    await answers_at_once(client, route, requests(route, ids, most=1, crowded=route.id in KINDS.values()))


@pytest.mark.slow
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.id)
async def test_whatever_stands_in_a_head_holds_nobody_up(caller: Caller, route: Route) -> None:
    client, ids = caller
    await answers_at_once(client, route, requests(route, ids, most=None, crowded=True))


async def asked(client: httpx.AsyncClient, method: str, address: str, **given: Any) -> tuple[httpx.Response, float]:
    """The answer, and the seconds for which others waited for it."""
    async with stalls() as longest:
        answer = await client.request(method, address, **given)
    return answer, longest[0]


async def answers_at_once(client: httpx.AsyncClient, route: Route, heads: Iterable[tuple[str, dict[str, str]]]) -> None:
    known = BODIES.get(route.id)
    for address, headers in heads:
        given = {**(known.headers if known is not None else {}), **headers}
        body = None if known is None else known.body
        answer, waited = await asked(client, route.method, address, json=body, headers=given)
        for _ in range(2):
            # Again where it took long: the collector of garbage may have had its turn, and has it seldom.
            if waited >= STALL_S * slowness():
                answer, waited = await asked(client, route.method, address, json=body, headers=given)
        said = (route.id, address[:120], list(headers)[:1], answer.status_code)
        assert answer.status_code < 500 or route.id == "list_caught", said
        assert waited < STALL_S * slowness(), said
        assert len(answer.content) < 1_000_000, said
        if len(address) < LONG and len(headers) < 1_000:
            continue
        tracemalloc.start()
        try:
            await client.request(route.method, address, json=body, headers=given)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < MOST_MEMORY, said


def test_every_route_there_is_is_tried() -> None:
    settings = Settings(database_url="postgresql://nowhere", catch_all_url="http://127.0.0.1:9")
    tried = {(route.method, route.path) for route in ROUTES}
    waiting: list[Any] = list(create_app(settings).routes)
    found: set[tuple[str, str]] = set()
    while waiting:
        route = waiting.pop()
        if isinstance(route, APIRoute):
            found |= {(method, route.path) for method in route.methods or ()}
        else:
            # A router that is included keeps its routes.
            waiting += getattr(getattr(route, "original_router", route), "routes", None) or []
    # An id that may hold slashes stands in the document as any other.
    found = {(method, path.replace(":path}", "}")) for method, path in found if path not in UNDOCUMENTED}
    assert found
    assert {(method, path) for method, path in found if not path.startswith(CONSOLE)} == tried
