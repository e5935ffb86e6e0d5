"""`journeys people` and `journeys audit` on a real database: what is done is told, verified, and anchored."""

import csv
import io
import json
from pathlib import Path

import psycopg
import pytest

from tests.support.command_line import Journeys


@pytest.mark.slow  # nine commands, a process each
def test_what_commands_do_is_exported_and_verified(journeys: Journeys, postgres_url: str, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = journeys(*words, DATABASE_URL=postgres_url)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    run("people", "add", "olena@example.com", "--name", "Olena", "--brand", "acme", "--role", "manager")
    run("people", "take", "olena@example.com", "--brand", "acme", "--role", "manager")
    assert "olena@example.com" in run("people", "list", "--brand", "acme")
    lines = [json.loads(line) for line in run("audit", "export", "--brand", "acme").splitlines()]
    assert [line["action"] for line in lines] == ["add_person", "give", "take_back"]
    table = list(csv.DictReader(io.StringIO(run("audit", "export", "--brand", "acme", "--format", "csv"))))
    assert [row["action"] for row in table] == ["add_person", "give", "take_back"]
    assert "Nothing was edited, deleted, swapped or cut off." in run("audit", "verify")
    anchor = tmp_path / "anchor.json"
    anchor.write_text(journeys("audit", "anchor", DATABASE_URL=postgres_url).stdout)
    run("audit", "verify", "--anchor", str(anchor))
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE audit_entries SET actor = 'nobody' WHERE action = 'give'")
    found = journeys("audit", "verify", DATABASE_URL=postgres_url)
    assert found.returncode == 1
    assert "was edited." in found.stdout
