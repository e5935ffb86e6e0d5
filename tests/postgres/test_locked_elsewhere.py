"""A session that hangs with a player's row locked costs that player's events time, and nobody else's anything."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import httpx
import psycopg
import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.engine import ExceptionContext

from activities.intake.locked_elsewhere import LOCK_TIMEOUT, LockedElsewhere
from activities.tables import events, players
from api.database import FOR_PROTECTION
from tests.support.api_client import Api, serving
from tests.support.engine import BRAND, Casino, connected, rows
from tests.support.machine import eventually
from workflows.events import SessionLogin

POOL_SIZE = 2
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


@pytest.fixture
async def api(postgres_url: str) -> AsyncIterator[Api]:
    async with serving(postgres_url, pool_size=POOL_SIZE) as served:
        yield served


@pytest.fixture
async def backend(api: Api) -> httpx.AsyncClient:
    return await api.client("events:write")


def wire(kind: str, subject: str, /, **data: object) -> dict[str, object]:
    about = {"specversion": "1.0", "id": secrets.token_hex(8), "source": "/held", "subject": subject}
    return {**about, "type": f"igaming.{kind}.v1", "data": data}


async def login(backend: httpx.AsyncClient, player: str) -> httpx.Response:
    return await backend.post("/v1/events", json=wire("session.login", player))


async def excluded(backend: httpx.AsyncClient, player: str) -> httpx.Response:
    return await backend.post(f"/v1/players/{player}/exclusion", json={"kind": "self_exclusion"})


def held(api: Api) -> LockedElsewhere:
    looked = api.engine.intake.held
    assert looked is not None
    return looked


@asynccontextmanager
async def row_held(url: str, player_id: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """Somebody's own session has the row of this player locked."""
    plain = url.replace("postgresql+psycopg", "postgresql")
    async with await psycopg.AsyncConnection.connect(plain) as session:
        await session.execute("SELECT FROM players WHERE id = %s FOR UPDATE", [player_id])
        yield session
        await session.rollback()


