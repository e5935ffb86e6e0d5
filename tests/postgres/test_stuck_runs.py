"""What is stuck: found in the books, the longest first, each with where, since when and why."""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from activities.database import Database
from activities.run_problems import MOST_FAILING, NOTED_EVERY, TROUBLES, RunProblems, Trouble, troubles
from activities.runs import clear_problems_but, note_problem
from activities.tables import runs
from local.ports import free_port
from tests.support.api_client import Api, serving
from tests.support.engine import Row, execute, rows

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{free_port()}")
        async with serving(module_postgres_url, journeys="tests.support.api_journeys") as application:
            yield application


@pytest.fixture
async def crm(api: Api) -> httpx.AsyncClient:
    return await api.client("journeys:manage", name="crm")


async def run(api: Api, name: str, **values: Any) -> str:
    """A treated run under way, or what `values` makes of it."""
    row: Row = {
        "id": f"api_call:{api.brand}:{name}:1",
        "brand": api.brand,
        "player_id": name,
        "journey": "api_call",
        "arm": "treated",
        "state": "active",
        "entered_at": NOW - timedelta(days=3),
        "ends_at": NOW + timedelta(days=1),
    } | values
    async with api.engine.database.transaction() as connection:
        await connection.execute(runs.insert().values(row))
    made: str = row["id"]
    return made


async def one_of_each(api: Api) -> dict[Trouble, str]:
    """A run with each problem, and one with none; since longer ago, the later in the list of problems."""
    made: dict[Trouble, str] = {}
    await run(api, "well")
    for number, problem in enumerate(TROUBLES):
        since = NOW - (2 + number) * HOUR
        match problem:
            case "failing_effect" | "failing_code":
                made[problem] = await run(api, problem)
                async with api.engine.database.transaction() as connection:
                    await note_problem(connection, made[problem], problem, "grant:points#1", since, "No answer.")
            case "past_end":
                made[problem] = await run(api, problem, ends_at=since)
            case "lost":
                made[problem] = await run(api, problem, state="ended", outcome="lost", ended_at=since)
            case "dead_letter":
                made[problem] = await run(api, problem)
                for seq, at in ((1, since), (2, NOW)):
                    await execute(
                        api.engine.database,
                        "INSERT INTO dead_letters (run_id, seq, brand, kind, payload, reason, at) "
                        "VALUES (:run, :seq, :brand, 'event', '{}', 'Refused.', :at)",
                        run=made[problem],
                        brand=api.brand,
                        seq=seq,
                        at=at,
                    )
            case "unknown_grant":
                made[problem] = await run(api, problem)
                await execute(
                    api.engine.database,
                    "INSERT INTO grants (id, brand, player_id, run_id, step, journey, kind, reward, status, reason, "
                    "decision, created_at) VALUES (:run || '/g', :brand, 'unknown_grant', :run, 'grant:points#1', "
                    "'api_call', 'points', '{}', 'unknown', 'the bonus engine never answered', '{}', :at)",
                    run=made[problem],
                    brand=api.brand,
                    at=since,
                )
    return made


async def test_every_problem_is_told_the_longest_standing_first(api: Api, crm: httpx.AsyncClient) -> None:
    made = await one_of_each(api)
    listed = (await crm.get("/v1/runs", params={"problem": "any"})).json()["items"]
    assert [(one["id"], one["problem"]["kind"]) for one in listed] == [(made[p], p) for p in reversed(TROUBLES)]
    by_kind = {one["problem"]["kind"]: one for one in listed}
    assert by_kind["failing_effect"]["player_id"] == "failing_effect"
    assert by_kind["failing_effect"]["problem"] == {
        "kind": "failing_effect",
        "since": (NOW - 2 * HOUR).isoformat().replace("+00:00", "Z"),
        "step": "grant:points#1",
        "error": "No answer.",
    }
    assert by_kind["dead_letter"]["problem"]["error"] == "Refused."
    assert by_kind["unknown_grant"]["problem"]["step"] == "grant:points#1"


@pytest.mark.parametrize("problem", TROUBLES)
async def test_one_kind_is_asked_for_alone(api: Api, crm: httpx.AsyncClient, problem: Trouble) -> None:
    made = await one_of_each(api)
    listed = (await crm.get("/v1/runs", params={"problem": problem})).json()["items"]
    assert [one["id"] for one in listed] == [made[problem]]


