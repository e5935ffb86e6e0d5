"""The check that a player's deposits make due is opened in the transaction that acknowledges them, once."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from activities import harm_reviews
from activities.actors import Actor
from activities.database import Database
from activities.intake.deposit_checks import SOURCE
from activities.tables import events, players, tasks
from activities.task_rows import TaskRequest, TaskRow
from tests.support.engine import BRAND, Casino, Row, connected, rows
from workflows import DepositApproved, days, hours
from workflows.player_state.state import PlayerState


@pytest.fixture(scope="module")
async def database(module_postgres_url: str) -> AsyncIterator[Database]:
    async with connected(module_postgres_url) as pool:
        yield pool


@pytest.fixture
def casino(database: Database) -> Casino:
    return Casino.of(database, {})


async def pays(casino: Casino, player: str, *amounts: int, **more: Any) -> None:
    for amount in amounts:
        casino.events += 1
        payment = {"payment_id": f"{player}-{casino.events}", "amount_minor": amount, "currency": "GBP"}
        event = casino.event(DepositApproved, **payment).model_copy(update={"event_id": payment["payment_id"]})
        await casino.intake.ingest(BRAND, [(player, event)], casino.clock.now, **more)


async def opened(casino: Casino, player: str) -> list[Row]:
    return await rows(casino.intake.database, events, brand=BRAND, player_id=player, source=SOURCE)


async def registered(casino: Casino, name: str, country: str) -> str:
    player = casino.player(name)
    casino.events = int(casino.mark, 16)
    await casino.registers(player, country=country)
    return player


async def test_the_deposit_that_passes_150_pounds_opens_one_check(casino: Casino) -> None:
    player = await registered(casino, "p", "GB")
    await pays(casino, player, 15_000)
    assert await opened(casino, player) == []
    await pays(casino, player, 1, 9_000, 9_000)
    (check,) = await opened(casino, player)
    assert (check["type"], check["data"]["stage"], check["data"]["result"]) == (
        "compliance.affordability_changed",
        "light",
        "pending",
    )
    (row,) = await rows(casino.intake.database, players, brand=BRAND, id=player)
    assert PlayerState.from_json(BRAND, player, row["state"]).checks["affordability/light"][0] == "pending"


async def test_people_are_asked_with_the_check_and_asked_once(casino: Casino) -> None:
    player = await registered(casino, "asked", "GB")
    await pays(casino, player, 15_001, 9_000)
    (task,) = await rows(casino.intake.database, tasks, brand=BRAND, player_id=player)
    assert (task["form"], task["team"], task["state"]) == ("AffordabilityReview", "compliance", "open")
    assert (task["run_id"], task["due_at"]) == (None, casino.clock.now + days(2))


@pytest.mark.parametrize("result", ["pass", "fail"])
async def test_what_they_answer_is_the_next_word_on_the_check(casino: Casino, result: str) -> None:
    player = await registered(casino, result, "GB")
    await pays(casino, player, 15_001)
    (task,) = await rows(casino.intake.database, tasks, brand=BRAND, player_id=player)
    casino.clock.later(hours(1))
    anna = Actor(BRAND, "anna", skills=frozenset({"harm_review"}))
    request = TaskRequest(BRAND, task["id"], anna, casino.clock.now)
    answer = {"result": result, "reason": "Payslips."}
    patient: Any = SimpleNamespace(patient_transaction=casino.intake.database.transaction)
    outcome = await harm_reviews.complete(patient, casino.intake, request, player, answer)
    assert isinstance(outcome, TaskRow)
    assert outcome.state == "completed"
    (row,) = await rows(casino.intake.database, players, brand=BRAND, id=player)
    assert PlayerState.from_json(BRAND, player, row["state"]).checks["affordability/light"][0] == result


async def test_deposits_at_once_open_one_check(casino: Casino) -> None:
    player = await registered(casino, "many", "GB")
    await asyncio.gather(*(pays(casino, player, 9_000) for _ in range(6)))
    assert len(await opened(casino, player)) == 1


async def test_a_year_later_there_is_another(casino: Casino) -> None:
    player = await registered(casino, "year", "GB")
    await pays(casino, player, 20_000)
    casino.clock.now += days(365)
    await pays(casino, player, 20_000)
    assert len(await opened(casino, player)) == 2


async def test_none_is_opened_elsewhere_or_by_history(casino: Casino) -> None:
    for country, more in (("MT", {}), ("GB", {"mode": "history"})):
        player = await registered(casino, country.lower(), country)
        await pays(casino, player, 90_000, **more)
        assert await opened(casino, player) == []
