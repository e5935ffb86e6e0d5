"""Runs that a bulk job moves to another release: each once, whatever else happens to them meanwhile."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.intake.run_catch_up import MOST_PAST, Past, past_events
from activities.loops.bulk_work import WAITS_S, Pacing
from activities.loops.journey_jobs import RunStops
from activities.loops.migration import FEW, GIVEN_UP_AFTER_S, RunMoves
from activities.run_effects import RunEffects
from activities.tables import deliveries, jobs, players, runs, steps
from activities.versions_in_flight import versions_in_flight
from local.ports import free_port
from tests.support.api_client import Api, serving
from tests.support.engine import HeldTimer, Row, execute, rows, runs_of
from tests.support.outside_packages import Write
from tests.support.releases import release_twice
from workflows.effects import Mark
from workflows.events import DepositFailed, Event, ExclusionSet, SessionLogin
from workflows.player_state.active_run import Behind

JOURNEY = """
from workflows import DepositFailed, Player, SessionLogin, always, days, journey, on


@journey(on(SessionLogin), entry=always, ends_after=days(90))
async def hello(player: Player, login: SessionLogin) -> None:
    '''Waits for a failed deposit.'''
    await player.mark("began")
    WAIT
"""
#: The second hears what the first did not.
FIRST = 'await player.event(DepositFailed, within=days(9), where=lambda one: one.failure == "limit")'
SECOND = 'await player.mark("more")\n    await player.event(DepositFailed, within=days(9))'
LOGINS = Behind(frozenset({SessionLogin.type}), frozenset())
WHY = {"reason": "It waits for more."}


@pytest.fixture
async def api(postgres_url: str, package: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    """A deployment with two releases of a journey, of which the first is what players enter."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{free_port()}")
    name = package(hello=JOURNEY.replace("WAIT", FIRST))
    release_twice(name, tmp_path / name / "hello.py", FIRST, SECOND)
    async with serving(postgres_url, journeys=name) as served:
        yield served


@pytest.fixture
async def crm(api: Api) -> httpx.AsyncClient:
    return await api.client("journeys:manage", name="crm")


class Lobby:
    """Players of the brand, and what happens to them."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.events = 0
        #: By player: their first run.
        self.runs: dict[str, str] = {}

    async def happens(self, player: str, kind: type[Event], /, **data: Any) -> None:
        self.events += 1
        now = self.api.engine.clock()
        given = {**kind.example_data, "event_id": f"e{self.events}", "event_source": "/t", "occurred_at": now, **data}
        if kind.unique_field:
            given[kind.unique_field] = f"{kind.unique_field}-{self.events}"
        await self.api.engine.intake.ingest(self.api.brand, [(player, kind(**given))], now)
        for run_id in (await runs_of(self.api.engine.database, player, "hello"))[:1]:
            self.runs.setdefault(player, run_id)

    async def fails(self, player: str, failure: str) -> None:
        await self.happens(player, DepositFailed, failure=failure)

    async def told(self, player: str = "p1") -> list[str]:
        """What a player's first run is told behind its start: kinds, of events what failed."""
        found = await rows(self.api.engine.database, deliveries, run_id=self.run(player))
        return [_in_short(row) for row in sorted(found, key=lambda row: row["seq"]) if row["kind"] != "start"]

    def run(self, player: str = "p1") -> str:
        return self.runs[player]

    async def row(self, player: str = "p1") -> Row:
        [found] = await rows(self.api.engine.database, runs, id=self.run(player))
        return found

    async def known(self, player: str = "p1") -> Row:
        """What the player's row knows of the run."""
        [found] = await rows(self.api.engine.database, players, id=player)
        known: Row = found["state"]["runs"][self.run(player)]
        return known

    async def arrives(self, version: int, player: str = "p1", number: int = 1) -> None:
        """The run says that it has come to a release, as its first effect there."""
        built = self.api.engine
        whose: Row = {"brand": self.api.brand, "player_id": player, "journey": "hello", "run_id": self.run(player)}
        mark = Mark(**whose, step=f"kept:move#{number}", name="move", arrived=version)
        await RunEffects(built.database, built.intake, built.clock).mark(mark)


def _in_short(row: Row) -> str:
    match row["kind"]:
        case "event":
            return f"{row['payload']['event']['data']['failure']}"
        case "migrate":
            return f"v{row['payload']['version']}"
        case kind:
            return f"{kind}"