async def test_the_pages_together_hold_each_problem_once(api: Api, crm: httpx.AsyncClient) -> None:
    made = await one_of_each(api)
    for number in range(5):
        await run(api, f"late-{number}", ends_at=NOW - 20 * HOUR)
    seen, token = [], None
    while True:
        page = {"problem": "any", "page_size": "2"} | ({"page_token": token} if token else {})
        answer = (await crm.get("/v1/runs", params=page)).json()
        seen += [one["id"] for one in answer["items"]]
        if (token := answer["next_page_token"]) is None:
            break
    assert len(seen) == len(set(seen)) == len(made) + 5


async def test_problems_are_narrowed_by_journey_and_player(api: Api, crm: httpx.AsyncClient) -> None:
    made = await one_of_each(api)
    mine = {"problem": "any", "player": "past_end", "journey": "api_call"}
    assert [one["id"] for one in (await crm.get("/v1/runs", params=mine)).json()["items"]] == [made["past_end"]]
    other = await crm.get("/v1/runs", params={"problem": "any", "journey": "api_offer"})
    assert other.json()["items"] == []
    ended = await crm.get("/v1/runs", params={"problem": "any", "state": "ended"})
    assert [one["id"] for one in ended.json()["items"]] == [made["lost"]]


async def test_another_brands_problems_are_not_told(api: Api) -> None:
    await one_of_each(api)
    stranger = await api.client("journeys:manage", brand="elsewhere")
    assert (await stranger.get("/v1/runs", params={"problem": "any"})).json()["items"] == []


async def test_what_takes_two_queries_for_one_run_takes_two_for_fifty(api: Api) -> None:
    """The list is read by one statement, whatever it finds."""
    await one_of_each(api)
    async with api.engine.database.reading() as connection:
        found = await troubles(connection, api.brand, TROUBLES, NOW, 50)
    assert len(found) == len(TROUBLES)


async def test_an_effect_that_keeps_failing_is_written_down_now_and_then_until_it_succeeds(api: Api) -> None:
    stuck, seconds = await run(api, "p-1"), 0.0
    problems = RunProblems(api.engine.database, lambda: NOW, timer=lambda: seconds)
    await problems.effect_fails(stuck, "send:x#1", NOW - HOUR, "first")
    await problems.effect_fails(stuck, "send:x#1", NOW, "second")
    assert await told(api.engine.database, stuck) == ("failing_effect", "send:x#1", NOW - HOUR, "first")
    seconds += NOTED_EVERY
    await problems.effect_fails(stuck, "send:x#1", NOW, "third")
    assert await told(api.engine.database, stuck) == ("failing_effect", "send:x#1", NOW - HOUR, "third")
    await problems.effect_succeeds(stuck)
    assert await told(api.engine.database, stuck) == (None, None, None, None)


async def test_a_run_whose_code_fails_no_more_is_well_again(api: Api) -> None:
    first, second = await run(api, "p-1"), await run(api, "p-2")
    async with api.engine.database.transaction() as connection:
        for stuck in (first, second):
            await note_problem(connection, stuck, "failing_code", None, NOW, "Its code fails.")
        await clear_problems_but(connection, "failing_code", [second])
    assert (await told(api.engine.database, first))[0] is None
    assert (await told(api.engine.database, second))[0] == "failing_code"


class Listing:
    """A Temporal that lists these workflows as failing."""

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids = ids

    async def list_workflows(self, _query: str, *, limit: int, **_more: object) -> AsyncIterator[SimpleNamespace]:
        for run_id in islice(self.ids, limit):
            yield SimpleNamespace(id=run_id)


async def test_shadows_whose_code_fails_hide_no_live_run(api: Api) -> None:
    failing = await run(api, "p-1")
    shadows = (f"shadow-3:welcome:acme:p-{n}:0a" for n in range(2 * MOST_FAILING))
    await RunProblems(api.engine.database, lambda: NOW).ask_once(cast("Any", Listing([*shadows, failing])))
    assert (await told(api.engine.database, failing))[0] == "failing_code"


async def test_a_list_of_failing_code_that_was_cut_off_makes_nobody_well(api: Api) -> None:
    failing = await run(api, "p-1")
    problems = RunProblems(api.engine.database, lambda: NOW)
    await problems.ask_once(cast("Any", Listing([failing])))
    others = [f"welcome:acme:p-{n}:0a" for n in range(MOST_FAILING)]
    await problems.ask_once(cast("Any", Listing(others)))
    assert (await told(api.engine.database, failing))[0] == "failing_code"
    await problems.ask_once(cast("Any", Listing(others[1:])))
    assert (await told(api.engine.database, failing))[0] is None


async def told(database: Database, run_id: str) -> tuple[Any, ...]:
    (row,) = await rows(database, runs, id=run_id)
    return row["problem"], row["problem_step"], row["problem_since"], row["problem_detail"]
