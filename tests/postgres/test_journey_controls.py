"""Journeys that people close, hold, resume and stop: at once, everywhere, by whom and why."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast

import httpx
import pytest

from activities.journey_controls import ClosedJourneys
from activities.loops.bulk_work import WAITS_S, BulkWork, Pacing
from activities.loops.journey_jobs import HeldRuns, RunStops
from activities.tables import deliveries, grants, held_runs, jobs, messages, runs, steps
from local.ports import free_port
from tests.support.api_client import Api, serving
from tests.support.engine import BRAND, NOON, Effects, Row, effects, execute, rows
from tests.support.enrolment import depositors
from workflows import points
from workflows.declaration import Journey
from workflows.effects import (
    EFFECTS,
    AssignArm,
    Award,
    EffectInput,
    End,
    Give,
    Held,
    Mark,
    Match,
    MoveTask,
    OfferSpin,
    OpenTask,
    ReadScore,
    ReadValue,
    Refresh,
    Send,
    StartJourney,
    Webhook,
    task_id_of,
)
from workflows.events import DepositFailed
from workflows.journeys.segments import deposited_30d
from workflows.player_facts import PlayerFacts
from workflows.revocation import Revoke
from workflows.send_choices import Choose

REASON = {"reason": "The offer was wrong."}


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{free_port()}")
        async with serving(module_postgres_url, journeys="tests.support.api_journeys") as application:
            yield application


@pytest.fixture
async def api(served: Api) -> AsyncIterator[Api]:
    # What journeys were closed a moment ago is remembered for half a second; a test begins with a new process.
    served.engine.intake.closed = ClosedJourneys()
    async with served.for_one_test() as own:
        yield own


@pytest.fixture
async def crm(api: Api) -> httpx.AsyncClient:
    return await api.client("journeys:manage", name="crm")


async def decides(crm: httpx.AsyncClient, action: str, journey: str = "api_call", **more: Any) -> dict[str, Any]:
    answer = await crm.post(f"/v1/journeys/{journey}/{action}", json=REASON, **more)
    assert answer.status_code in {200, 201}, answer.text
    found: dict[str, Any] = answer.json()
    return found


def at_work(api: Api, kind: type[BulkWork], settling: timedelta = timedelta(0)) -> BulkWork:
    built = api.engine
    return kind(built.database, built.intake, built.pressure, built.clock, Pacing(settling=settling))


async def enter(crm: httpx.AsyncClient, players: list[str], journey: str = "api_call") -> list[str]:
    """Their runs, in the order they began."""
    made = [await crm.post("/v1/runs", json={"journey": journey, "player_id": player}) for player in players]
    return [one.json()["id"] for one in made]


# ---- the decision -------------------------------------------------------------------------------


async def test_a_decision_is_told_with_who_when_and_why(crm: httpx.AsyncClient) -> None:
    assert (await crm.get("/v1/journeys/api_call/controls")).json() == {
        "journey": "api_call",
        "closed": False,
        "held": False,
        "waiting": 0,
        "changes": [],
    }
    await decides(crm, "hold")
    await decides(crm, "close")
    told = await decides(crm, "resume")
    assert (told["closed"], told["held"]) == (True, False)
    assert [(one["action"], one["by"], one["reason"]) for one in told["changes"]] == [
        ("resume", "crm", REASON["reason"]),
        ("close", "crm", REASON["reason"]),
        ("hold", "crm", REASON["reason"]),
    ]


async def test_deciding_the_same_twice_is_deciding_once(crm: httpx.AsyncClient) -> None:
    await decides(crm, "hold")
    assert len((await decides(crm, "hold"))["changes"]) == 1


async def test_a_decision_sent_again_with_its_key_does_not_undo_what_came_after_it(crm: httpx.AsyncClient) -> None:
    once: dict[str, Any] = {"headers": {"Idempotency-Key": "k-1"}}
    await decides(crm, "hold", **once)
    await decides(crm, "resume")
    assert (await decides(crm, "hold", **once))["held"] is False
    reused = await crm.post("/v1/journeys/api_call/close", json=REASON, headers=once["headers"])
    assert reused.json()["type"].endswith("key-reused")


async def test_a_desk_names_the_person_who_decides(api: Api) -> None:
    desk = await api.client("journeys:manage", "tasks:work", name="desk")
    told = await decides(desk, "hold", headers={"X-Actor": "olena@example.com"})
    assert told["changes"][0]["by"] == "olena@example.com"


async def test_a_journey_that_does_not_exist_cannot_be_held(crm: httpx.AsyncClient) -> None:
    answer = await crm.post("/v1/journeys/api_cal/hold", json=REASON)
    assert answer.status_code == 404
    assert "Did you mean api_call?" in answer.json()["detail"]


async def test_a_name_is_not_guessed_from_journeys_of_another_brand(
    api: Api, crm: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = cast("dict[str, Journey]", api.engine.registry.journeys)
    monkeypatch.setitem(deployed, "api_call", replace(deployed["api_call"], brands=frozenset({"elsewhere"})))
    asked = await crm.post("/v1/journeys/api_cal/hold", json=REASON), await crm.get("/v1/journeys/api_cal/figures")
    for answer in asked:
        assert answer.status_code == 404
        assert "api_call?" not in answer.json()["detail"]


async def test_another_brands_journey_goes_on(api: Api, crm: httpx.AsyncClient) -> None:
    await decides(crm, "hold")
    other = await api.client("journeys:manage", brand="elsewhere")
    assert (await other.get("/v1/journeys/api_call/controls")).json()["held"] is False


# ---- closed -------------------------------------------------------------------------------------


async def test_nobody_enters_a_closed_journey_by_event_by_hand_or_in_bulk(api: Api, crm: httpx.AsyncClient) -> None:
    players = await depositors(api, 3)
    for journey in ("api_review", "api_call", "api_offer"):
        await decides(crm, "close", journey)
    api.engine.intake.closed = ClosedJourneys()
    await failed(api, players[0])
    by_hand = await crm.post("/v1/runs", json={"journey": "api_call", "player_id": players[1]})
    assert (by_hand.status_code, by_hand.json()["detail"]) == (
        409,
        "api_call is closed; open it before anybody enters.",
    )
    assert await rows(api.engine.database, runs, brand=api.brand) == []
    await decides(crm, "open", "api_review")
    api.engine.intake.closed = ClosedJourneys()
    await failed(api, players[2])
    assert [row["player_id"] for row in await rows(api.engine.database, runs, brand=api.brand)] == [players[2]]


async def failed(api: Api, player: str) -> None:
    now = api.engine.clock()
    event = DepositFailed.example().model_copy(update={"event_id": f"failed-{player}", "occurred_at": now})
    await api.engine.intake.ingest(api.brand, [(player, event)], now)


async def test_every_process_notices_within_a_second(api: Api, crm: httpx.AsyncClient) -> None:
    seconds = 0.0
    closed = ClosedJourneys(timer=lambda: seconds)
    async with api.engine.database.reading() as connection:
        assert await closed.of(connection, api.brand) == frozenset()
    await decides(crm, "close")
    seconds += 0.6
    async with api.engine.database.reading() as connection:
        assert await closed.of(connection, api.brand) == {"api_call"}


# ---- held ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def parts(module_postgres_url: str) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url) as built:
        yield built


@dataclass
class HeldScene:
    """A run of a journey that is held."""

    parts: Effects
    player: str
    run: str

    async def does(self, effect: str, **more: Any) -> Any:
        """The answer of an effect of this run."""
        kind, call, given = self.given(effect)
        step = f"{effect}:x#1"
        return await call(self.parts.given(kind, self.run, step, **{"knows_hold": True, **given, **more}))

    def given(self, effect: str) -> tuple[type[EffectInput], Any, Row]:
        made = self.parts
        opened = task_id_of(f"{self.run}/open_task:x#1")
        task: Row = {"form": "F", "question": "?", "form_schema": {}, "team": "vip", "due_at": NOON}
        known: dict[str, tuple[type[EffectInput], Any, Row]] = {
            "send": (Send, made.messages.send, {"template": "welcome", "via": ["in_app"]}),
            "grant": (Give, made.grants.give, {"reward": points(5)}),
            "revoke": (Revoke, made.grants.revoke, {"grant_id": "of-nobody"}),
            "award": (Award, made.awards.award, {"reward": points(5), "currency": "points"}),
            "offer_spin": (OfferSpin, made.spins.offer, {"wheel": "daily", "until": NOON}),
            "open_task": (OpenTask, made.tasks.open, task | {"facts": PlayerFacts(player_id=self.player)}),
            "move_task": (
                MoveTask,
                made.tasks.move,
                {"task_id": opened, "move": "expire"},
            ),
            "refresh": (Refresh, made.runs.refresh, {}),
            "start": (StartJourney, made.runs.start, {"start": "win_back"}),
            "assign": (
                AssignArm,
                made.experiments.assign,
                {"experiment": "x", "experiment_version": 1, "arms": {"push": 50, "control": 50}},
            ),
            "choose": (Choose, made.choices.choose, {"template": "content-news", "otherwise": "18:00"}),
            "score": (ReadScore, made.scores.score, {"score": "churn"}),
            "match": (Match, made.runs.match, {"segment": "well_off"}),
            "value": (ReadValue, made.runs.value, {"measure": deposited_30d.key}),
            "mark": (Mark, made.runs.mark, {"name": "x"}),
            "webhook": (Webhook, made.webhooks.say, {"name": "x"}),
            "end": (End, made.runs.end, {"outcome": "completed"}),
        }
        return known[effect]

    async def holds(self, *, held: bool = True) -> None:
        await execute(
            self.parts.database,
            "INSERT INTO journey_controls (brand, journey, held) VALUES (:brand, 'tested', :held) "
            "ON CONFLICT (brand, journey) DO UPDATE SET held = :held",
            brand=BRAND,
            held=held,
        )


@pytest.fixture
async def held(parts: Effects) -> AsyncIterator[HeldScene]:
    with parts.for_one_test():
        player = parts.casino.player()
        await parts.casino.registers(player)
        scene = HeldScene(parts, player, await parts.enters(player))
        await scene.holds()
        yield scene
        await scene.holds(held=False)


@pytest.mark.parametrize("effect", [effect.name for effect in EFFECTS if effect.holdable])
async def test_an_effect_of_a_held_journey_is_not_done_and_its_run_is_noted(held: HeldScene, effect: str) -> None:
    for _ in range(2):
        assert await held.does(effect) == Held()
    (noted,) = await rows(held.parts.database, held_runs, run_id=held.run)
    assert (noted["step"], noted["player_id"]) == (f"{effect}:x#1", held.player)
    assert [row["outcome"] for row in await rows(held.parts.database, steps, run_id=held.run)] == ["held"]
    for table in (messages, grants):
        assert await rows(held.parts.database, table, run_id=held.run) == []


async def test_what_was_held_is_done_when_the_hold_is_over(held: HeldScene) -> None:
    assert await held.does("send") == Held()
    await held.holds(held=False)
    assert (await held.does("send")).sent == ["in_app"]


async def test_the_books_are_kept_and_open_tasks_looked_after_while_a_journey_is_held(held: HeldScene) -> None:
    await held.holds(held=False)
    await held.does("open_task")
    await held.holds()
    assert (await held.does("move_task")).state == "expired"
    for effect in ("mark", "end"):
        assert not isinstance(await held.does(effect), Held)


async def test_what_protects_is_sent_while_a_journey_is_held(held: HeldScene) -> None:
    assert (await held.does("send", template="limit-info", variables={})).sent == ["in_app"]


async def test_an_effect_of_a_run_that_knows_no_hold_is_tried_again_instead(held: HeldScene) -> None:
    with pytest.raises(Exception, match="tested is held; this is tried again until it is resumed"):
        await held.does("grant", knows_hold=False)
    assert await rows(held.parts.database, held_runs, run_id=held.run) == []


# ---- resumed ------------------------------------------------------------------------------------


async def test_held_runs_are_told_to_go_on_a_few_at_a_time(api: Api, crm: httpx.AsyncClient) -> None:
    players = await depositors(api, 5)
    entered = await enter(crm, players)
    await decides(crm, "hold")
    await note_held(api, entered)
    await execute(api.engine.database, "DELETE FROM deliveries WHERE brand = :brand", brand=api.brand)
    answer = await crm.post("/v1/journeys/api_call/resume", json=REASON | {"per_second": 2})
    assert answer.json()["waiting"] == 5
    job = await running_job(api)
    told = []
    while (seconds := await at_work(api, HeldRuns).batch(job)) is not None:
        assert seconds == pytest.approx(1, abs=0.5)
        told.append((await crm.get("/v1/journeys/api_call/controls")).json()["waiting"])
    assert told == [3, 1, 0]
    waiting = await rows(api.engine.database, deliveries, brand=api.brand)
    assert {(row["run_id"], row["kind"]) for row in waiting} == {(run, "resume") for run in entered}


async def test_a_hold_that_comes_back_ends_the_resuming(api: Api, crm: httpx.AsyncClient) -> None:
    entered = await enter(crm, await depositors(api, 3))
    await decides(crm, "hold")
    await note_held(api, entered)
    await decides(crm, "resume")
    job = await running_job(api)
    await decides(crm, "hold")
    assert await at_work(api, HeldRuns).batch(job) is None
    assert len(await rows(api.engine.database, held_runs, brand=api.brand)) == 3


async def note_held(api: Api, run_ids: list[str]) -> None:
    await execute(
        api.engine.database,
        "INSERT INTO held_runs (run_id, brand, journey, player_id, step, since) "
        "SELECT id, brand, journey, player_id, 'send:x#1', now() FROM runs WHERE id = ANY(:ids)",
        ids=run_ids,
    )


async def running_job(api: Api, kind: str = "resume") -> str:
    found = await rows(api.engine.database, jobs, brand=api.brand, kind=kind, state="running")
    assert len(found) == 1
    job: str = found[0]["id"]
    return job


# ---- stopped ------------------------------------------------------------------------------------


async def test_what_a_stop_says_before_is_what_it_does(api: Api, crm: httpx.AsyncClient) -> None:
    players = await depositors(api, 40)
    await enter(crm, players, "api_offer")
    said = (await crm.post("/v1/journeys/api_offer/stop/preview")).json()
    assert said["treated"] + said["control"] == 40
    made = await decides(crm, "stop", "api_offer")
    assert (made["total"], made["state"]) == (40, "running")
    late = await depositors(api, 1, "late")
    api.engine.intake.closed = ClosedJourneys()
    refused = await crm.post("/v1/runs", json={"journey": "api_offer", "player_id": late[0]})
    assert refused.status_code == 409, "a stop closes the journey"
    while await at_work(api, RunStops).batch(made["id"]) is not None:
        pass
    done = (await crm.get(f"/v1/stops/{made['id']}")).json()
    assert (done["state"], done["done"], done["stopped"], done["left"]) == ("done", 40, 40, 0)
    told = await rows(api.engine.database, deliveries, brand=api.brand, kind="stop")
    assert len(told) == 40
    assert said["control"] > 0
    assert await rows(api.engine.database, runs, brand=api.brand, state="ended") == []
    noted = [row["detail"] for row in await rows(api.engine.database, steps, brand=api.brand, step="stop")]
    assert noted == [{"by": "crm", "job": made["id"], "reason": REASON["reason"]}] * 40


async def test_a_stop_asked_for_again_with_its_key_is_the_same_stop(crm: httpx.AsyncClient) -> None:
    once: dict[str, Any] = {"headers": {"Idempotency-Key": "stop-1"}}
    assert (await decides(crm, "stop", **once))["id"] == (await decides(crm, "stop", **once))["id"]
    other = await crm.post("/v1/journeys/api_offer/stop", json=REASON, headers=once["headers"])
    assert other.json()["type"].endswith("key-reused")


@pytest.mark.parametrize(("first", "then"), [("hold", "stop"), ("stop", "hold")])
async def test_a_key_that_decided_one_thing_decides_no_other(crm: httpx.AsyncClient, first: str, then: str) -> None:
    once: dict[str, Any] = {"headers": {"Idempotency-Key": "one-key"}}
    await decides(crm, first, **once)
    refused = await crm.post(f"/v1/journeys/api_call/{then}", json=REASON, **once)
    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (422, "key-reused")


async def test_a_stop_is_paused_resumed_and_cancelled(api: Api, crm: httpx.AsyncClient) -> None:
    await enter(crm, await depositors(api, 3))
    made = (await crm.post("/v1/journeys/api_call/stop", json=REASON | {"per_second": 1})).json()
    await at_work(api, RunStops).batch(made["id"])
    assert (await crm.post(f"/v1/stops/{made['id']}/pause")).json()["state"] == "paused"
    assert await at_work(api, RunStops).batch(made["id"]) is None
    assert (await crm.post(f"/v1/stops/{made['id']}/resume")).json()["state"] == "running"
    await at_work(api, RunStops).batch(made["id"])
    assert (await crm.post(f"/v1/stops/{made['id']}/cancel")).json()["state"] == "cancelled"
    assert len(await rows(api.engine.database, deliveries, brand=api.brand, kind="stop")) == 2
    too_late = await crm.post(f"/v1/stops/{made['id']}/pause")
    assert (too_late.status_code, too_late.json()["detail"]) == (
        409,
        "The stop is cancelled; there is nothing to pause. Make a new one to begin again.",
    )


async def test_who_enters_after_the_stop_was_asked_for_is_left_alone(api: Api, crm: httpx.AsyncClient) -> None:
    first, second = await depositors(api, 2)
    (run,) = await enter(crm, [first])
    made = await decides(crm, "stop")
    await decides(crm, "open")
    api.engine.intake.closed = ClosedJourneys()
    await enter(crm, [second])
    while await at_work(api, RunStops).batch(made["id"]) is not None:
        pass
    assert [row["run_id"] for row in await rows(api.engine.database, deliveries, brand=api.brand, kind="stop")] == [run]


async def test_a_player_who_cannot_be_read_costs_a_stop_nobody_else(api: Api, crm: httpx.AsyncClient) -> None:
    first, broken, last = await depositors(api, 3)
    entered = await enter(crm, [first, broken, last])
    await unreadable(api, broken)
    made = await decides(crm, "stop")
    while await at_work(api, RunStops).batch(made["id"]) is not None:
        pass
    done = (await crm.get(f"/v1/stops/{made['id']}")).json()
    assert (done["state"], done["done"], done["stopped"], done["failed"]) == ("done", 3, 2, 1)
    told = await rows(api.engine.database, deliveries, brand=api.brand, kind="stop")
    assert {row["run_id"] for row in told} == {entered[0], entered[2]}


async def test_a_held_run_whose_player_cannot_be_read_waits_on_and_costs_nobody_else(
    api: Api, crm: httpx.AsyncClient
) -> None:
    players = await depositors(api, 3)
    entered = await enter(crm, players)
    await decides(crm, "hold")
    await note_held(api, entered)
    await unreadable(api, players[0])
    await decides(crm, "resume")
    job = await running_job(api)
    while await at_work(api, HeldRuns).batch(job) is not None:
        pass
    assert [row["run_id"] for row in await rows(api.engine.database, held_runs, brand=api.brand)] == [entered[0]]


async def test_a_run_that_was_being_let_in_when_its_journey_was_stopped_is_stopped_too(
    api: Api, crm: httpx.AsyncClient
) -> None:
    first, second = await depositors(api, 2)
    # Behind the cursor: it was begun before the other one, and is committed when the stop has come past.
    await enter(crm, [second])
    await execute(api.engine.database, "UPDATE runs SET state = 'ended' WHERE brand = :brand", brand=api.brand)
    await enter(crm, [first])
    made = await decides(crm, "stop")
    at_first = at_work(api, RunStops, timedelta(hours=1))
    while await at_first.batch(made["id"]) != WAITS_S:
        pass
    shown = (await crm.get(f"/v1/stops/{made['id']}")).json()
    assert (shown["state"], shown["stopped"]) == ("running", 1)
    assert shown["waiting"] == "what was being taken in when it was asked for"
    restore = "UPDATE runs SET state = 'active' WHERE brand = :brand AND player_id = :player"
    await execute(api.engine.database, restore, brand=api.brand, player=second)
    while await at_work(api, RunStops).batch(made["id"]) is not None:
        pass
    done = (await crm.get(f"/v1/stops/{made['id']}")).json()
    assert (done["state"], done["stopped"], done["left"], done["total"]) == ("done", 2, 0, 2)


async def unreadable(api: Api, player: str) -> None:
    spoiled = "UPDATE players SET state = jsonb_set(state, '{runs}', '5') WHERE brand = :brand AND id = :player"
    await execute(api.engine.database, spoiled, brand=api.brand, player=player)