@pytest.fixture
async def lobby(api: Api) -> Lobby:
    built = Lobby(api)
    await built.happens("p1", SessionLogin)
    return built


@pytest.fixture
def timer() -> HeldTimer:
    return HeldTimer()


async def begun(crm: httpx.AsyncClient, version: int = 2, **more: Any) -> Row:
    answer = await crm.post("/v1/journeys/hello/migrate", json=WHY | {"version": version} | more)
    assert answer.status_code == 201, answer.text
    made: Row = answer.json()
    assert answer.headers["location"] == f"/v1/migrations/{made['id']}"
    return made


def at_work(api: Api) -> RunMoves:
    built = api.engine
    return RunMoves(built.database, built.intake, built.pressure, built.clock, processes=built.processes)


async def worked_off(api: Api, crm: httpx.AsyncClient, made: Row) -> Row:
    while await at_work(api).batch(made["id"]) is not None:
        pass
    done: Row = (await crm.get(f"/v1/migrations/{made['id']}")).json()
    return done


async def moved(api: Api, crm: httpx.AsyncClient, version: int = 2, **more: Any) -> Row:
    return await worked_off(api, crm, await begun(crm, version, **more))


# ---- one run ------------------------------------------------------------------------------------


async def test_a_run_is_told_and_the_books_name_its_release_at_once(
    api: Api, crm: httpx.AsyncClient, lobby: Lobby
) -> None:
    done = await moved(api, crm, do=["mark:more"])
    assert (done["state"], done["total"], done["done"], done["moved"], done["left"]) == ("done", 1, 1, 1, 0)
    [order] = [row for row in await rows(api.engine.database, deliveries) if row["kind"] == "migrate"]
    assert order["payload"] == {"version": 2, "do": ["mark:more"]}
    assert ((await lobby.row())["version"], (await lobby.known())["version"]) == (2, 2)
    [told] = await rows(api.engine.database, steps, outcome="told")
    assert told["detail"] == {"by": "crm", **WHY, "job": done["id"], "version": 2, "before": 1}


async def test_a_run_that_moves_hears_what_only_its_new_release_waits_for(
    api: Api, crm: httpx.AsyncClient, lobby: Lobby
) -> None:
    await lobby.fails("p1", "technical")
    await lobby.fails("p1", "limit")
    await lobby.fails("p1", "technical")
    assert await lobby.told() == ["limit"]
    await moved(api, crm)
    assert await lobby.told() == ["limit", "v2", "technical", "technical"]
    await lobby.fails("p1", "technical")
    assert (await lobby.told())[4:] == ["technical"]


async def test_a_run_that_moves_to_and_fro_hears_nothing_twice(api: Api, crm: httpx.AsyncClient, lobby: Lobby) -> None:
    await lobby.fails("p1", "technical")
    for version in (2, 1, 2):
        await moved(api, crm, version)
        await lobby.fails("p1", "limit")
    assert await lobby.told() == ["v2", "technical", "limit", "v1", "limit", "v2", "limit"]


async def test_what_came_before_the_run_is_not_made_up_for(api: Api, crm: httpx.AsyncClient, lobby: Lobby) -> None:
    await lobby.fails("p2", "technical")
    await lobby.happens("p2", SessionLogin)
    await moved(api, crm)
    assert await lobby.told("p2") == ["v2"]


async def test_what_was_told_before_the_run_in_the_same_batch_is_not_made_up_for(
    api: Api, crm: httpx.AsyncClient
) -> None:
    lobby, now = Lobby(api), api.engine.clock()
    told = [
        DepositFailed.example().model_copy(update={"event_id": f"d-{n}", "failure": failure, "occurred_at": now})
        for n, failure in enumerate(("declined", "fraud", "3ds", "technical", "insufficient", "fraud"))
    ]
    login = SessionLogin.example().model_copy(update={"event_id": "begins", "occurred_at": now})
    await api.engine.intake.ingest(api.brand, [("p9", one) for one in (*told[:3], login, *told[3:])], now)
    [lobby.runs["p9"]] = await runs_of(api.engine.database, "p9", "hello")
    await moved(api, crm)
    assert await lobby.told("p9") == ["v2", "technical", "insufficient", "fraud"]


