"""`journeys retain` on a real database: it says how long, forgets what is due, says what went, and may be run again."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.support.command_line import NOWHERE, Journeys, rows

pytestmark = pytest.mark.owner

LATELY = datetime.now(UTC) - timedelta(days=5)
LONG_AGO = datetime.now(UTC) - timedelta(days=500)
#: Records of money are kept for a year of players in Ukraine, of whom no law is known that asks for more.
A_YEAR = {"RETAIN_MOST": '{"UA": {"money": "P365D"}}'}
#: A month that was over long ago, with a payment and a login in it.
MONTHS = """
    ALTER TABLE events DETACH PARTITION events_first;
    CREATE TABLE events_2020_01 PARTITION OF events FOR VALUES FROM ('2020-01-01Z') TO ('2020-02-01Z');
    INSERT INTO events (brand, source, id, seq, type, player_id, occurred_at, received_at, data)
    SELECT 'acme', '/x', type, seq, type, 'p-1', '2020-01-15Z', '2020-01-15Z', '{}'
    FROM (VALUES (1, 'payment.deposit_approved'), (2, 'session.login')) AS told (seq, type)
"""
A_PLAYER = """
    INSERT INTO players (brand, id, state, updated_at)
    VALUES ('acme', 'p-1', '{"facts": {"jurisdiction": "UA"}}', %s) RETURNING 1
"""
A_GRANT = """
    INSERT INTO grants (id, brand, player_id, run_id, step, journey, kind, reward, status, decision, resolved_at)
    VALUES (%s, 'acme', 'p-1', 'a:acme:p-1:1', %s, 'a', 'cash', '{}', 'granted', '{}', %s) RETURNING 1
"""
IDENTITIES = "INSERT INTO event_ids (identity, received_at) VALUES (gen_random_uuid(), %s) RETURNING 1"
AN_ERASURE = """
    INSERT INTO erasures (id, brand, player_id, ground, reference, asked_by, asked_at)
    VALUES ('e-1', 'acme', 'p-2', 'objection', 'T-1', 'officer', now()) RETURNING 1
"""
MONTHS_OF_EVENTS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass ORDER BY 1"


@pytest.fixture
def newest_month(postgres_url: str) -> str:
    """A database with something that is due in each way there is, and without this month of those to come."""
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        connection.execute(MONTHS)
    newest = max(str(name) for (name,) in rows(postgres_url, MONTHS_OF_EVENTS) if str(name)[7:8].isdigit())
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        connection.execute(f"DROP TABLE {newest}".encode())
    rows(postgres_url, A_PLAYER, LONG_AGO)
    for name, at in (("old", LONG_AGO), ("new", LATELY)):
        rows(postgres_url, A_GRANT, name, name, at)
        rows(postgres_url, IDENTITIES, at)
    rows(postgres_url, AN_ERASURE)
    return newest


def test_what_is_due_goes_and_is_told_and_a_second_time_nothing_is(
    journeys: Journeys, postgres_url: str, newest_month: str
) -> None:
    def run() -> list[str]:
        done = journeys("retain", DATABASE_URL=postgres_url, **A_YEAR)
        assert done.returncode == 0, done.stderr
        return (done.stdout + done.stderr).splitlines()

    nothing = "Records of protection: nothing forgotten."
    last = "What is due is forgotten, and the months to come are there."
    told = run()
    assert told == [
        "events_2020_01 is dropped; 1 records of it are kept.",
        "Player p-2 of acme is erased: certificate e-1.",
        "1 rows of event_ids are forgotten.",
        "Records of money: 1 of grants in UA, 1 of kept_events in UA forgotten.",
        nothing,
        last,
    ]
    assert rows(postgres_url, "SELECT id FROM grants") == [("new",)]
    assert rows(postgres_url, "SELECT count(*) FROM event_ids") == [(1,)]
    assert rows(postgres_url, "SELECT done_at IS NOT NULL FROM erasures") == [(True,)]
    months = [str(name) for (name,) in rows(postgres_url, MONTHS_OF_EVENTS)]
    assert newest_month in months
    assert "events_2020_01" not in months
    assert run() == ["Records of money: nothing forgotten.", nothing, last]


@pytest.mark.usefixtures("newest_month")
def test_records_stay_where_nobody_said_how_long(journeys: Journeys, postgres_url: str) -> None:
    done = journeys("retain", DATABASE_URL=postgres_url)
    assert done.returncode == 0, done.stderr
    assert "events_2020_01 is dropped; 1 records of it are kept." in done.stdout + done.stderr
    assert rows(postgres_url, "SELECT type FROM kept_events") == [("payment.deposit_approved",)]
    assert rows(postgres_url, "SELECT count(*) FROM grants") == [(2,)]


def test_periods_are_shown_with_what_asks_for_them_and_no_database_is_needed(journeys: Journeys) -> None:
    shown = journeys("retain", "--show", DATABASE_URL=NOWHERE, RETAIN_RUNS="P30D", **A_YEAR)
    assert shown.returncode == 0, shown.stderr
    lines = {tuple(line.split(maxsplit=1)) for line in shown.stdout.splitlines()}
    said = {(name, " ".join(rest.split())) for name, rest in lines}
    assert ("runs", "30 days after their end, with their steps") in said
    assert ("event_ids", "90 days the dedupe window") in said
    assert ("players", "for ever one row a player, for as long as there is the player") in said
    assert ("money", "365 days UA") in said
    (malta,) = [rest for name, rest in said if name == "money" and "MT" in rest]
    assert malta.startswith("for ever")


def test_where_there_is_no_database_nothing_is_said_to_be_forgotten(journeys: Journeys) -> None:
    told = journeys("retain", DATABASE_URL=NOWHERE)
    assert told.returncode == 1
    assert "The database named by DATABASE_URL" in told.stderr
    assert "Traceback" not in told.stderr
    assert "forgotten" not in told.stdout + told.stderr
