"""Health, metrics, the document itself, and what only a development stack has."""

import re
import secrets
import smtplib
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text
from structlog.contextvars import bound_contextvars

from activities.api_keys import SCOPES
from api.health import head
from api.problems import KINDS
from local.ports import free_port
from local.postgres import Postgres
from tests.support.api_client import Api, document, serving
from tests.support.json_log import json_log
from tests.support.servers import LocalCatchAll

PROBLEMS = {"400", "401", "403", "404", "409", "412", "413", "415", "422", "428", "503"}


@pytest.fixture
async def api(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url) as served:
        yield served


def described() -> list[tuple[str, dict[str, Any]]]:
    paths = document()["paths"]
    return [(f"{method} {path}", operation) for path, each in paths.items() for method, operation in each.items()]


async def test_it_is_ready_when_postgres_is_migrated_and_says_where_temporal_is(api: Api) -> None:
    assert (await api.anonymous.get("/livez")).json() == {"status": "ok"}
    ready = await api.anonymous.get("/readyz")
    assert (ready.status_code, ready.json()["postgres"], ready.json()["migrations"]) == (200, "ok", head())
    assert ready.json()["temporal"] in {"ok", "away"}


async def test_it_is_not_ready_before_the_migration(postgres: Postgres) -> None:
    name = f"empty_{secrets.token_hex(4)}"
    async with serving(await postgres.create_database(name)) as api:
        answer = await api.anonymous.get("/readyz")
        assert answer.status_code == 503
        assert "journeys migrate" in answer.json()["detail"]
    await postgres.drop_database(name)


async def test_metrics_name_routes_and_never_players(api: Api) -> None:
    client = await api.client("players:read")
    await client.get("/v1/players/secret-player")
    await client.get("/nowhere/secret-path")
    metrics = (await api.anonymous.get("/metrics")).text
    assert 'route="/v1/players/{player_id}",status="404"' in metrics
    assert "secret" not in metrics
    assert "journeys_events_total" in metrics


async def test_a_scrape_tells_the_backlog_of_this_moment(api: Api) -> None:
    seconds = 0.0
    api.engine.pressure.timer = lambda: seconds

    async def backlog() -> str:
        metrics = (await api.anonymous.get("/metrics")).text
        return next(line for line in metrics.splitlines() if line.startswith("journeys_delivery_backlog"))

    assert await backlog() == "journeys_delivery_backlog 0.0"
    async with api.engine.database.transaction() as connection:
        await connection.execute(
            text("INSERT INTO deliveries (run_id, seq, brand, kind, payload) VALUES ('r', 1, 'b', 'event', '{}')")
        )
    assert await backlog() == "journeys_delivery_backlog 0.0"
    seconds = 1.0
    assert await backlog() == "journeys_delivery_backlog 1.0"
    async with api.engine.database.transaction() as connection:
        await connection.execute(text("DELETE FROM deliveries"))


async def test_a_scrape_without_postgres_does_not_tell_an_old_backlog() -> None:
    async with serving(f"postgresql://nobody@127.0.0.1:{free_port()}/nothing") as api:
        answer = await api.anonymous.get("/metrics")
    assert (answer.status_code, "journeys_delivery_backlog NaN" in answer.text) == (200, True)


