"""Players to enrol, and the means to do it batch by batch, for the tests of enrolments."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlalchemy import text

from activities.loops.enrolment import Enrolments
from tests.support.api_client import Api
from tests.support.machine import eventually
from workflows.events import DepositApproved, Event

OFFER = {"journey": "api_offer", "segment": "api_depositor", "per_second": 100}


def ids(count: int, name: str = "p") -> list[str]:
    return [f"{name}-{n:05}" for n in range(count)]


async def happens(
    api: Api, event: type[Event], player_ids: list[str], now: datetime | None = None, **data: Any
) -> None:
    """One such event of every player's, as history, which starts nothing."""
    at = now or datetime.now(UTC)
    own = {event.unique_field: at.isoformat()} if event.unique_field else {}
    given = {**event.example_data, **own, "event_source": "/t", "occurred_at": at, **data}
    for begin in range(0, len(player_ids), 500):
        batch = player_ids[begin : begin + 500]
        facts = [(player, event(**given | {"event_id": f"{event.type}-{player}-{at}"})) for player in batch]
        await api.engine.intake.ingest(api.brand, facts, at, mode="history")


async def depositors(api: Api, count: int, name: str = "p") -> list[str]:
    players = ids(count, name)
    await happens(api, DepositApproved, players)
    return players


def enrolments(api: Api, **options: Any) -> Enrolments:
    built = api.engine
    return Enrolments(built.database, options.pop("intake", built.intake), built.pressure, built.clock, **options)


async def enrolled(crm: httpx.AsyncClient, **given: Any) -> dict[str, Any]:
    answer = await crm.post("/v1/enrolments", json=OFFER | given)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/enrolments/{made['id']}"
    return made


async def status(crm: httpx.AsyncClient, made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await crm.get(f"/v1/enrolments/{made['id']}")).json()
    return found


async def worked_off(api: Api, crm: httpx.AsyncClient, made: dict[str, Any]) -> dict[str, Any]:
    """The enrolment after every batch of it was worked off here."""
    at_work = enrolments(api)
    while await at_work.batch(made["id"]) is not None:
        pass
    return await status(crm, made)


async def entries(api: Api, journey: str = "api_offer") -> Counter[str]:
    """How often each player entered."""
    query = text("SELECT player_id, count(*) AS n FROM runs WHERE brand = :brand AND journey = :journey GROUP BY 1")
    async with api.engine.database.reading() as connection:
        rows = await connection.execute(query, {"brand": api.brand, "journey": journey})
        return Counter({row.player_id: row.n for row in rows})


async def execute(api: Api, statement: str, **values: Any) -> None:
    async with api.engine.database.transaction() as connection:
        await connection.execute(text(statement), {"brand": api.brand, **values})


async def until(crm: httpx.AsyncClient, made: dict[str, Any], true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async def reached() -> dict[str, Any] | None:
        return found if true(found := await status(crm, made)) else None

    return await eventually(reached, within=100)
