"""The audit trail on Postgres: each change leaves its entry with it, each look too, and nobody changes them unseen."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from activities.actors import Actor
from activities.api_keys import create_key, revoke_key
from activities.audit.chain import ChainFault
from activities.audit.lines import lines_of
from activities.audit.trail import Act, acting
from activities.audit.verification import heads_of, verify_all
from activities.database import Database
from activities.tables import audit_entries
from api.audit_trail import IMPERSONAL, NOT_PEOPLE, PREVIEWS
from tests.postgres.test_api_access import OPERATIONS, Operation
from tests.support.api_client import Api, serving
from tests.support.api_seed import JOURNEY, PLAYER, seeded

#: Operations by which somebody changes something.
CHANGING = [
    operation
    for operation in OPERATIONS
    if operation.method != "GET" and operation.id not in PREVIEWS and not set(operation.scopes) <= NOT_PEOPLE
]
READING = [
    operation
    for operation in OPERATIONS
    if operation.method == "GET" and operation.id not in IMPERSONAL and not set(operation.scopes) <= NOT_PEOPLE
]


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, journeys="tests.support.api_journeys") as application:
        yield application


async def entries(api: Api, **which: str) -> list[Any]:
    """The entries of the test's brand, the oldest first."""
    chosen = select(audit_entries).where(audit_entries.c.brand == api.brand).order_by(audit_entries.c.at)
    for name, value in which.items():
        chosen = chosen.where(audit_entries.c[name] == value)
    async with api.engine.database.reading() as connection:
        return list((await connection.execute(chosen)).all())


async def found_wrong(database: Database) -> list[ChainFault]:
    async with database.reading() as connection:
        return (await verify_all(connection))[1]


@pytest.mark.parametrize("operation", CHANGING, ids=lambda operation: operation.id)
async def test_whatever_changes_something_leaves_one_entry(api: Api, operation: Operation) -> None:
    ids = await seeded(api)
    admin = await api.client("admin", name="boss", skills=["aml"])
    before = len(await entries(api))
    answer = await operation.call(admin, ids)
    written = [(one.kind, one.action, one.actor) for one in (await entries(api))[before:]]
    assert written == ([("change", operation.id, "boss")] if answer.is_success else []), answer.text


@pytest.mark.parametrize("operation", READING, ids=lambda operation: operation.id)
async def test_who_looks_is_written_once_in_a_while(api: Api, operation: Operation) -> None:
    ids = await seeded(api)
    admin = await api.client("admin", name="boss")
    answers = [await operation.call(admin, ids) for _ in range(3)]
    looked = [(one.kind, one.action, one.actor) for one in await entries(api)]
    assert looked == ([("read", operation.id, "boss")] if answers[0].is_success else [])


def test_what_shows_nothing_of_a_player_is_there() -> None:
    reading = {operation.id for operation in OPERATIONS if operation.method == "GET"}
    named = {name for name in IMPERSONAL if not name.startswith("console.")}
    assert reading >= named, "Take out what is no more."


async def test_a_site_that_shows_players_their_inbox_does_not_look_at_them(api: Api) -> None:
    await seeded(api)
    site = await api.client("inbox:read", name="site")
    assert (await site.get(f"/v1/players/{PLAYER}/inbox")).status_code == 200
    assert await entries(api) == []


async def test_an_entry_says_who_what_and_by_which_key(api: Api) -> None:
    ids = await seeded(api)
    desk = await api.client("tasks:work", name="desk")
    headers = {"X-Actor": "olena@example.com", "X-Request-ID": "r-1"}
    claimed = await desk.post(f"/v1/tasks/{ids['task_id']}/claim", headers=headers)
    assert claimed.status_code == 200
    (entry,) = await entries(api)
    assert (entry.action, entry.object, entry.player_id) == ("claim_task", ids["task_id"], PLAYER)
    assert (entry.actor, entry.actor_kind, entry.request_id) == ("olena@example.com", "key", "r-1")
    assert entry.key_id == entry.actor_id


