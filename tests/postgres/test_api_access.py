"""Who may do what: every cell of endpoint and scope, every endpoint and brand, generated from the OpenAPI document."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import text

from activities.api_keys import SCOPES
from activities.tables import metadata
from tests.support.api_client import BACKEND, Api, document, serving
from tests.support.api_seed import seeded

#: Not a brand's: what is deployed (journeys, segments, types of events), the limits, a development stack's catch-all.
SHARED = {
    *("get_audience", "link_audience", "fetch_audience"),
    *("list_journeys", "get_journey", "get_limits", "list_caught", "get_controls", "get_me"),
    *("get_step_counts", "get_journey_figures", "list_task_kinds"),
    *("list_event_types", "list_templates", "preview_template"),
    *("list_segments", "get_segment", "list_members", "export_members"),
    # Which scores there are; what is in them of another brand is tried beside them.
    "list_scores",
}
#: They act on the caller's own brand, whatever is there: a player known or not, all letters or none.
OWN = {
    *("exclude_player", "retry_dead_letters", "retry_failed_events", "create_enrolment", "preview_enrolment"),
    *("add_person", "mint_token", "pause_promotions"),
    *("count_tasks", "forget_draft", "list_keys"),
    *("close_journey", "open_journey", "hold_journey", "resume_journey", "preview_stop", "stop_journey"),
    *("preview_migration", "migrate_journey", "create_webhook"),
}


@dataclass(frozen=True)
class Operation:
    """One operation of the document, ready to be called."""

    id: str
    method: str
    path: str
    scopes: tuple[str, ...]
    body: Any
    headers: dict[str, str]

    async def call(self, client: httpx.AsyncClient, ids: dict[str, str]) -> httpx.Response:
        path = self.path
        for name, value in ids.items():
            path = path.replace("{" + name + "}", quote(value, safe=""))
        return await client.request(self.method, path, json=self.body, headers=self.headers)


def operations(scheme: str = "apiKey") -> Iterator[Operation]:
    """The operations that this scheme opens."""
    for path, methods in document()["paths"].items():
        for method, described in methods.items():
            if "security" not in described or scheme not in described["security"][0]:
                continue
            body: Any = None
            headers: dict[str, str] = {}
            if content := described.get("requestBody", {}).get("content"):
                media_type, media = next(iter(content.items()))
                body = media.get("example") or _example(media["schema"])
                headers = {"Content-Type": media_type, "If-Match": "*"}
            asked = [one for one in described.get("parameters", ()) if one["in"] == "header" and one.get("required")]
            headers |= {one["name"]: "k-1" for one in asked if one["name"] not in headers}
            scopes = tuple(scope for allowed in described["security"] for scope in allowed[scheme])
            yield Operation(described["operationId"], method.upper(), path, scopes, body, headers)


def _example(schema: dict[str, Any]) -> Any:
    named = next(part["$ref"] for part in [schema, *schema.get("anyOf", [])] if "$ref" in part)
    return document()["components"]["schemas"][named.rpartition("/")[2]]["examples"][0]


OPERATIONS = list(operations())
#: What a player's own token opens, and no key.
OF_PLAYERS = list(operations("playerToken"))
#: They take facts in, of players of the caller's own brand, known or not.
TAKING = {operation.id for operation in OPERATIONS if operation.scopes == ("events:write",)}
#: Who erases a player that nobody heard of keeps their past from coming, in the own brand alone.
ERASING = {"erase_player"}
BY_ID = {operation.id: operation for operation in OPERATIONS}


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    settings = {"journeys": "tests.support.api_journeys", "catch_all_url": "http://127.0.0.1:9"}
    async with serving(module_postgres_url, **settings) as application:
        yield application


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
async def test_a_key_without_the_scope_is_refused_and_one_with_it_is_not(api: Api, operation: Operation) -> None:
    ids = await seeded(api)
    for scope in SCOPES:
        # What some examples tell needs more than sending events, which is tried beside the identities of events.
        scopes = BACKEND if scope == "events:write" and operation.id in TAKING else (scope,)
        answer = await operation.call(await api.client(*scopes), ids)
        if not operation.scopes or scope == "admin" or scope in operation.scopes:
            assert answer.status_code not in {401, 403}, answer.text
            assert answer.status_code < 500 or operation.id == "list_caught"
        else:
            assert answer.status_code == 403, answer.text
            assert answer.json()["type"] == "urn:journeys:problem:scope"
            assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
async def test_without_a_key_every_endpoint_answers_401(api: Api, operation: Operation) -> None:
    answer = await operation.call(api.anonymous, {})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("operation", OF_PLAYERS, ids=lambda operation: operation.id)
async def test_no_key_opens_what_is_a_players_own(api: Api, operation: Operation) -> None:
    ids = await seeded(api)
    for scope in SCOPES:
        answer = await operation.call(await api.client(scope), ids)
        assert answer.status_code == 403, answer.text
    assert (await operation.call(api.anonymous, {})).status_code == 401


@pytest.mark.parametrize("operation", [one for one in OF_PLAYERS if one.id != "my_stream"], ids=lambda one: one.id)
async def test_a_players_token_sees_that_player_and_of_others_nothing(api: Api, operation: Operation) -> None:
    ids, now = await seeded(api), api.engine.clock()
    before = await everything(api)
    strangers = ((api.brand, "p-nobody"), (stranger_of(api), ids["player_id"]))
    for brand, player in strangers:
        token = api.engine.player_tokens.token(brand, player, now)
        mine = {"Authorization": f"Bearer {token}"}
        operation_of_mine = replace(operation, headers=operation.headers | mine)
        answer = await operation_of_mine.call(api.anonymous, ids)
        assert answer.status_code in {200, 404, 409}, answer.text
        assert answer.status_code != 200 or ids["purchase_id"] not in answer.text
    assert await everything(api) == before


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
async def test_another_brand_does_not_exist(api: Api, operation: Operation) -> None:
    ids = await seeded(api)
    before = await everything(api)
    stranger = await api.client("admin", brand=stranger_of(api))
    answer = await operation.call(stranger, ids)
    if operation.id not in SHARED | TAKING | OWN | ERASING:
        if "{" in operation.path or operation.method != "GET":
            assert answer.status_code == 404, answer.text
        else:
            assert answer.json()["items"] == []
    assert await everything(api) == before


async def test_the_same_requests_are_answered_within_the_brand(api: Api) -> None:
    """Without it the tests of isolation could pass because nothing is ever found."""
    ids = await seeded(api)
    own = await api.client("admin")
    for operation in OPERATIONS:
        if operation.method == "GET" and operation.id not in SHARED:
            answer = await operation.call(own, ids)
            assert answer.status_code == 200
            if "{" not in operation.path:
                assert answer.json().get("items") != []


async def test_the_counts_of_a_journey_are_of_the_own_brand(api: Api) -> None:
    ids = await seeded(api)
    await api.count()
    own = await BY_ID["get_journey"].call(await api.client("admin"), ids)
    strange = await BY_ID["get_journey"].call(await api.client("admin", brand=stranger_of(api)), ids)
    assert own.json()["arms"]["treated"]["entered"] == 1
    assert strange.json()["arms"]["treated"]["entered"] == 0


async def test_an_event_of_another_brand_is_refused(api: Api) -> None:
    stranger = await api.client("events:write", brand=stranger_of(api))
    event = BY_ID["take_events"].body | {"brandid": api.brand}
    answer = await stranger.post("/v1/events", json=event, headers={"Content-Type": "application/cloudevents+json"})
    assert answer.json()["results"][0]["errors"][0]["pointer"] == "/brandid"


def stranger_of(api: Api) -> str:
    return f"{api.brand}-not"


async def everything(api: Api) -> dict[str, list[str]]:
    """Every row of the brand, as text."""
    async with api.engine.database.reading() as connection:
        return {
            name: sorted(
                (
                    await connection.execute(
                        text(f"SELECT t::text FROM {name} t WHERE brand = :brand"), {"brand": api.brand}
                    )
                ).scalars()
            )
            for name, table in metadata.tables.items()
            if name != "api_keys" and "brand" in table.c
        }
