"""Runs and journeys over HTTP: started, looked into and stopped by hand; lost deliveries tried again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.run_delivery.dispatcher import Dispatcher
from activities.run_effects import RunEffects
from activities.run_problems import CODE_FAILS, RunProblems
from activities.settings import TASK_QUEUE
from activities.tables import deliveries
from activities.task_effects import TaskEffects
from local.ports import free_port
from tests.support.api_client import Api, serving
from tests.support.api_seed import JOURNEY, PLAYER, seeded
from tests.support.engine import only_tracked, rows, run_of
from tests.support.machine import promised, within
from workflows import Player, days, journey
from workflows.events import DepositFailed, SessionLogin
from workflows.temporal_internals import runner


@pytest.fixture
async def api(module_postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{free_port()}")
    async with serving(module_postgres_url, journeys="tests.support.api_journeys") as served:
        yield served


@pytest.fixture
async def crm(api: Api) -> httpx.AsyncClient:
    return await api.client("journeys:manage", name="crm")


async def known(api: Api, *player_ids: str) -> None:
    now = datetime.now(UTC)
    login = SessionLogin.example()
    facts = [(p, login.model_copy(update={"event_id": f"login-{p}", "occurred_at": now})) for p in player_ids]
    await api.engine.intake.ingest(api.brand, facts, now)


async def started(crm: httpx.AsyncClient, journey: str, player_id: str, **headers: str) -> httpx.Response:
    return await crm.post("/v1/runs", json={"journey": journey, "player_id": player_id}, headers=headers)


async def test_a_journey_shows_its_declaration(crm: httpx.AsyncClient) -> None:
    review = (await crm.get("/v1/journeys/api_review")).json()
    assert review["description"] == "Ask a manager about a failed deposit."
    assert [(t["rule"], t["event"]) for t in review["triggers"]] == [("on", "payment.deposit_failed")]
    assert review["goal"] == {"event": "payment.deposit_approved", "filtered": False, "within_seconds": 604800}
    assert review["forms"] == ["Affordability"]
    call = (await crm.get("/v1/journeys/api_call")).json()
    assert call["entry"] == {"rule": "every", "period_seconds": 604800, "field": None}
    assert call["listens_to"] == ["session.login"]
    names = [journey["name"] for journey in (await crm.get("/v1/journeys")).json()["items"]]
    assert names == sorted(names)
    assert {"api_review", "api_call", "api_control", "api_withdrawal", "welcome"} <= set(names)
    assert (await crm.get("/v1/journeys/unheard_of")).status_code == 404


async def test_a_journey_counts_its_runs_by_arm_and_outcome(api: Api, crm: httpx.AsyncClient) -> None:
    await known(api, "p-1", "p-2")
    await started(crm, "api_control", "p-1")
    await started(crm, "api_control", "p-2")
    await api.count()
    arms = (await crm.get("/v1/journeys/api_control")).json()["arms"]
    assert arms["control"] == {"entered": 2, "active": 2, "reached_goal": 0, "outcomes": {}}
    assert arms["treated"]["entered"] == 0


async def test_a_run_started_by_hand_is_written_with_its_delivery(api: Api, crm: httpx.AsyncClient) -> None:
    await known(api, "p-1")
    answer = await started(crm, "api_call", "p-1")
    run = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/v1/runs/{run['id']}")
    assert run["id"].startswith(f"api_call:{api.brand}:p-1:")
    assert (run["trigger"]["type"], run["trigger"]["source"]) == ("manual", "crm")
    detail = (await crm.get(f"/v1/runs/{run['id']}")).json()
    assert detail["deliveries"] == 1
    assert (await crm.get("/v1/runs", params={"player": "p-1", "journey": "api_call"})).json()["items"] == [
        run | {"problem": None}
    ]


async def test_the_entry_rule_holds_for_people_too(api: Api, crm: httpx.AsyncClient) -> None:
    await known(api, "p-1")
    run_id = (await started(crm, "api_call", "p-1")).json()["id"]
    refused = await started(crm, "api_call", "p-1")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:journeys:problem:entry-refused")
    assert "in api_call already" in refused.json()["detail"]
    async with (
        api.engine.database.transaction() as connection,
        api.engine.intake.locked(connection, api.brand, ["p-1"], datetime.now(UTC)) as players,
    ):
        players.states["p-1"].end(run_id, datetime.now(UTC))
    assert "may be entered again from" in (await started(crm, "api_call", "p-1")).json()["detail"]
    assert "send the event instead" in (await started(crm, "api_withdrawal", "p-1")).json()["detail"]
    assert "reads the event it begins with" in (await started(crm, "failed_deposit", "p-1")).json()["detail"]
    control = (await started(crm, "api_control", "p-1")).json()
    await only_tracked(api.engine.database, api.brand)
    await crm.post(f"/v1/runs/{control['id']}/stop", json={"reason": "A test."})
    assert "once in a player's life" in (await started(crm, "api_control", "p-1")).json()["detail"]
    unheard_of = await started(crm, "api_cal", "p-1")
    assert (unheard_of.status_code, unheard_of.json()["detail"]) == (
        404,
        "There is no journey api_cal. Did you mean api_call?",
    )
    assert (await started(crm, "api_call", "unheard-of")).status_code == 404


async def test_a_protected_player_is_let_into_nothing(api: Api, crm: httpx.AsyncClient) -> None:
    desk = await api.client("tasks:work")
    await desk.post("/v1/players/p-1/exclusion", json={"kind": "time_out"})
    refused = await started(crm, "api_call", "p-1")
    assert (refused.status_code, "time_out" in refused.json()["detail"]) == (409, True)
    assert (await crm.get("/v1/runs", params={"player": "p-1"})).json()["items"] == []


async def test_an_idempotency_key_starts_one_run(api: Api, crm: httpx.AsyncClient) -> None:
    await known(api, "p-1")
    headers = {"Idempotency-Key": "wish-1"}
    answers = await asyncio.gather(*(started(crm, "api_call", "p-1", **headers) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = await started(crm, "api_control", "p-1", **headers)
    assert (other.status_code, other.json()["type"]) == (422, "urn:journeys:problem:key-reused")
    assert (await started(crm, "api_call", "p-1", **{"Idempotency-Key": "a b"})).status_code == 422


async def test_a_run_is_stopped_once_and_the_reason_stays_here(api: Api, crm: httpx.AsyncClient) -> None:
    await known(api, "p-1")
    run_id = (await started(crm, "api_call", "p-1")).json()["id"]
    for _ in range(2):
        stopped = await crm.post(f"/v1/runs/{run_id}/stop", json={"reason": "Anna asked us to."})
        assert (stopped.status_code, stopped.json()["state"]) == (202, "active")
    async with api.engine.database.reading() as connection:
        query = text("SELECT payload FROM deliveries WHERE run_id = :run AND kind = 'stop'")
        payloads = (await connection.execute(query, {"run": run_id})).scalars().all()
    assert payloads == [{"reason": "stopped_by_hand"}]
    (step,) = (await crm.get(f"/v1/runs/{run_id}")).json()["steps"]
    assert (step["outcome"], step["detail"]["reason"]) == ("stopped_by_hand", "Anna asked us to.")


async def test_a_control_run_is_told_to_end_like_any_other(api: Api, crm: httpx.AsyncClient) -> None:
    await known(api, "p-1")
    run = (await started(crm, "api_control", "p-1")).json()
    assert run["arm"] == "control"
    stopped = await crm.post(f"/v1/runs/{run['id']}/stop", json={"reason": "A test."})
    assert (stopped.status_code, stopped.json()["state"]) == (202, "active")
    assert [row["kind"] for row in await rows(api.engine.database, deliveries, run_id=run["id"])] == ["start", "stop"]


async def test_a_control_run_from_before_those_were_played_is_over_at_once(api: Api, crm: httpx.AsyncClient) -> None:
    await known(api, "p-1")
    run = (await started(crm, "api_control", "p-1")).json()
    await only_tracked(api.engine.database, api.brand)
    stopped = (await crm.post(f"/v1/runs/{run['id']}/stop", json={"reason": "A test."})).json()
    assert (stopped["state"], stopped["outcome"]) == ("ended", "stopped_by_hand")
    again = await crm.post(f"/v1/runs/{run['id']}/stop", json={"reason": "A test."})
    assert (again.status_code, again.json()["type"]) == (409, "urn:journeys:problem:run-ended")


async def test_a_run_can_be_looked_into_while_temporal_is_away(api: Api, crm: httpx.AsyncClient) -> None:
    await known(api, "p-1")
    run_id = (await started(crm, "api_call", "p-1")).json()["id"]

    async def looked_into() -> tuple[Any, float]:
        began = asyncio.get_running_loop().time()
        told = (await crm.get(f"/v1/runs/{run_id}")).json()
        return told, asyncio.get_running_loop().time() - began

    (detail, first), (_, second) = await looked_into(), await looked_into()
    assert min(first, second) < promised(3)
    assert detail["position"] is None
    assert "Temporal or a worker does not answer" in detail["position_missing"]
    ready = await api.anonymous.get("/readyz")
    assert (ready.status_code, ready.json()["temporal"]) == (200, "away")


async def test_a_dead_letter_is_delivered_again_once(api: Api, crm: httpx.AsyncClient) -> None:
    ids = await seeded(api)
    (letter,) = (await crm.get("/v1/dead-letters", params={"retried": "false"})).json()["items"]
    assert (letter["run_id"], letter["reason"]) == (ids["run_id"], "Refused.")
    path = f"/v1/dead-letters/{letter['id']}/retry"
    query = text("SELECT seq FROM deliveries WHERE run_id = :run ORDER BY seq")
    async with api.engine.database.reading() as connection:
        before = (await connection.execute(query, {"run": ids["run_id"]})).scalars().all()
    statuses = [answer.status_code for answer in await asyncio.gather(*(crm.post(path) for _ in range(5)))]
    assert sorted(statuses) == [200] * 4 + [202]
    async with api.engine.database.reading() as connection:
        after = (await connection.execute(query, {"run": ids["run_id"]})).scalars().all()
    assert after == [*before, before[-1] + 1]  # under its old number the run would take it for heard
    assert (await crm.get("/v1/dead-letters", params={"retried": "false"})).json()["items"] == []
    for unknown in ("0", "x", "9" * 30, "-1"):
        assert (await crm.post(f"/v1/dead-letters/{unknown}/retry")).status_code == 404


async def test_a_run_temporal_has_lost_is_ended_here(api: Api, crm: httpx.AsyncClient) -> None:
    ids = await seeded(api)
    await known(api, "p-2")
    healthy = (await started(crm, "api_call", "p-2")).json()["id"]
    force = {"reason": "Its history is gone.", "force": True}
    refused = await crm.post(f"/v1/runs/{healthy}/stop", json=force)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:journeys:problem:not-lost")
    ended = await crm.post(f"/v1/runs/{ids['run_id']}/stop", json=force)
    assert (ended.json()["state"], ended.json()["outcome"]) == ("ended", "stopped_by_hand")
    manager = await api.client("tasks:work", "players:read", skills=["aml"])
    assert (await manager.get(f"/v1/tasks/{ids['task_id']}")).json()["state"] == "cancelled"
    running = (await manager.get(f"/v1/players/{PLAYER}")).json()["running"]
    assert JOURNEY not in [run["journey"] for run in running]


async def test_runs_are_listed_newest_first_and_in_pages(api: Api, crm: httpx.AsyncClient) -> None:
    players = [f"p-{n}" for n in range(5)]
    await known(api, *players)
    for player_id in players:
        await started(crm, "api_call", player_id)
    query: dict[str, Any] = {"journey": "api_call", "state": "active", "arm": "treated", "page_size": 2}
    seen: list[str] = []
    while True:
        page = (await crm.get("/v1/runs", params=query)).json()
        seen += [run["player_id"] for run in page["items"]]
        if page["next_page_token"] is None:
            break
        query["page_token"] = page["next_page_token"]
    assert seen == list(reversed(players))
    assert (await crm.get("/v1/runs", params={"outcome": "completed"})).json()["items"] == []


@asynccontextmanager
async def played(api: Api, temporal: Client, workflow: type | None = None, **options: Any) -> AsyncIterator[Dispatcher]:
    """A worker that plays `api_review`, and what hands its deliveries over."""
    built = api.engine
    effects, ask = RunEffects(built.database, built.intake, built.clock), TaskEffects(built.database, built.clock)
    worker = Worker(
        temporal,
        task_queue=TASK_QUEUE,
        workflows=[workflow or built.registry.journeys["api_review"].workflow_class or type(None)],
        activities=[effects.end, effects.mark, effects.refresh, effects.start, ask.open, ask.move],
        **{"workflow_runner": runner(), **options},
    )
    async with worker:
        yield Dispatcher(built.database, temporal, built.registry)


async def until(dispatcher: Dispatcher, condition: Callable[[], Awaitable[Any]]) -> Any:
    async with within(60):
        while not (found := await condition()):
            await dispatcher.run_once()
        return found


async def test_a_run_tells_what_it_cannot_get_done(
    postgres_url: str, temporal: Client, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_address)
    async with serving(postgres_url, journeys="tests.support.api_journeys") as api, played(api, temporal) as dispatcher:
        crm = await api.client("journeys:manage")
        await known(api, "p-1")
        await rename(api, "tasks", "tasks_away")
        run_id = (await started(crm, "api_review", "p-1")).json()["id"]

        async def detail() -> Any:
            return (await crm.get(f"/v1/runs/{run_id}")).json()

        async def failing() -> Any:
            run = await detail()
            return run if run["failing"] and run["failing"]["attempts"] > 1 else None

        run = await until(dispatcher, failing)
        assert run["position"]["step"] == "ask:Affordability#1"
        assert run["position"]["waiting_until"] is None
        assert run["failing"]["effect"] == "open_task"
        assert 'relation "tasks" does not exist' in run["failing"]["error"]
        assert datetime.fromisoformat(run["failing"]["since"]) > datetime.fromisoformat(run["entered_at"])
        await rename(api, "tasks_away", "tasks")

        async def waiting() -> Any:
            run = await detail()
            return run if run["position"] and run["position"]["waiting_until"] else None

        assert (await until(dispatcher, waiting))["failing"] is None


async def test_a_run_tells_that_its_journeys_own_code_fails(
    postgres_url: str, temporal: Client, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @journey(ends_after=days(1))
    async def api_review(player: Player, nothing: None) -> None:  # noqa: ARG001 - the signature of a journey
        """As a bad release has it."""
        raise RuntimeError("A mistake of the designer.")

    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_address)
    async with (
        serving(postgres_url, journeys="tests.support.api_journeys") as api,
        played(api, temporal, workflow=api_review, workflow_runner=UnsandboxedWorkflowRunner()) as dispatcher,
    ):
        crm = await api.client("journeys:manage")
        await known(api, "p-1")
        run_id = (await started(crm, "api_review", "p-1")).json()["id"]

        async def failing() -> Any:
            return (await crm.get(f"/v1/runs/{run_id}")).json()["failing"]

        told = await until(dispatcher, failing)
        # It is tried again while somebody looks.
        assert told["effect"] is None
        assert told["attempts"] >= 1
        assert "its code failed" in told["error"]
        problems = RunProblems(api.engine.database, api.engine.clock)

        async def stuck() -> Any:
            await problems.ask_once(temporal)
            return (await crm.get("/v1/runs", params={"problem": "failing_code"})).json()["items"]

        (listed,) = await until(dispatcher, stuck)
        assert (listed["id"], listed["problem"]["kind"], listed["problem"]["error"]) == (
            run_id,
            "failing_code",
            CODE_FAILS,
        )
        await temporal.get_workflow_handle(run_id).terminate()

        async def none() -> bool:
            return not await stuck()

        await until(dispatcher, none)


async def rename(api: Api, table: str, name: str) -> None:
    async with api.engine.database.transaction() as connection:
        await connection.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))


async def test_a_managers_answer_reaches_the_run_that_asked(
    postgres_url: str, temporal: Client, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the event to the end of the journey, with a person in between and the run asked where it stands."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_address)
    async with serving(postgres_url, journeys="tests.support.api_journeys") as api, played(api, temporal) as dispatcher:
        backend, manager = (
            await api.client("events:write"),
            await api.client("tasks:work", "players:read", skills=["aml"]),
        )
        failed = DepositFailed.example().model_copy(update={"occurred_at": api.engine.clock()}).to_wire()
        answer = await backend.post("/v1/events", json=failed | {"specversion": "1.0", "subject": "p-1"})
        assert answer.json()["accepted"] == 1
        run_id = await run_of(api.engine.database, "p-1", "api_review")

        async def task() -> Any:
            return (await manager.get("/v1/tasks", params={"journey": "api_review"})).json()["items"]

        (asked,) = await until(dispatcher, task)
        assert (asked["team"], asked["forbidden"]) == ("vip", ["offer a bonus"])
        assert timedelta(hours=47) < datetime.fromisoformat(asked["due_at"]) - datetime.now(UTC)

        async def waiting() -> Any:
            position = (await manager.get(f"/v1/runs/{run_id}")).json()["position"]
            return position and position["step"] == "ask:Affordability#1"

        assert await until(dispatcher, waiting)
        given = {"answer": {"outcome": "approve", "note": "Payslips seen."}}
        assert (await manager.post(f"/v1/tasks/{asked['id']}/complete", json=given)).status_code == 200

        async def over() -> Any:
            run = (await manager.get(f"/v1/runs/{run_id}")).json()
            return run if run["state"] == "ended" else None

        run = await until(dispatcher, over)
        assert run["outcome"] == "completed"
        (reviewed,) = [step for step in run["steps"] if step["step"] == "mark:reviewed#1"]
        assert reviewed["detail"] == {"outcome": "approve"}
