"""What has had its time is forgotten, what a regulator may ask for stays, and every table has a word on it."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from activities import tables
from activities.database import Database
from activities.intake.intake import Intake
from activities.loyalty_tables import loyalty_limits
from activities.month_partitions import partitions
from activities.retention import AT_ONCE, RECORDS, RETENTION, Forgotten, period_of, retain
from activities.settings import Settings
from tests.support.engine import BRAND, Casino, Row, connected, execute, rows
from workflows import DepositApproved, ExclusionSet, PlayerRegistered, SessionLogin
from workflows.events import CATALOGUE, DeviceRegistered, DeviceRemoved
from workflows.rules.index import RuleIndex

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=500)
AGES_AGO = NOW - timedelta(days=2_000)
RUN = f"a:{BRAND}:p:"
PRODUCTION = Path(__file__).parent.parent.parent / "docs" / "production.md"


pytestmark = pytest.mark.owner


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


async def forget(database: Database, now: datetime = NOW, **settings: Any) -> list[Forgotten]:
    given = Settings(database_url="postgresql://unused", **settings)
    return [one async for one in retain(database, given, now)]


async def lives_in(
    database: Database, player: str, place: str | None, heard: datetime = NOW - timedelta(days=450), **state: Any
) -> None:
    """A player of a jurisdiction of whom nothing was heard since."""
    facts: Row = {"facts": {"jurisdiction": place}} if place else {}
    about = {"brand": BRAND, "id": player, "state": facts | state, "created_at": AGES_AGO, "updated_at": heard}
    await insert(database, tables.players, about)


def a_grant(name: str, resolved_at: datetime, player: str | None = None) -> Row:
    about = {"brand": BRAND, "player_id": player or name, "run_id": f"{RUN}1", "step": f"g{name}", "journey": "a"}
    return about | {
        "id": name,
        "kind": "cash",
        "reward": {},
        "status": "granted",
        "decision": {},
        "resolved_at": resolved_at,
    }


async def insert(database: Database, table: sa.Table, *values: dict[str, Any]) -> None:
    async with database.transaction() as connection:
        await connection.execute(table.insert(), [*values])


def a_run(number: int, ended_at: datetime | None) -> dict[str, Any]:
    return {
        "id": f"{RUN}{number}",
        "brand": BRAND,
        "player_id": "p",
        "journey": "a",
        "arm": "treated",
        "state": "ended" if ended_at else "active",
        "entered_at": LONG_AGO,
        "ends_at": NOW,
        "ended_at": ended_at,
    }


def a_message(name: str, message_class: str, created_at: datetime) -> dict[str, Any]:
    common = {"brand": BRAND, "player_id": "p", "run_id": f"{RUN}1", "step": "send:a#1", "journey": "a"}
    about = {"channel": "email", "template": "a", "status": "sent", "decision": {}, "body": "Hello"}
    return common | about | {"id": name, "message_class": message_class, "created_at": created_at}


def test_every_table_has_a_word_on_what_becomes_of_its_rows() -> None:
    assert RETENTION.keys() == tables.metadata.tables.keys()


@pytest.mark.parametrize("table", RETENTION)
def test_the_page_says_of_every_table_what_the_code_does(table: str) -> None:
    found = re.search(rf"^\| `{table}` \|([^|]*)\|", PRODUCTION.read_text(), re.MULTILINE)
    assert found is not None, f"docs/production.md has no line for {table}."
    period = period_of(RETENTION[table], Settings(database_url="postgresql://unused"))
    assert "days" not in found[1] if period is None else f"{period.days} days" in found[1], found[1]


def test_what_is_about_protection_and_money_is_a_record() -> None:
    kinds = {kind.type for kind in CATALOGUE.values()}
    records = {kind for kind in kinds if any(kind.startswith(record.removesuffix("%")) for record in RECORDS)}
    assert {ExclusionSet.type, DepositApproved.type, PlayerRegistered.type, "consent.changed"} <= records
    assert records.isdisjoint({SessionLogin.type, "game.round_completed"})


async def test_runs_go_with_their_steps_after_their_end_and_never_before(database: Database) -> None:
    await insert(database, tables.runs, a_run(1, LONG_AGO), a_run(2, NOW - timedelta(days=5)), a_run(3, None))
    steps = [
        {"run_id": f"{RUN}{n}", "step": "end", "outcome": "x", "brand": BRAND, "player_id": "p", "at": LONG_AGO}
        for n in (1, 2, 3)
    ]
    await insert(database, tables.steps, *steps)
    await forget(database)
    assert [row["id"] for row in await rows(database, tables.runs)] == [f"{RUN}2", f"{RUN}3"]
    assert [row["run_id"] for row in await rows(database, tables.steps)] == [f"{RUN}2", f"{RUN}3"]


async def test_marketing_goes_and_what_had_to_be_told_stays(database: Database) -> None:
    classes = ("marketing", "service", "security", "rg")
    await insert(database, tables.messages, *(a_message(one, one, LONG_AGO) for one in classes))
    await insert(database, tables.messages, a_message("new", "marketing", NOW))
    await forget(database)
    assert {row["id"] for row in await rows(database, tables.messages)} == {"new", "service", "security", "rg"}


async def test_budgets_of_days_and_weeks_and_seats_go_and_stocks_stay(database: Database) -> None:
    def limits(day: datetime) -> list[str]:
        year, week, _ = day.isocalendar()
        date = f"{day:%Y-%m-%d}"
        dated = [
            f"house:points:{date}:3",
            f"wheel:daily:{date}:minor",
            f"wheel:daily:{date}",
            f"tournament:race:{date}",
        ]
        return [*dated, f"mission:five:{year}-W{week:02}"]

    fresh = [*limits(NOW), *limits(NOW - timedelta(days=80)), "shop:mug"]
    names = [*limits(NOW - timedelta(days=100)), *fresh]
    await insert(database, loyalty_limits, *({"brand": BRAND, "name": one, "used": 1} for one in names))
    await forget(database)
    assert {row["name"] for row in await rows(database, loyalty_limits)} == {*fresh}


async def test_more_than_fits_into_one_transaction_goes_all_the_same(database: Database) -> None:
    ids = "INSERT INTO event_ids (identity, received_at) SELECT gen_random_uuid(), :at FROM generate_series(1, :n)"
    await execute(database, ids, at=LONG_AGO, n=2 * AT_ONCE + 1)
    await execute(database, ids, at=NOW, n=3)
    told = await forget(database)
    assert [one.rows for one in told if one.table == "event_ids"] == [AT_ONCE, AT_ONCE, 1, 0]
    assert len(await rows(database, tables.event_ids)) == 3


class TestEvents:
    async def test_a_month_goes_when_all_of_it_has_had_its_time_and_its_records_stay(self, database: Database) -> None:
        casino = Casino.of(database, {})
        player = casino.player()
        await casino.happens(player, SessionLogin, DepositApproved, ExclusionSet)
        async with database.reading() as connection:
            first = (await partitions(connection))[0]
        day_before = first.until + timedelta(days=399)
        assert [one for one in await forget(database, day_before) if one.table == "events"] == []
        assert len(await rows(database, tables.events)) == 3
        (dropped,) = [one for one in await forget(database, first.until + timedelta(days=400)) if one.table == "events"]
        assert (dropped.partition, dropped.rows) == (first.name, 2)
        assert await rows(database, tables.events) == []
        kept = {row["type"] for row in await rows(database, tables.kept_events)}
        assert kept == {DepositApproved.type, ExclusionSet.type}

    async def test_tokens_of_devices_go_with_their_month(self, database: Database) -> None:
        casino = Casino.of(database, {})
        await casino.happens(casino.player(), DeviceRegistered, DeviceRemoved, PlayerRegistered)
        async with database.reading() as connection:
            first = (await partitions(connection))[0]
        await forget(database, first.until + timedelta(days=400))
        assert {row["type"] for row in await rows(database, tables.kept_events)} == {PlayerRegistered.type}

    async def test_within_the_window_an_identity_is_known_although_the_event_is_gone(self, database: Database) -> None:
        casino = Casino.of(database, {})
        event = casino.event(SessionLogin)
        again = [(casino.player(), event)]
        assert await casino.intake.ingest(BRAND, again, NOW) == ["accepted"]
        async with database.reading() as connection:
            until = (await partitions(connection))[0].until
        await forget(database, until, retain_events=timedelta(days=0, seconds=1), retain_identities=timedelta(days=90))
        await execute(database, "UPDATE event_ids SET received_at = :now", now=NOW)
        assert await casino.intake.ingest(BRAND, again, NOW) == ["duplicate"]

    async def test_after_the_window_the_same_is_taken_for_new(self, database: Database) -> None:
        intake, casino = Intake(database, RuleIndex({})), Casino.of(database, {})
        # The first partition keeps the key of the table it was, and takes nothing twice until it is over.
        await execute(database, "ALTER TABLE events_first DROP CONSTRAINT pk_events_first")
        await execute(database, "DROP INDEX ix_events_unique_until")
        event = casino.event(DepositApproved)
        assert await intake.ingest(BRAND, [(casino.player(), event)], NOW) == ["accepted"]
        await forget(database, NOW + timedelta(days=89))
        assert await intake.ingest(BRAND, [(casino.player(), event)], NOW) == ["duplicate"]
        await forget(database, NOW + timedelta(days=91))
        assert await intake.ingest(BRAND, [(casino.player(), event)], NOW) == ["accepted"]


class TestRecords:
    async def test_records_stay_for_ever_unless_somebody_says_how_long(self, database: Database) -> None:
        grant: Row = {"brand": BRAND, "player_id": "p", "run_id": f"{RUN}1", "step": "g", "journey": "a"}
        grant |= {"kind": "cash", "reward": {}, "status": "granted", "decision": {}, "resolved_at": LONG_AGO}
        await insert(database, tables.grants, grant | {"id": "old"}, grant | {"id": "new", "resolved_at": NOW})
        await forget(database, NOW + timedelta(days=5_000))
        assert len(await rows(database, tables.grants)) == 2
        await lives_in(database, "p", "UA")
        await forget(database, retain_records=timedelta(days=365))
        assert [row["id"] for row in await rows(database, tables.grants)] == ["new"]

    async def test_a_legal_duty_is_longer_than_a_wish_and_ends_years_after_the_last_that_was_heard(
        self, database: Database
    ) -> None:
        for player, place in (("gone", "MT"), ("here", "MT"), ("free", "UA"), ("nowhere", None)):
            await lives_in(database, player, place, heard=NOW if player == "here" else AGES_AGO)
            await insert(database, tables.grants, a_grant(player, AGES_AGO), a_grant(f"{player}-new", LONG_AGO, player))
        told = await forget(database, retain_most={"*": {"money": timedelta(days=365)}})
        left = {row["id"] for row in await rows(database, tables.grants)}
        # Five years in Malta and wherever it might be Malta; no law that is known here in Ukraine.
        assert left == {"here", "here-new", "gone-new", "nowhere-new"}
        gone = {(one.record_class, one.jurisdiction, one.rows) for one in told if one.table == "grants" and one.rows}
        assert gone == {("money", "MT", 1), ("money", "UA", 2), ("money", None, 1)}

    async def test_who_was_heard_last_says_what_they_did_and_not_what_came_by_itself(self, database: Database) -> None:
        ages_ago, now = AGES_AGO.isoformat(), NOW.isoformat()
        said: dict[str, Row] = {
            "had-a-birthday": {"last": {"payment.deposit_approved": ages_ago, "derived.birthday": now}},
            "logged-in": {"last": {"payment.deposit_approved": ages_ago, "session.login": now}},
            "merged-away": {"merged_into": "logged-in"},
        }
        for player, state in said.items():
            await lives_in(database, player, "MT", heard=AGES_AGO if player == "merged-away" else NOW, **state)
            await insert(database, tables.grants, a_grant(player, AGES_AGO))
        await forget(database, retain_most={"*": {"money": timedelta(days=365)}})
        assert {row["id"] for row in await rows(database, tables.grants)} == {"logged-in", "merged-away"}

    async def test_each_class_goes_by_its_own_period_and_a_task_with_its_history(self, database: Database) -> None:
        await lives_in(database, "p", "UA", heard=AGES_AGO)
        events = {"payment.deposit_approved": 1, "consent.changed": 2}
        for kind, seq in events.items():
            kept = {"seq": seq, "brand": BRAND, "source": "/x", "id": kind, "type": kind, "player_id": "p"}
            at = {"occurred_at": LONG_AGO, "received_at": LONG_AGO, "history": False, "data": {}}
            await insert(database, tables.kept_events, kept | at)
        task: Row = {"id": "t", "brand": BRAND, "player_id": "p", "step": "ask", "form": "F", "question": ""}
        task |= {"form_schema": {}, "team": "x", "reason": "", "forbidden": [], "snapshot": {}, "state": "completed"}
        task |= {"priority": 1, "due_at": LONG_AGO, "created_at": LONG_AGO, "closed_at": LONG_AGO}
        await insert(database, tables.tasks, task)
        line = {"task_id": "t", "brand": BRAND, "at": LONG_AGO, "actor": "x", "action": "opened"}
        await insert(database, tables.task_history, line)
        await forget(database, retain_most={"UA": {"money": timedelta(days=365)}})
        assert [row["type"] for row in await rows(database, tables.kept_events)] == ["consent.changed"]
        assert len(await rows(database, tables.tasks)) == 1
        await forget(database, retain_most={"UA": {"protection": timedelta(days=365)}})
        for table in (tables.kept_events, tables.tasks, tables.task_history):
            assert await rows(database, table) == []


async def test_the_gate_reads_a_week_of_messages_and_not_a_life(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(
            tables.messages.insert(),
            [a_message(f"m{n}", "marketing", NOW) | {"handed_over_at": NOW - timedelta(days=n)} for n in range(2_000)],
        )
        await connection.execute(sa.text("ANALYZE messages"))
        plan = "\n".join(
            await connection.scalars(
                sa.text(
                    "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF)"
                    " SELECT handed_over_at, channel, run_id, step FROM messages"
                    " WHERE brand = :brand AND player_id = 'p' AND handed_over_at > :week"
                    " AND message_class NOT IN ('service', 'security', 'rg')"
                ),
                {"brand": BRAND, "week": NOW - timedelta(days=7)},
            )
        )
    assert "ix_messages_handed_over" in plan, plan
    assert "Removed by" not in plan, plan
