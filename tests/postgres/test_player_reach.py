"""Would a message go, and why not: the dry run says what the gate would."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from activities.tables import gate_decisions, messages
from tests.support.api_client import Api, serving
from workflows.events import ConsentChanged, ExclusionSet, PlayerRegistered


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url) as api:
        yield api


async def reach(api: Api, *events: object) -> dict[tuple[str, str], tuple[str, str | None]]:
    now = datetime.now(UTC)
    registered = PlayerRegistered.example().model_copy(
        update={"event_id": "r", "occurred_at": now - timedelta(hours=2)}
    )
    await api.engine.intake.ingest(api.brand, [("p-1", registered), *(("p-1", one) for one in events)], now)  # type: ignore[list-item]  # events
    client = await api.client("players:read")
    answer = await client.get("/v1/players/p-1/reach")
    assert answer.status_code == 200, answer.text
    return {(one["channel"], one["message_class"]): (one["outcome"], one["rule"]) for one in answer.json()["items"]}


async def test_without_consent_nothing_that_sells_goes_and_what_serves_does(api: Api) -> None:
    no = ConsentChanged.example().model_copy(
        update={
            "event_id": "c",
            "occurred_at": datetime.now(UTC),
            "channel": "email",
            "opted_in": False,
            "product": None,
        }
    )
    told = await reach(api, no)
    assert told["email", "marketing"] == ("refused", "consent")
    assert told["email", "service"][0] == "allowed"


async def test_to_somebody_excluded_nothing_but_protection_goes(api: Api) -> None:
    excluded = ExclusionSet.example().model_copy(
        update={"event_id": "x", "occurred_at": datetime.now(UTC), "kind": "self_exclusion", "until": None}
    )
    told = await reach(api, excluded)
    assert {outcome for (_, message_class), (outcome, _) in told.items() if message_class == "marketing"} == {"refused"}
    assert told["email", "rg"][0] == "allowed"


async def test_asking_changes_nothing(api: Api) -> None:
    await reach(api)
    async with api.engine.database.reading() as connection:
        for table in (gate_decisions, messages):
            counted = select(func.count()).select_from(table).where(table.c.brand == api.brand)
            assert (await connection.execute(counted)).scalar_one() == 0


async def test_of_a_player_nobody_knows_nothing_is_said(api: Api) -> None:
    client = await api.client("players:read")
    assert (await client.get("/v1/players/p-9/reach")).status_code == 404