async def test_a_batch_ends_early_where_runs_have_much_to_hear(api: Api, crm: httpx.AsyncClient) -> None:
    lobby, now, players = Lobby(api), api.engine.clock(), ("p1", "p2", "p3")
    for player in players:
        await lobby.happens(player, SessionLogin)
    much = [
        (player, DepositFailed.example().model_copy(update=told | {"event_id": f"{player}-{n}"}))
        for told in [{"failure": "technical", "occurred_at": now}]
        for player in players
        for n in range(MOST_PAST + 50)
    ]
    for first in range(0, len(much), 1_000):
        await api.engine.intake.ingest(api.brand, much[first : first + 1_000], now)
    made = await begun(crm, per_second=1_000)
    await at_work(api).batch(made["id"])
    assert (await crm.get(f"/v1/migrations/{made['id']}")).json()["done"] == 2
    assert (await worked_off(api, crm, made))["moved"] == 3
    assert [len(await lobby.told(player)) for player in players] == [1 + MOST_PAST] * 3


async def test_the_past_of_a_run_is_looked_for_in_the_months_since_it_began_alone(api: Api, lobby: Lobby) -> None:
    since = api.engine.clock() + timedelta(days=65)
    async with api.engine.database.transaction() as connection:
        before = await scans_of_months(connection)
        await past_events(connection, api.brand, [Past(lobby.run(), "p1", since, LOGINS)])
        looked_at = (await scans_of_months(connection) - before).keys()
    assert looked_at
    assert not looked_at & {"events_first", f"events_{api.engine.clock():%Y_%m}"}


async def scans_of_months(connection: AsyncConnection) -> Counter[str]:
    """How often the connection has looked into each month of events."""
    scans = r"SELECT relname, seq_scan + idx_scan AS scans FROM pg_stat_xact_user_tables WHERE relname LIKE 'events\_%'"
    return Counter({row.relname: row.scans for row in await connection.execute(text(scans))})


async def test_a_player_who_cannot_be_read_costs_a_migration_nobody_else(
    api: Api, crm: httpx.AsyncClient, lobby: Lobby
) -> None:
    for player in ("p2", "p3"):
        await lobby.happens(player, SessionLogin)
    await execute(api.engine.database, "UPDATE players SET state = jsonb_set(state, '{runs}', '5') WHERE id = 'p2'")
    done = await moved(api, crm)
    assert (done["state"], done["moved"], done["failed"], done["done"]) == ("done", 2, 1, 3)


async def test_a_run_plays_what_it_played_until_it_says_that_it_has_moved(
    api: Api, crm: httpx.AsyncClient, lobby: Lobby
) -> None:
    await moved(api, crm)
    assert (await playing(api))[1] == (1, 1)
    await lobby.arrives(2)
    assert await playing(api) == {2: (1, 0)}
    assert (await lobby.row())["moving_from"] is None


async def test_a_run_that_is_told_to_move_on_before_it_has_moved_is_followed(
    api: Api, crm: httpx.AsyncClient, lobby: Lobby
) -> None:
    await moved(api, crm)
    await moved(api, crm, 1)
    assert await playing(api) == {1: (1, 0)}, "it was told to stay before it went"
    await lobby.arrives(2)
    assert await playing(api) == {2: (1, 1)}, "it had gone after all"
    await lobby.arrives(1, number=2)
    assert await playing(api) == {1: (1, 0)}


async def playing(api: Api) -> dict[int, tuple[int, int]]:
    """By version: how many runs play it, and how many of them were told to move."""
    async with api.engine.database.reading() as connection:
        return {one.version: (one.runs, one.moving) for one in await versions_in_flight(connection, ["hello"])}


# ---- what happens meanwhile ---------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_exclusion_ends_the_run_wherever_it_moves(
    api: Api, crm: httpx.AsyncClient, lobby: Lobby, when: str
) -> None:
    made = await begun(crm)
    if when == "before":
        await lobby.happens("p1", ExclusionSet, kind="self_exclusion", scope="brand", until=None)
    done = await worked_off(api, crm, made)
    if when == "after":
        await lobby.happens("p1", ExclusionSet, kind="self_exclusion", scope="brand", until=None)
    assert await lobby.told() == (["stop"] if when == "before" else ["v2", "stop"])
    assert (done["moved"], done["left"]) == ((0, 1) if when == "before" else (1, 0))