async def test_what_is_refused_or_rolled_back_leaves_none(api: Api) -> None:
    ids = await seeded(api)
    anna, boris = await api.client("tasks:work", name="anna"), await api.client("tasks:work", name="boris")
    await anna.post(f"/v1/tasks/{ids['task_id']}/claim")
    assert (await boris.post(f"/v1/tasks/{ids['task_id']}/claim")).status_code == 409
    assert [one.actor for one in await entries(api)] == ["anna"]


async def test_an_act_goes_with_its_transaction_and_is_written_once(api: Api) -> None:
    database, actor = api.engine.database, Actor(api.brand, "somebody", id="s")
    with acting(Act(actor, "tried")), pytest.raises(RuntimeError):
        async with database.transaction():
            raise RuntimeError
    with acting(Act(actor, "done", player_id="p")):
        for _ in range(3):
            async with database.transaction():
                pass
    assert [one.action for one in await entries(api)] == ["done"]


async def test_work_that_others_began_is_not_taken_for_ones_own(api: Api) -> None:
    async def of_somebody_else() -> None:
        async with api.engine.database.transaction():
            pass

    with acting(Act(Actor(api.brand, "somebody", id="s"), "nothing")):
        await asyncio.create_task(of_somebody_else())
    assert await entries(api) == []


async def test_many_at_once_make_sound_chains(api: Api) -> None:
    boss = await api.client("admin", name="boss")
    verbs = ["hold", "resume"] * 8
    answers = await asyncio.gather(
        *(boss.post(f"/v1/journeys/{JOURNEY}/{verb}", json={"reason": "A test."}) for verb in verbs)
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len(await entries(api)) == 16
    assert len({one.lane for one in await entries(api)}) > 1
    assert await found_wrong(api.engine.database) == []


class TestVerification:
    """Whoever has the rights of the owner, and turns the trigger off, is found."""

    @pytest.fixture
    async def database(self, postgres_url: str) -> AsyncIterator[Database]:
        async with serving(postgres_url) as api:
            actor = Actor("acme", "somebody", id="s")
            for number in range(60):
                with acting(Act(actor, "did", object=f"o-{number}", detail={"fields": ["a"]})):
                    async with api.engine.database.transaction():
                        pass
            yield api.engine.database

    async def test_an_update_or_a_delete_is_refused_by_the_table(self, database: Database) -> None:
        for statement in ("UPDATE audit_entries SET actor = 'x'", "DELETE FROM audit_entries"):
            with pytest.raises(DBAPIError):
                async with database.transaction() as connection:
                    await connection.execute(text(statement))
        assert await found_wrong(database) == []

    @pytest.mark.owner
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE audit_entries SET {column} = {column} || 'x' WHERE (brand, lane, n) = :one",
            "UPDATE audit_entries SET at = at + interval '1 microsecond' WHERE (brand, lane, n) = :one",
            "UPDATE audit_entries SET detail = detail || '{{\"x\": 1}}' WHERE (brand, lane, n) = :one",
            "UPDATE audit_entries SET player_id = 'p' WHERE (brand, lane, n) = :one",
            "DELETE FROM audit_entries WHERE (brand, lane, n) = :one",
            "DELETE FROM audit_entries WHERE brand = 'acme' AND lane = {lane} AND n >= {n}",
            "DELETE FROM audit_entries WHERE lane = {lane}",
            "TRUNCATE audit_entries",
            "UPDATE audit_heads SET n = n - 1 WHERE lane = {lane}",
            "DELETE FROM audit_heads WHERE lane = {lane}",
        ],
    )
    async def test_what_is_changed_is_found(self, database: Database, statement: str) -> None:
        dice = random.Random(statement)
        async with database.transaction() as connection:
            rows = (await connection.execute(text("SELECT brand, lane, n FROM audit_entries"))).all()
            one = dice.choice(rows)
            await connection.execute(text("SET LOCAL session_replication_role = replica"))
            column = dice.choice(["action", "object", "actor", "actor_kind", "actor_id", "kind"])
            written = statement.format(column=column, lane=one.lane, n=one.n)
            written = written.replace(":one", f"('{one.brand}', {one.lane}, {one.n})")
            await connection.execute(text(written.replace(":", r"\:")))
        assert await found_wrong(database) != []

    async def test_a_chain_with_its_head_rewritten_is_found_by_an_anchor(self, database: Database) -> None:
        async with database.reading() as connection:
            anchor = await heads_of(connection)
        async with database.transaction() as connection:
            await connection.execute(text("TRUNCATE audit_entries, audit_heads"))
        assert await found_wrong(database) == []
        async with database.reading() as connection:
            _, found = await verify_all(connection, anchor)
        assert {one.fault for one in found} == {"not as anchored"}