@contextmanager
def waits_for_locks() -> Iterator[list[str]]:
    """Statements that Postgres ended because they waited too long for a lock; each had a connection all the while."""
    ended: list[str] = []

    def note(context: ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", None) == LOCK_TIMEOUT:
            ended.append(context.statement or "")

    event.listen(Engine, "handle_error", note)
    try:
        yield ended
    finally:
        event.remove(Engine, "handle_error", note)


async def taken(request: Callable[[], Awaitable[httpx.Response]]) -> str:
    """What a sender was told who repeats until it is taken, as all do: a slow machine has them wait for their turn."""
    told = ""
    while (answer := await request()).status_code != 202:
        assert answer.status_code in {429, 503}
        told += answer.text
    return told


async def test_a_held_row_takes_no_connection_from_anybody_else(
    api: Api, backend: httpx.AsyncClient, postgres_url: str
) -> None:
    await login(backend, "held")
    async with row_held(postgres_url, "held"):
        with waits_for_locks() as waits:
            hanging = [asyncio.create_task(login(backend, "held")) for _ in range(12)]
            hanging += [asyncio.create_task(excluded(backend, "held")) for _ in range(6)]
            others = await asyncio.gather(
                *(taken(partial(login, backend, f"other-{n}")) for n in range(10)),
                *(taken(partial(excluded, backend, f"other-{n}")) for n in range(5)),
            )
            told = await asyncio.gather(*hanging)
        with waits_for_locks() as later:
            again = await asyncio.gather(*(login(backend, "held") for _ in range(6)))
            await taken(partial(login, backend, "one-more"))
    # Each connection finds out once at most, whoever asks for the row and however often.
    assert 1 <= len(waits) <= POOL_SIZE + FOR_PROTECTION
    # A second wave meets nothing but the memory of the first.
    assert later == []
    assert not any("does not let go" in refusals for refusals in others)
    assert {answer.status_code for answer in [*told, *again]} <= {429, 503}
    assert any("does not let go" in answer.text for answer in told)
    await eventually(lambda: not held(api).among(api.brand, ["held"]))
    await taken(partial(excluded, backend, "held"))


async def test_of_a_batch_the_others_are_kept_at_once_and_the_held_player_when_the_row_is_free(
    api: Api, backend: httpx.AsyncClient, postgres_url: str
) -> None:
    await login(backend, "held")
    batch = [wire("session.login", player) for player in ("a", "held", "b", "held")]
    async with row_held(postgres_url, "held"):
        answer = asyncio.create_task(backend.post("/v1/events", json=batch, headers=BATCH))

        async def kept() -> bool:
            return len(await rows(api.engine.database, events, brand=api.brand)) == 3

        await eventually(kept)
        assert not answer.done()
    assert [result["status"] for result in (await answer).json()["results"]] == ["accepted"] * 4


async def test_who_must_send_again_loses_and_doubles_nothing(backend: httpx.AsyncClient, postgres_url: str) -> None:
    await login(backend, "held")
    batch = [wire("session.login", "a"), wire("session.login", "held")]
    async with row_held(postgres_url, "held"):
        assert (await backend.post("/v1/events", json=batch, headers=BATCH)).status_code == 503
    statuses = [
        one["status"] for one in (await backend.post("/v1/events", json=batch, headers=BATCH)).json()["results"]
    ]
    assert statuses == ["duplicate", "accepted"]


async def test_a_person_whose_other_account_is_held_waits_and_nobody_else_does(
    api: Api, backend: httpx.AsyncClient, postgres_url: str
) -> None:
    merged = wire("player.merged", "second", survivor_id="second", absorbed_id="first")
    assert (await backend.post("/v1/events", json=merged)).status_code == 202
    async with row_held(postgres_url, "first"):
        both = [wire("compliance.exclusion_set", player, kind="self_exclusion") for player in ("second", "third")]
        answer = asyncio.create_task(backend.post("/v1/events", json=both, headers=BATCH))
        await eventually(lambda: held(api).among(api.brand, ["second"]))
        waiting = [
            asyncio.create_task(backend.post("/v1/players/second/exclusion", json={"kind": "time_out"}))
            for _ in "x" * 4
        ]
        other = await backend.post("/v1/players/fourth/exclusion", json={"kind": "self_exclusion"})
        assert other.status_code == 202
        assert {told.status_code for told in await asyncio.gather(*waiting)} == {503}
        assert (await answer).status_code == 503
    again = await backend.post("/v1/events", json=both, headers=BATCH)
    assert [result["status"] for result in again.json()["results"]] == ["accepted", "duplicate"]
    states = {row["id"]: row["state"] for row in await rows(api.engine.database, players, brand=api.brand)}
    assert all(states[player]["exclusions"] for player in ("first", "second", "third", "fourth"))


async def test_of_two_who_wait_for_each_other_one_tries_again(postgres_url: str) -> None:
    async with connected(postgres_url) as database:
        casino = Casino.of(database, {})
        first, second = sorted([casino.player("a"), casino.player("b")])
        for player in (first, second):
            await casino.happens(player, SessionLogin)
        batch = [(player, casino.event(SessionLogin)) for player in (first, second)]
        async with row_held(postgres_url, second) as session:
            ingesting = asyncio.create_task(casino.intake.ingest(BRAND, batch, casino.clock.now))

            async def waits() -> bool:
                query = text(
                    "SELECT count(*) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
                async with database.reading() as connection:
                    return bool((await connection.execute(query)).scalar_one())

            await eventually(waits)
            # From here on each waits for the other, until Postgres undoes the one that waited first.
            await session.execute("SELECT FROM players WHERE id = %s FOR UPDATE", [first])
        assert await ingesting == ["accepted", "accepted"]