async def test_a_run_that_ended_meanwhile_is_left_alone(api: Api, crm: httpx.AsyncClient, lobby: Lobby) -> None:
    made = await begun(crm)
    await execute(api.engine.database, "UPDATE players SET state = state - 'runs'")
    done = await worked_off(api, crm, made)
    assert (done["moved"], done["left"], await lobby.told()) == (0, 1, [])


async def test_a_job_that_is_worked_on_twice_moves_each_run_once(
    api: Api, crm: httpx.AsyncClient, lobby: Lobby
) -> None:
    for player in ("p2", "p3"):
        await lobby.happens(player, SessionLogin)
    made = await begun(crm, per_second=1)
    for _ in range(2):
        await at_work(api).batch(made["id"])
        await at_work(api).batch(made["id"])
    assert [await lobby.told(player) for player in ("p1", "p2", "p3")] == [["v2"]] * 3


async def test_who_enters_on_the_old_release_meanwhile_is_moved_as_well(
    api: Api, crm: httpx.AsyncClient, lobby: Lobby
) -> None:
    made = await begun(crm)
    await lobby.happens("p2", SessionLogin)
    done = await worked_off(api, crm, made)
    assert (done["moved"], done["total"]) == (2, 2)


async def test_a_newer_migration_takes_the_place_of_one_under_way(
    api: Api, crm: httpx.AsyncClient, lobby: Lobby
) -> None:
    first = await begun(crm)
    back = await begun(crm, 1)
    assert (await crm.get(f"/v1/migrations/{first['id']}")).json()["state"] == "cancelled"
    assert (await worked_off(api, crm, back))["total"] == 0
    assert await lobby.told() == []


async def test_of_two_migrations_that_are_asked_for_at_once_one_is_under_way(crm: httpx.AsyncClient) -> None:
    made = await asyncio.gather(*(begun(crm, version) for version in (2, 1, 2, 1)))
    states = [(await crm.get(f"/v1/migrations/{one['id']}")).json()["state"] for one in made]
    assert sorted(states) == ["cancelled", "cancelled", "cancelled", "running"]


async def test_a_migration_is_paused_resumed_and_cancelled(api: Api, crm: httpx.AsyncClient, lobby: Lobby) -> None:
    for player in ("p2", "p3"):
        await lobby.happens(player, SessionLogin)
    made = await begun(crm, per_second=1)
    path = f"/v1/migrations/{made['id']}"
    await at_work(api).batch(made["id"])
    assert (await crm.post(f"{path}/pause")).json()["state"] == "paused"
    assert await at_work(api).batch(made["id"]) is None
    await crm.post(f"{path}/resume")
    await at_work(api).batch(made["id"])
    assert (await crm.post(f"{path}/cancel")).json()["moved"] == 2
    assert len(await rows(api.engine.database, deliveries, kind="migrate")) == 2
    assert (await crm.post(f"{path}/resume")).json()["type"].endswith("migration-ended")


async def test_no_more_are_told_while_many_are_on_their_way(
    api: Api, crm: httpx.AsyncClient, lobby: Lobby, timer: HeldTimer
) -> None:
    for number in range(2, FEW + 4):
        await lobby.happens(f"p{number}", SessionLogin)
    job, built = (await begun(crm, per_second=10))["id"], api.engine
    moves = RunMoves(
        built.database, built.intake, built.pressure, built.clock, Pacing(timer), processes=built.processes
    )
    for _ in range(FEW):
        assert not await moves.behind(job)
        # One at a time, in its share of a second.
        assert await moves.batch(job) == 0.1
    assert await moves.behind(job)
    await lobby.arrives(2, "p1")
    assert not await moves.behind(job)
    await moves.batch(job)
    assert await moves.behind(job)
    # A run that is held keeps the others waiting for a while only.
    timer.now += GIVEN_UP_AFTER_S + 1
    assert not await moves.behind(job)


# ---- when it may begin --------------------------------------------------------------------------


async def test_it_waits_until_every_living_process_knows_the_release(
    api: Api, crm: httpx.AsyncClient, lobby: Lobby
) -> None:
    old = (
        "INSERT INTO processes (id, build, role, knows) VALUES ('old', 'old', 'worker', '{\"journeys\": [\"hello\"]}')"
    )
    await execute(api.engine.database, old)
    made = await begun(crm)
    assert await at_work(api).batch(made["id"]) == WAITS_S
    waiting = (await crm.get(f"/v1/migrations/{made['id']}")).json()
    assert (waiting["state"], waiting["done"], await lobby.told()) == ("running", 0, [])
    assert waiting["waiting"] == "1 living process does not know hello@2 yet"
    await execute(api.engine.database, "DELETE FROM processes WHERE id = 'old'")
    done = await worked_off(api, crm, made)
    assert (done["moved"], done["waiting"]) == (1, None)