async def test_who_makes_and_takes_back_a_key_is_written(api: Api) -> None:
    database, now = api.engine.database, datetime.now(UTC)
    key_id, _ = await create_key(database, api.brand, "cashier", ["events:write"], now, by="olena")
    assert await revoke_key(database, key_id, now, "ivan")
    told = [(one.actor, one.actor_kind, one.action, one.object) for one in await entries(api)]
    assert told == [
        ("cli:olena", "command", "create_key", key_id),
        ("cli:ivan", "command", "revoke_key", key_id),
    ]


class TestTelling:
    """What the trail tells."""

    async def test_an_auditor_reads_it_and_that_is_in_it(self, api: Api) -> None:
        ids = await seeded(api)
        desk, auditor = await api.client("tasks:work", name="desk"), await api.client("audit:read", name="auditor")
        await desk.post(f"/v1/tasks/{ids['task_id']}/claim")
        first = (await auditor.get("/v1/audit", params={"player": PLAYER})).json()["items"]
        assert [(one["action"], one["actor"]) for one in first] == [("claim_task", "desk")]
        pages, token = list[Any](), None
        while token is not None or not pages:
            answer = await auditor.get("/v1/audit", params={"page_size": 1} | ({"page_token": token} if token else {}))
            pages.append(answer.json()["items"])
            token = answer.json().get("next_page_token")
        assert [one["action"] for (one,) in pages] == ["list_audit", "claim_task"]

    async def test_why_a_message_was_not_sent(self, api: Api) -> None:
        ids = await seeded(api)
        auditor = await api.client("audit:read", name="auditor")
        refused = f"{ids['run_id']}/send:welcome#1/email"
        why = (await auditor.get(f"/v1/audit/messages/{httpx.URL(refused)}".replace("#", "%23"))).json()
        assert (why["message"]["status"], why["run"]["journey"]) == ("suppressed", JOURNEY)
        assert [one["rule"] for one in why["decisions"]] == ["consent"]
        assert "body" not in why["message"], "the text is personal"
        assert (await auditor.get("/v1/audit/messages/none")).status_code == 404

    async def test_the_lines_of_a_player_come_from_all_records(self, api: Api) -> None:
        ids = await seeded(api)
        desk = await api.client("tasks:work", "players:read", name="desk")
        await desk.get(f"/v1/players/{PLAYER}")
        await desk.post(f"/v1/tasks/{ids['task_id']}/claim")
        await desk.post(f"/v1/players/{PLAYER}/exclusion", json={"kind": "time_out"})
        async with api.engine.database.reading() as connection:
            told = [line async for line in lines_of(connection, api.brand, player_id=PLAYER)]
            none = [line async for line in lines_of(connection, api.brand, player_id=PLAYER, until=told[0].at)]
        found = {(line.record, line.action) for line in told}
        assert found >= {
            ("audit:read", "get_player"),
            ("audit:change", "claim_task"),
            ("audit:change", "exclude_player"),
            ("task", "claimed"),
            ("gate", "refused email"),
            ("event", "compliance.exclusion_set"),
        }
        assert [line.at for line in told] == sorted(line.at for line in told)
        assert none == []
