"""What people note about players, and who looks after them, over HTTP."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from activities.people import add_person
from tests.support.api_client import Api, serving
from workflows.events import PlayerRegistered, TierChanged


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url) as api:
        yield api


async def known(api: Api, *player_ids: str) -> None:
    now = datetime.now(UTC)
    events = [
        (one, PlayerRegistered.example().model_copy(update={"event_id": f"r-{one}", "occurred_at": now}))
        for one in player_ids
    ]
    await api.engine.intake.ingest(api.brand, events, now)


async def colleague(api: Api, name: str) -> str:
    """The address of somebody who works here."""
    async with api.engine.database.transaction() as connection:
        person = await add_person(connection, api.brand, f"{name}@{api.brand}.example", name, datetime.now(UTC))
    return person.email


async def test_notes_come_newest_first_and_page_by_page(api: Api) -> None:
    await known(api, "p-1")
    client = await api.client("tasks:work", "players:read")
    for number in range(3):
        answer = await client.post("/v1/players/p-1/notes", json={"text": f"note {number}", "kind": "life_fact"})
        assert answer.status_code == 201
    first = (await client.get("/v1/players/p-1/notes", params={"page_size": 2})).json()
    assert [note["text"] for note in first["items"]] == ["note 2", "note 1"]
    token = {"page_size": 2, "page_token": first["next_page_token"]}
    rest = (await client.get("/v1/players/p-1/notes", params=token)).json()
    assert [(note["text"], note["author"], note["kind"]) for note in rest["items"]] == [
        ("note 0", "tester", "life_fact")
    ]


async def test_a_player_has_one_host_and_the_ones_before_stay_on_record(api: Api) -> None:
    await known(api, "p-1")
    olena, ivan = await colleague(api, "olena"), await colleague(api, "ivan")
    client = await api.client("tasks:work", "players:read")
    for person in (olena, olena, ivan):
        assert (await client.put("/v1/players/p-1/host", json={"person": person})).status_code == 200
    hosts = (await client.get("/v1/players/p-1/hosts")).json()["items"]
    assert [(host["email"], "until" in host and host["until"] is not None) for host in hosts] == [
        (ivan, False),
        (olena, True),
    ]
    await client.put("/v1/players/p-1/host", json={"person": None})
    hosts = (await client.get("/v1/players/p-1/hosts")).json()["items"]
    assert all(host["until"] for host in hosts)


async def test_somebody_who_does_not_work_in_the_brand_looks_after_nobody(api: Api) -> None:
    await known(api, "p-1")
    client = await api.client("tasks:work", "players:read")
    answer = await client.put("/v1/players/p-1/host", json={"person": "nobody@example.com"})
    assert (answer.status_code, answer.json()["detail"][:35]) == (404, "There is no such person in this bra")
    assert (await client.put("/v1/players/p-9/host", json={"person": None})).status_code == 404


async def test_the_players_of_a_host_are_listed_by_tier_with_their_names_where_asked(api: Api) -> None:
    await known(api, "p-1", "p-2", "p-3")
    olena, now = await colleague(api, "olena"), datetime.now(UTC)
    risen = TierChanged.example().model_copy(update={"event_id": "t-1", "occurred_at": now, "to": "Platinum"})
    await api.engine.intake.ingest(api.brand, [("p-1", risen)], now)
    client = await api.client("tasks:work", "players:read")
    for player in ("p-1", "p-2"):
        await client.put(f"/v1/players/{player}/host", json={"person": olena})

    async def listed(**query: str) -> list[tuple[str, str | None]]:
        answer = await client.get("/v1/players", params=query)
        return [(one["id"], one["name"]) for one in answer.json()["items"]]

    assert await listed(host=olena) == [("p-1", None), ("p-2", None)]
    assert await listed(host=olena, tier="platinum", show_names="true") == [("p-1", "Anna")]
    assert await listed(host="nobody@example.com") == []
    assert (await client.get("/v1/players", params={"tier": "platinum"})).status_code == 422