async def test_a_mistake_of_ours_is_a_problem_that_tells_nothing(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    @api.app.get("/broken")
    async def broken() -> None:
        raise LookupError("a secret detail")

    answer = await api.anonymous.get("/broken")
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:journeys:problem:fault")
    assert "secret" not in answer.text
    assert "a secret detail" in caplog.text
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_line_of_the_log_names_the_request_and_the_brand(api: Api) -> None:
    @api.app.get("/v1/broken")
    async def broken() -> None:
        raise LookupError

    client = await api.client("admin")
    with json_log("journeys.api") as lines:
        await client.get("/v1/broken", headers={"X-Request-ID": "asked-" + "x" * 100})
        await client.get("/v1/broken")
    named, made_up = lines
    assert (named["event"], named["brand"]) == ("A request failed by our own fault.", api.brand)
    assert named["request_id"] == "asked-" + "x" * 58
    assert len(made_up["request_id"]) == 16
    assert "LookupError" in named["exception"]


async def test_a_request_takes_nothing_over_from_the_one_whose_context_it_is_served_in(api: Api) -> None:
    @api.app.get("/broken-again")
    async def broken() -> None:
        raise LookupError

    with bound_contextvars(brand="of another", run_id="of another"), json_log("journeys.api") as lines:
        await api.anonymous.get("/broken-again")
    (line,) = lines
    assert line.keys() & {"brand", "run_id", "request_id"} == {"request_id"}


async def test_an_unknown_path_and_a_wrong_method_are_problems(api: Api) -> None:
    client = await api.client("admin")
    for answer, status in (
        (await client.get("/v1/nowhere"), 404),
        (await client.delete("/v1/tasks"), 405),
        (await client.get("/v1/players/%00"), 400),
        (await client.get("/v1/tasks?team=%00"), 400),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert answer.json()["detail"].endswith(".")
    assert "GET" in (await client.delete("/v1/tasks")).headers["allow"]


async def test_the_documentation_page_may_load_its_scripts_and_nothing_else_may(api: Api) -> None:
    page = await api.anonymous.get("/docs")
    assert (page.status_code, "script-src" in page.headers["content-security-policy"]) == (200, True)
    assert "script-src" not in (await api.anonymous.get("/livez")).headers["content-security-policy"]


async def test_the_documentation_page_needs_no_internet(api: Api) -> None:
    page = (await api.anonymous.get("/docs")).text
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(links) == 3
    for link in links:
        assert (await api.anonymous.get(link)).status_code == 200
    assert "://" not in page


@pytest.mark.parametrize(("name", "operation"), described(), ids=lambda part: part if isinstance(part, str) else "")
def test_every_operation_is_described_with_its_problems(name: str, operation: dict[str, Any]) -> None:
    assert operation["description"].endswith(".")
    assert operation["operationId"].replace("_", "").islower()
    for status, answer in operation["responses"].items():
        if status in PROBLEMS:
            assert list(answer["content"]) == ["application/problem+json"]
    if "security" in operation:
        # Segment's libraries take every refusal of a message for a reason to repeat it, so there is none.
        refused = set() if "segment" in operation["tags"] else {"422"}
        assert {"400", "401", "403", "413", "503"} | refused <= set(operation["responses"])
    if "{" in name and name.startswith(("get /v1", "post /v1", "patch")) and "/dev/" not in name:
        assert "404" in operation["responses"]


def test_operation_ids_are_unique_and_every_model_shows_an_example() -> None:
    made = document()
    ids = [operation["operationId"] for _, operation in described()]
    assert len(ids) == len(set(ids))
    bodies = {
        "Changes",
        "Comment",
        "Completion",
        "ExclusionBody",
        "Reassignment",
        "ReleaseBody",
        "StartRunBody",
        "StopRunBody",
    }
    answers = {"TaskSummary", "TaskView", "RunView", "PlayerView", "JourneyView", "Message", "GrantView", "DeadLetter"}
    answers |= {"TimelineEntry"}
    for name in bodies | answers:
        assert made["components"]["schemas"][name]["examples"]
    assert made["openapi"].startswith("3.1")


def test_the_guide_knows_every_problem_and_every_scope() -> None:
    guide = (Path(__file__).parent.parent.parent / "docs" / "api.md").read_text()
    for kind, (status, _) in KINDS.items():
        assert f"| `{kind}` | {status} |" in guide
    for scope in SCOPES:
        assert f"| `{scope}` |" in guide


async def test_what_players_received_can_be_read_in_development_only(
    module_postgres_url: str, api: Api, catch_all: LocalCatchAll
) -> None:
    mail = EmailMessage()
    mail["To"], mail["From"], mail["Subject"] = f"{api.brand}@example.com", "casino@example.com", "Welcome"
    mail.set_content("Hello.")
    address = urlsplit(catch_all.smtp_url)
    with smtplib.SMTP(address.hostname or "", address.port or 0) as smtp:
        smtp.send_message(mail)
    async with serving(module_postgres_url, catch_all_url=catch_all.url) as development:
        admin = await development.client("admin")
        caught = (await admin.get("/v1/dev/mails", params={"to": f"{api.brand}@example.com"})).json()["items"]
        assert [(each["subject"], each["text"].strip()) for each in caught] == [("Welcome", "Hello.")]
        assert (await admin.get("/v1/dev/sms")).status_code == 200
    assert (await (await api.client("admin")).get("/v1/dev/mails")).status_code == 404
    async with serving(module_postgres_url, catch_all_url="http://127.0.0.1:9") as alone:
        assert (await (await alone.client("admin")).get("/v1/dev/mails")).status_code == 503
