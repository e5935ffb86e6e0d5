"""The application owns nothing: it does all its work so, and what must stay it cannot change, whoever runs it."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError, ProgrammingError

from activities import tables
from activities.api_keys import create_key
from activities.application_role import RIGHTS, WrongRole, owns_tables
from activities.bulk_jobs import Job
from activities.database import Database, migrate
from activities.engine import WorkerEngine, worker_engine
from activities.loops.enrolment import KIND, enrol
from activities.loops.journey_jobs import RESUME, STOP, begin_resume, begin_stop
from activities.month_partitions import make_ahead, partitions
from activities.retention import Forgotten, retain
from activities.run_delivery.dead_letters import bury
from activities.run_delivery.deliveries import claim, postpone, remove
from activities.run_problems import TROUBLES, troubles
from activities.runs import clear_problems_but, note_problem
from activities.settings import Settings
from local.postgres import Postgres
from tests.support.api_client import BACKEND, Api, serving
from tests.support.api_seed import JOURNEY, PLAYER, SEGMENT, seeded
from tests.support.engine import SECRET, Row, connected, done, execute, rows
from tests.support.machine import eventually
from tests.support.owned_database import OwnedDatabase, as_superuser, owned_database
from tests.support.servers import LocalBonusEngine
from tests.support.table_owners import OWNERS, SQL
from workflows import points
from workflows.effects import End, Give, Mark, MoveTask, Refresh, Send
from workflows.events import DepositApproved, ExclusionSet, PlayerMerged, SessionLogin

ROOT = Path(__file__).parent.parent.parent
JOURNEYS = "tests.support.api_journeys"
#: Written by `journeys keys` and `journeys retain` alone.
OF_THE_OWNER = {"kept_events", "api_keys"}
#: Asked for by the application, and done by its owner.
BY_THE_OWNER = {("erasures", "UPDATE")}
ERASING = re.compile(r"^ERASE\w*(?:: Final)? = text\(\n.*?^\)", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
async def owned(postgres: Postgres) -> AsyncIterator[OwnedDatabase]:
    async with owned_database(postgres) as made:
        yield made


@pytest.fixture
async def owner(owned: OwnedDatabase) -> AsyncIterator[Database]:
    async with connected(owned.owner) as database:
        yield database


@pytest.fixture
async def application(owned: OwnedDatabase) -> AsyncIterator[Database]:
    async with connected(owned.application) as database:
        yield database


@pytest.fixture
async def api(owned: OwnedDatabase) -> AsyncIterator[Api]:
    async with serving(owned.application, journeys=(JOURNEYS,)) as served:
        yield served


@pytest.fixture
async def worker(owned: OwnedDatabase, bonus_engine: LocalBonusEngine) -> AsyncIterator[WorkerEngine]:
    settings = Settings(
        database_url=owned.application,
        journeys=(JOURNEYS,),
        bonus_engine_url=bonus_engine.url,
        webhook_secret=SECRET,
        link_secrets=(SECRET,),
    )
    async with worker_engine(settings) as built:
        yield built


def test_a_column_that_is_fixed_is_one_of_its_table() -> None:
    for name, table in tables.metadata.tables.items():
        assert set(RIGHTS[name].fixed) <= set(table.columns.keys()), f"{name} has no such column."


def statements() -> Iterator[tuple[str, str, str]]:
    """Where each table is written, with what: INSERT, UPDATE or DELETE."""
    for table, owner in OWNERS.items():
        # What erases is the owner's, too.
        source = ERASING.sub("", (ROOT / owner).read_text())
        verbs = {found[0].split()[0].upper() for found in SQL.finditer(source) if found[1] == table}
        verbs |= {verb.upper() for verb in re.findall(rf"\b(insert|update|delete)\({table}\)", source)}
        # What forgets is the owner's.
        forgets = re.findall(rf"FORGET\w*(?:: Final)? = text\(\s*f?\"+\s*DELETE FROM {table}\b", source)
        others = re.findall(rf"DELETE FROM {table}\b|\bdelete\({table}\)", source)
        yield from ((table, owner, verb) for verb in sorted(verbs) if verb != "DELETE" or len(others) > len(forgets))


@pytest.mark.parametrize(("table", "owner", "verb"), [*statements()])
def test_what_the_code_does_to_a_table_is_granted(table: str, owner: str, verb: str) -> None:
    if (table, verb) in BY_THE_OWNER:
        return
    if table in OF_THE_OWNER:
        assert RIGHTS[table].words([]) == "SELECT"
        return
    given = {"INSERT": RIGHTS[table].insert, "UPDATE": RIGHTS[table].update, "DELETE": RIGHTS[table].delete}
    assert given[verb], f"{owner} has a statement for {verb} on {table}; grant it, or have the owner do it."


class TestWork:
    """Every part of the application does its work as a role that owns nothing."""

    async def test_the_api_takes_in_events_and_exclusions_and_lets_people_work(self, api: Api, owner: Database) -> None:
        ids = await seeded(api)
        _, secret = await create_key(
            owner, api.brand, "all", (*BACKEND, "tasks:work", "players:read", "journeys:manage"), datetime.now(UTC)
        )
        caller = await api.client_with(secret)
        login = SessionLogin.example().to_wire() | {"specversion": "1.0", "id": "l-1", "subject": PLAYER}
        headers = {"Content-Type": "application/cloudevents+json"}
        answers = [await caller.post("/v1/events", json=login, headers=headers) for _ in range(2)]
        assert [answer.json()["results"][0]["status"] for answer in answers] == ["accepted", "duplicate"]
        task = f"/v1/tasks/{ids['task_id']}"
        for answer in (
            await caller.post(f"{task}/claim"),
            await caller.post(f"{task}/comment", json={"text": "Called."}),
            await caller.post(f"{task}/complete", json={"answer": {"outcome": "approve", "note": "Seen."}}),
            await caller.post(f"/v1/journeys/{JOURNEY}/hold", json={"reason": "A test."}),
            await caller.post(f"/v1/journeys/{JOURNEY}/resume", json={"reason": "A test."}),
            await caller.post("/v1/runs", json={"journey": "api_call", "player_id": PLAYER}),
            await caller.post("/v1/dead-letters/retry"),
            await caller.post("/v1/failed-events/retry"),
            await caller.post(f"/v1/players/{PLAYER}/exclusion", json={"kind": "time_out"}),
            await caller.get(f"/v1/players/{PLAYER}"),
            await caller.get("/v1/runs", params={"problem": "any"}),
            await api.anonymous.get("/readyz"),
        ):
            assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.text}"

    async def test_accounts_are_merged_and_what_was_contested_moves_along(self, api: Api, owner: Database) -> None:
        await seeded(api)
        _, secret = await create_key(owner, api.brand, "site", BACKEND, datetime.now(UTC))
        caller = await api.client_with(secret)
        contested = await caller.post(f"/v1/players/{PLAYER}/contest", json={"words": "Why?"})
        assert contested.status_code == 201, contested.text
        ends = {"event_id": "m-1", "survivor_id": "elder", "absorbed_id": PLAYER}
        merged = PlayerMerged.example().model_copy(update=ends)
        assert await api.engine.intake.ingest(api.brand, [("elder", merged)], datetime.now(UTC)) == ["accepted"]
        (task,) = await rows(api.engine.database, tables.tasks, id=contested.json()["task_id"])
        assert (task["player_id"], task["state"]) == ("elder", "open")

    async def test_effects_are_done_and_runs_end(self, api: Api, worker: WorkerEngine) -> None:
        ids = await seeded(api)
        given: Row = {"brand": api.brand, "player_id": PLAYER, "journey": JOURNEY, "run_id": ids["run_id"]}
        sending = Send(**given, step="send:deposit-help#1", template="deposit-help", via=["in_app"])
        sent = done(await worker.messages.send(sending))
        await worker.grants.give(Give(**given, step="grant:points#1", reward=points(5)))
        await worker.runs.mark(Mark(**given, step="mark:x#1", name="x"))
        await worker.runs.refresh(Refresh(**given, step="refresh#1"))
        (task,) = await rows(worker.database, tables.tasks, brand=api.brand)
        moved = await worker.tasks.move(MoveTask(**given, step=task["step"], task_id=task["id"], move="remind"))
        await worker.runs.end(End(**given, step="end", outcome="completed"))
        (run,) = await rows(worker.database, tables.runs, id=given["run_id"])
        assert (sent.outcome, moved.state, run["outcome"]) == ("sent", "open", "completed")

    async def test_the_dispatcher_the_sweep_and_long_work_go_on(self, api: Api, worker: WorkerEngine) -> None:
        ids = await seeded(api)
        now, brand, run_id = datetime.now(UTC), api.brand, ids["run_id"]
        async with worker.database.transaction() as connection:
            claimed, _ = await claim(connection, frozenset(worker.registry.journeys))
            await bury(connection, run_id, [0], "Refused.")
            await postpone(connection, {run_id: 0}, {run_id: "Later."})
            await remove(connection, claimed[run_id])
            await note_problem(connection, run_id, "failing_code", None, now, "It fails.")
            assert [one.run_id for one in await troubles(connection, brand, ["failing_code"], now, 9)] == [run_id]
            await clear_problems_but(connection, "failing_code", [])
            assert await troubles(connection, brand, TROUBLES, now, 9)
        await worker.processes.beat()
        await worker.processes.leave()
        await worker.gauges.count_once()
        await worker.sweeper().run_once()
        asked: Row = {"brand": brand, "state": "running", "created_at": now, "updated_at": now}
        asked |= {"subject": "api_offer", "detail": {"segment": SEGMENT, "per_second": 50, "reason": "A test."}}
        async with worker.database.transaction() as connection:
            await enrol(connection, Job(**asked, id=f"mine-enrol-{brand}", kind=KIND))
            await begin_stop(connection, Job(**asked, id=f"mine-stop-{brand}", kind=STOP))
            await begin_resume(connection, Job(**asked, id=f"mine-resume-{brand}", kind=RESUME))
        for work in worker.bulk_jobs.kinds:
            while await work.batch(f"mine-{work.kind}-{brand}") is not None:
                pass
        made = await rows(worker.database, tables.jobs, subject="api_offer", brand=brand)
        assert {row["kind"] for row in made if row["state"] == "done"} >= {KIND, STOP, RESUME}

    async def test_the_owner_forgets_what_the_application_wrote(
        self, api: Api, owner: Database, application: Database
    ) -> None:
        await seeded(api)
        await execute(owner, "UPDATE event_ids SET received_at = received_at - interval '100 days'")
        async with application.reading() as mine, owner.reading() as theirs:
            assert [await owns_tables(mine), await owns_tables(theirs)] == [False, True]
        with pytest.raises(ProgrammingError, match="permission denied"):
            await _all(application, await owner.now() + timedelta(days=90))
        later = (await owner.now()) + timedelta(days=500)
        forgotten = await _all(owner, later)
        assert sum(one.rows for one in forgotten if one.table == "event_ids") > 0
        dropped = [one for one in forgotten if one.partition is not None]
        assert dropped
        assert {row["type"] for row in await rows(owner, tables.kept_events)} >= {DepositApproved.type}
        async with application.reading() as connection:
            assert (await partitions(connection))[-1].until > later
        intake = api.engine.intake
        assert await intake.ingest(api.brand, [(PLAYER, ExclusionSet.example())], datetime.now(UTC)) == ["accepted"]


async def _all(database: Database, now: datetime) -> list[Forgotten]:
    return [one async for one in retain(database, Settings(database_url=database.url), now)]


REFUSED = {
    "take an event back": "DELETE FROM events",
    "rewrite an event": "UPDATE events SET data = '{}'",
    "rewrite an event in its month": "UPDATE events_default SET data = '{}'",
    "empty the events": "TRUNCATE events",
    "drop a month": "DROP TABLE events_default",
    "forget an identity": "DELETE FROM event_ids",
    "number an event anew": "UPDATE event_ids SET seq = 0",
    "take a record back": "DELETE FROM kept_events",
    "invent a record": "INSERT INTO kept_events SELECT seq, brand, source, id, type, player_id, occurred_at, "
    "received_at, history, data FROM events",
    "rewrite who did what to a task": "UPDATE task_history SET actor = 'nobody'",
    "forget who did what to a task": "DELETE FROM task_history",
    "rewrite the audit": "UPDATE audit_entries SET actor = 'nobody'",
    "forget the audit": "DELETE FROM audit_entries",
    "empty the audit": "TRUNCATE audit_entries",
    "take the trigger off the audit": "ALTER TABLE audit_entries DISABLE TRIGGER ALL",
    "rewrite who held a journey": "UPDATE journey_control_history SET actor = 'nobody'",
    "forget what a run did": "DELETE FROM steps",
    "rewrite what a run did": "UPDATE steps SET outcome = 'sent'",
    "forget a run": "DELETE FROM runs",
    "give a run to another player": "UPDATE runs SET player_id = 'other'",
    "forget a message": "DELETE FROM messages",
    "turn marketing into a service message": "UPDATE messages SET message_class = 'service'",
    "forget a grant": "DELETE FROM grants",
    "raise a grant": "UPDATE grants SET reward = '{}'",
    "forget a task": "DELETE FROM tasks",
    "forget a player": "DELETE FROM players",
    "make a key": "INSERT INTO api_keys (id, brand, name, hash, scopes) VALUES ('x', 'x', 'x', 'x', '{admin}')",
    "widen a key": "UPDATE api_keys SET scopes = '{admin}'",
    "say that the schema is another one": "UPDATE alembic_version SET version_num = '0001'",
    "change a table": "ALTER TABLE runs ADD COLUMN x int",
    "make a table": "CREATE TABLE mine (n int)",
    "make a function": "CREATE FUNCTION mine() RETURNS int LANGUAGE sql RETURN 1",
    "turn a trigger off": "ALTER TABLE events DISABLE TRIGGER ALL",
}


@pytest.mark.parametrize("what", REFUSED)
async def test_the_database_refuses_the_application_to(what: str, application: Database) -> None:
    with pytest.raises(ProgrammingError) as refused:
        await execute(application, REFUSED[what])
    assert re.search(r"permission denied|must be owner", str(refused.value)), refused.value


async def test_the_application_cannot_become_the_owner(owned: OwnedDatabase, application: Database) -> None:
    with pytest.raises(ProgrammingError, match="permission denied to set role"):
        await execute(application, f"SET ROLE {owned.owner_role}")


async def test_a_month_that_is_made_later_is_open_through_the_whole_table_alone(
    owner: Database, application: Database
) -> None:
    async with owner.transaction() as connection:
        (name, *_) = await make_ahead(connection, datetime.now(UTC) + timedelta(days=900))
    with pytest.raises(ProgrammingError, match=f"permission denied for table {name}"):
        await execute(application, f"INSERT INTO {name} SELECT * FROM events")


class TestGranting:
    async def test_a_role_that_got_more_by_hand_has_it_no_longer_after_a_migration(
        self, owned: OwnedDatabase, application: Database
    ) -> None:
        await as_superuser(owned, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {owned.application_role}")
        await execute(application, "UPDATE steps SET outcome = outcome")
        await asyncio.to_thread(owned.migrate)
        with pytest.raises(ProgrammingError, match="permission denied"):
            await execute(application, "UPDATE steps SET outcome = outcome")
        await execute(application, "UPDATE runs SET outcome = outcome")

    @pytest.mark.parametrize(
        ("role", "told"),
        [
            ("nobody_here", "make it with CREATE ROLE nobody_here LOGIN"),
            ("journeys", "is a superuser or owns what it is to be kept from"),
        ],
    )
    async def test_a_role_that_cannot_be_kept_from_anything_is_told(
        self, owned: OwnedDatabase, role: str, told: str
    ) -> None:
        with pytest.raises(WrongRole, match=told):
            await asyncio.to_thread(migrate, owned.owner, application_role=role)

    async def test_the_owner_itself_is_no_application(self, owned: OwnedDatabase) -> None:
        with pytest.raises(WrongRole, match="nor a member of the owner"):
            await asyncio.to_thread(migrate, owned.owner, application_role=owned.owner_role)
        await asyncio.to_thread(owned.migrate)


async def answers(database: Database) -> bool:
    with suppress(DBAPIError):  # the connection that was ended
        await rows(database, tables.api_keys)
        return True
    return False


async def test_a_new_password_in_the_file_of_libpq_is_used_without_a_restart(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    async with owned_database(postgres) as made:
        role = made.application_role
        name, _, place = made.application.partition("@")
        async with connected(f"{name.rpartition(':')[0]}@{place}") as database:
            for password in ("the-old-one", "the-new-one"):
                passwords.write_text(f"*:*:*:{role}:{password}\n")
                await as_superuser(made, f"ALTER ROLE {role} PASSWORD '{password}'")
                await as_superuser(
                    made, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
                )
                assert await eventually(partial(answers, database))