async def test_a_release_that_nobody_knows_is_refused(crm: httpx.AsyncClient) -> None:
    for path in ("migrate", "migrate/preview"):
        body = {"version": 9} | (WHY if path == "migrate" else {})
        refused = await crm.post(f"/v1/journeys/hello/{path}", json=body)
        assert (refused.status_code, refused.json()["detail"]) == (
            409,
            "v9 of hello is deployed nowhere; deployed are v1, v2. Deploy it, then ask again.",
        )


async def test_a_step_that_the_release_does_not_have_is_refused(crm: httpx.AsyncClient) -> None:
    refused = await crm.post("/v1/journeys/hello/migrate", json=WHY | {"version": 2, "do": ["mark:mor"]})
    assert (refused.status_code, refused.json()["detail"]) == (
        422,
        "v2 of hello has no step mark:mor. Did you mean mark:more?",
    )


async def test_a_preview_counts_by_the_version_the_runs_come_from(
    api: Api, crm: httpx.AsyncClient, lobby: Lobby
) -> None:
    await lobby.happens("p2", SessionLogin)
    await execute(api.engine.database, "UPDATE runs SET version = 0 WHERE player_id = 'p2'")
    other = await api.client("journeys:manage", brand="elsewhere")
    said = (await crm.post("/v1/journeys/hello/migrate/preview", json={"version": 2})).json()
    assert (said["runs"], said["brand"], said["waiting"]) == (2, api.brand, None)
    assert [(one["version"], one["runs"]) for one in said["coming_from"]] == [(0, 1), (1, 1)]
    assert (await other.post("/v1/journeys/hello/migrate/preview", json={"version": 2})).json()["runs"] == 0
    assert await rows(api.engine.database, jobs) == []


async def test_a_migration_asked_for_again_with_its_key_is_the_same(crm: httpx.AsyncClient, lobby: Lobby) -> None:
    once: dict[str, Any] = {"headers": {"Idempotency-Key": "move-1"}}
    bodies = [WHY | {"version": 2}, WHY | {"version": 2}, WHY | {"version": 1}]
    first, again, other = [await crm.post("/v1/journeys/hello/migrate", json=body, **once) for body in bodies]
    assert (first.status_code, again.status_code, again.json()["id"]) == (201, 200, first.json()["id"])
    assert other.json()["type"].endswith("key-reused")
    assert await lobby.told() == []


# ---- the runs, listed; and those before a release, ended ---------------------------------------------


async def test_runs_are_listed_by_version(api: Api, crm: httpx.AsyncClient, lobby: Lobby) -> None:
    await moved(api, crm)
    await lobby.happens("p2", SessionLogin)
    for version, player in ((1, "p2"), (2, "p1")):
        [found] = (await crm.get(f"/v1/runs?journey=hello&version={version}")).json()["items"]
        assert (found["player_id"], found["version"]) == (player, version)
    assert (await crm.get(f"/v1/runs/{lobby.run()}")).json()["moving_from"] == 1
    assert (await crm.get("/v1/runs?problem=any&version=2")).json()["items"] == []


async def test_a_release_may_end_the_runs_before_it_and_players_still_enter(
    api: Api, crm: httpx.AsyncClient, lobby: Lobby
) -> None:
    await moved(api, crm)
    await lobby.happens("p2", SessionLogin)
    body = {"reason": "v1 was wrong.", "except_version": 2}
    said = (await crm.post("/v1/journeys/hello/stop/preview?except_version=2")).json()
    made = (await crm.post("/v1/journeys/hello/stop", json=body)).json()
    assert (said["treated"], made["total"], made["except_version"]) == (1, 1, 2)
    built = api.engine
    pacing = Pacing(settling=timedelta(0))
    at_work = RunStops(built.database, built.intake, built.pressure, built.clock, pacing)
    while await at_work.batch(made["id"]) is not None:
        pass
    assert (await lobby.told(), await lobby.told("p2")) == (["v2"], ["stop"])
    assert (await crm.get("/v1/journeys/hello/controls")).json()["closed"] is False
