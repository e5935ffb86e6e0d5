"""The command line as a person meets it: one process a command, sentences for mistakes, exit codes for scripts."""

import csv
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from activities.api_keys import create_key
from activities.database import Database
from activities.settings import Settings
from local.ports import free_port
from local.slowness import slowness
from tests.support.command_line import NOWHERE, Journeys, environment, rows, serving
from tests.support.commands import ROOT, command
from workflows.events import PlayerRegistered


def table(path: Path, count: int, who: str = "player") -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("player_id", "ts_utc", "amount_usd"))
        for n in range(count):
            writer.writerow((f"{who}-{n % 50}", f"2026-01-01 00:{n // 60 % 60:02}:{n % 60:02}+00:00", f"{n}.00"))
    return path


@dataclass(frozen=True)
class Served:
    """A served API: its database, and the variables that name it and a key of it."""

    database_url: str
    variables: dict[str, str]

    def rows(self, query: str) -> list[tuple[object, ...]]:
        return rows(self.database_url, query)


@pytest.fixture(scope="module")
async def served(module_postgres_url: str, session_folder: Path) -> AsyncIterator[Served]:
    database = Database(Settings(database_url=module_postgres_url))
    _, key = await create_key(database, "acme", "backend", ["events:write"], datetime.now(UTC))
    await database.close()
    with serving(module_postgres_url, session_folder) as url:
        yield Served(module_postgres_url, {"JOURNEYS_URL": url, "JOURNEYS_KEY": key})


class TestHelp:
    def test_every_command_says_what_it_does(self, journeys: Journeys) -> None:
        told = journeys("--help")
        assert told.returncode == 0
        for name in ("up", "serve", "worker", "dispatcher", "migrate", "keys", "import", "demo", "show"):
            assert re.search(rf"│ {name} +\w", told.stdout), name

    def test_an_unknown_command_is_a_mistake_of_writing(self, journeys: Journeys) -> None:
        told = journeys("fly")
        assert told.returncode == 2
        assert "No such command 'fly'" in told.stderr


class TestShow:
    def test_it_lists_the_journeys_that_load(self, journeys: Journeys) -> None:
        told = journeys("show")
        assert told.returncode == 0, told.stderr
        assert "welcome  From registration into the second week" in told.stdout
        assert "player.registered" in told.stdout
        assert "once, 10 % control, over after 14 days" in told.stdout

    def test_a_designer_s_mistakes_are_sentences_and_an_exit_code(self, journeys: Journeys, tmp_path: Path) -> None:
        (tmp_path / "careless").mkdir()
        (tmp_path / "careless" / "__init__.py").write_text(
            "from workflows import DepositApproved, PlayerRegistered, days, journey, on\n"
            "@journey(on(PlayerRegistered), ends_after=days(1))\n"
            "async def careless(player, registered):\n"
            "    '''Waits for ever.'''\n"
            "    await player.event(DepositApproved)\n"
        )
        told = journeys("show", JOURNEYS="careless", PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")
        assert told.returncode == 1
        assert told.stderr.startswith("Journey careless, line 5: player.event(...) waits without an end; add within=")
        assert "Traceback" not in told.stderr

    def test_a_package_that_is_not_there_is_a_sentence(self, journeys: Journeys) -> None:
        told = journeys("show", JOURNEYS="nowhere.to.be.found")
        assert told.returncode == 1
        assert "cannot be imported" in told.stderr
        assert "Traceback" not in told.stderr


@pytest.mark.parametrize("command", [("serve",), ("worker",), ("keys", "--json")])
def test_a_command_without_a_database_says_which_variable_to_set(journeys: Journeys, command: tuple[str, ...]) -> None:
    told = journeys(*command)
    assert told.returncode == 1
    assert "DATABASE_URL: Field required" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("command", [("migrate",), ("keys", "list")])
def test_a_database_that_is_away_is_a_sentence(journeys: Journeys, command: tuple[str, ...]) -> None:
    told = journeys(*command, DATABASE_URL=NOWHERE)
    assert told.returncode == 1
    assert "database" in told.stderr
    assert "Traceback" not in told.stderr


class TestKeys:
    def test_a_key_works_until_it_is_revoked(self, journeys: Journeys, postgres_url: str, tmp_path: Path) -> None:
        made = journeys(
            "keys", "create", "backend", "--scope", "events:write", "--brand", "acme", DATABASE_URL=postgres_url
        )
        assert made.returncode == 0, made.stderr
        secret = made.stdout.strip()
        listed = journeys("keys", "list", DATABASE_URL=postgres_url)
        assert "acme" in listed.stdout
        assert "events:write" in listed.stdout
        assert secret not in listed.stdout
        with serving(postgres_url, tmp_path) as url:
            headers = {"Authorization": f"Bearer {secret}"}
            assert httpx.get(f"{url}/v1/limits", headers=headers, timeout=60).status_code == 200
            key_id = listed.stdout.splitlines()[1].split()[0]
            assert journeys("keys", "revoke", key_id, DATABASE_URL=postgres_url).returncode == 0
            # Other processes may remember a key for less than a second: who asks later than that is refused.
            remembered_until = time.monotonic() + 1
            status, asked = 200, 0.0
            while status == 200:
                assert asked < remembered_until
                asked, status = time.monotonic(), httpx.get(f"{url}/v1/limits", headers=headers, timeout=60).status_code
            assert status == 401

    def test_a_wrong_scope_or_id_is_a_sentence(self, journeys: Journeys, postgres_url: str) -> None:
        made = journeys("keys", "create", "x", "--scope", "everything", "--brand", "acme", DATABASE_URL=postgres_url)
        assert made.returncode == 1
        assert "scopes events:write" in made.stderr
        revoked = journeys("keys", "revoke", "unknown", DATABASE_URL=postgres_url)
        assert revoked.returncode == 1
        assert "There is no key unknown; `journeys keys list` shows them." in revoked.stderr

    def test_the_list_fits_into_eighty_columns_and_cuts_nothing(self, journeys: Journeys, postgres_url: str) -> None:
        scopes = ("events:write", "tasks:work", "players:read", "journeys:manage")
        words = [word for scope in scopes for word in ("--scope", scope)]
        for days in ((), ("--days", "30")):
            named = ("acme-casino-of-the-north", "--brand", "acme-casino-of-the-north")
            made = journeys("keys", "create", *named, *words, *days, DATABASE_URL=postgres_url)
            assert made.returncode == 0, made.stderr
        listed = journeys("keys", "list", DATABASE_URL=postgres_url, COLUMNS="80").stdout
        assert max(map(len, listed.splitlines())) <= 80
        assert "…" not in listed
        assert all(listed.count(scope) == 2 for scope in scopes)
        assert (listed.count("made 20"), listed.count("until 20")) == (2, 1)

    def test_a_key_can_be_bound_to_sources(self, journeys: Journeys, postgres_url: str) -> None:
        create = ("keys", "create", "cashier", "--scope", "events:write", "--brand", "acme")
        sources = ("--source", "/cashier", "--source", "/till")
        assert journeys(*create, *sources, DATABASE_URL=postgres_url).returncode == 0
        assert rows(postgres_url, "SELECT sources FROM api_keys") == [(["/cashier", "/till"],)]
        listed = journeys("keys", "list", DATABASE_URL=postgres_url, COLUMNS="80").stdout
        assert "/cashier" in listed
        assert "/till" in listed
        refused = journeys(*create, "--source", "white space", DATABASE_URL=postgres_url)
        assert "is no source; use 1 to 255 printable characters, such as /cashier." in refused.stderr

    def test_one_command_makes_a_key_for_each_role(self, journeys: Journeys, postgres_url: str) -> None:
        made = journeys("keys", "--json", DATABASE_URL=postgres_url)
        assert made.returncode == 0, made.stderr
        keys = json.loads(made.stdout)
        assert set(keys) == {"backend", "vip-manager", "vip-head", "safer-play", "crm", "admin", "site"}
        found = rows(postgres_url, "SELECT name, brand, scopes, skills FROM api_keys ORDER BY name")
        assert found == [
            ("admin", "demo", ["admin"], []),
            ("backend", "demo", ["events:write", "inbox:read", "profiles:write", "protection:lift"], []),
            ("crm", "demo", ["journeys:manage", "players:read"], []),
            ("safer-play", "demo", ["harm:review", "players:read", "tasks:work"], ["harm_review", "rg"]),
            ("site", "demo", ["events:write", "players:tokens"], []),
            ("vip-head", "demo", ["players:read", "tasks:work"], ["aml", "executive"]),
            ("vip-manager", "demo", ["players:read", "tasks:work"], ["aml"]),
        ]


class TestMigrate:
    def test_it_may_be_run_again(self, journeys: Journeys, postgres_url: str) -> None:
        for _ in range(2):
            done = journeys("migrate", DATABASE_URL=postgres_url)
            assert done.returncode == 0, done.stderr
            assert "up to date" in done.stderr


class TestServe:
    def test_a_designer_s_mistake_stops_it_with_a_sentence(self, journeys: Journeys, postgres_url: str) -> None:
        told = journeys("serve", DATABASE_URL=postgres_url, JOURNEYS="nowhere.to.be.found")
        assert told.returncode == 1
        assert "cannot be imported" in told.stderr
        assert "Traceback" not in told.stderr


class TestImport:
    def kept(self, served: Served, who: str) -> int:
        """How many events of these players are kept."""
        [(count,)] = served.rows(f"SELECT count(*) FROM events WHERE player_id LIKE '{who}-%'")
        return int(str(count))

    def interrupted(self, served: Served, file: Path, who: str) -> tuple[int, str, str]:
        """The exit code and the words of an import that gets Ctrl-C as soon as something of it is kept."""
        with subprocess.Popen(
            command("import", file.name, "--batch", "50"),
            cwd=file.parent,
            env=environment(**served.variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as first:
            while not self.kept(served, who) and first.poll() is None:
                continue
            first.send_signal(signal.SIGINT)
            told, said = first.communicate(timeout=60 * slowness())
        return first.returncode, told, said

    def test_it_is_stopped_with_ctrl_c_and_repeated_to_the_end(
        self, journeys: Journeys, served: Served, tmp_path: Path
    ) -> None:
        who, count = "player", 5_000
        file = table(tmp_path / "deposits.csv", count, who)
        code, told, said = self.interrupted(served, file, who)
        if code == 0:
            # We stood still while all of it was imported; of a longer one much is left then.
            who, count = "other", 50_000
            file = table(tmp_path / "more.csv", count, who)
            code, told, said = self.interrupted(served, file, who)
        assert code == 130, said
        assert "Repeat the same command to go on" in said
        kept = self.kept(served, who)
        assert 0 < kept < count
        assert f"{kept:,}" in told

        again = journeys("import", file.name, **served.variables)
        assert again.returncode == 0, again.stderr
        assert again.stdout.split()[-4:] == [f"{count:,}", f"{count - kept:,}", f"{kept:,}", "0"]
        mine = f"FROM players WHERE id LIKE '{who}-%'"
        query = f"SELECT sum((state->'counts'->>'payment.deposit_approved')::int) {mine}"
        [(counted,)] = served.rows(query)
        assert counted == count

    def test_it_maps_columns_and_tells_what_was_rejected(
        self, journeys: Journeys, served: Served, tmp_path: Path
    ) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "logins.csv").write_text(
            "who;when;how\np-1;2026-01-01 10:00;password\np 2;2026-01-01 11:00;NA\n"
        )
        words = ("import", "in/logins.csv", "--type", "session.login", "--map", "subject=who", "--map", "time=when")
        told = journeys(*words, "--map", "data.method=how", "--zone", "Europe/Kyiv", **served.variables)
        assert told.returncode == 1
        assert told.stdout.split()[:6] == ["rows", "left", "sent", "accepted", "duplicate", "rejected"]
        assert told.stdout.split()[6:] == ["2", "0", "2", "1", "0", "1"]
        assert "in/logins.csv.rejected.ndjson" in told.stderr
        beside = tmp_path / "in" / "logins.csv.rejected.ndjson"
        [refused] = [json.loads(line) for line in beside.read_text().splitlines()]
        assert refused["line"] == 3
        assert "/subject" in refused["reason"]
        found = served.rows(
            "SELECT player_id, occurred_at::text, history, data->>'method' FROM events WHERE player_id = 'p-1'"
        )
        assert found == [("p-1", "2026-01-01 08:00:00+00", True, "password")]

    def test_live_events_start_journeys(self, journeys: Journeys, served: Served, tmp_path: Path) -> None:
        event = PlayerRegistered.example().to_wire() | {"specversion": "1.0", "subject": "new-1"}
        event.pop("time")
        (tmp_path / "one.ndjson").write_text(json.dumps(event) + "\n")
        assert journeys("import", "one.ndjson", "--live", **served.variables).returncode == 0
        assert served.rows("SELECT journey FROM runs") == [("welcome",)]

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            (("absent.csv",), "absent.csv cannot be read: No such file or directory."),
            (("deposits.csv", "--map", "subject=who"), "The file has no column 'who'; it has player_id, ts_utc"),
            (("deposits.csv", "--map", "subject"), "does not read PART=VALUE"),
            (("deposits.csv",), "No API answers at http://127.0.0.1:1/v1/events"),
        ],
    )
    def test_bad_input_is_a_sentence(
        self, journeys: Journeys, tmp_path: Path, words: tuple[str, ...], sentence: str
    ) -> None:
        table(tmp_path / "deposits.csv", 3)
        told = journeys("import", *words, JOURNEYS_URL="http://127.0.0.1:1", JOURNEYS_KEY="k")
        assert told.returncode == 1
        assert sentence in told.stderr
        assert "Traceback" not in told.stderr

    def test_without_an_address_it_looks_for_the_local_stack(self, journeys: Journeys, tmp_path: Path) -> None:
        table(tmp_path / "deposits.csv", 3)
        told = journeys("import", "deposits.csv")
        assert told.returncode == 1
        assert "No local stack was found here; name the API with --url and a key of it with --key." in told.stderr
        port = free_port()
        (tmp_path / ".local").mkdir()
        memory = {"ports": {"api": port}, "keys": {"backend": "k"}}
        (tmp_path / ".local" / "stack.json").write_text(json.dumps(memory))
        assert f"No API answers at http://127.0.0.1:{port}/v1/events" in journeys("import", "deposits.csv").stderr


def test_every_type_of_event_is_listed_with_a_sentence(journeys: Journeys) -> None:
    told = journeys("events")
    assert told.returncode == 0, told.stderr
    assert "igaming.payment.deposit_approved.v1  DepositApproved\n  The money arrived.\n" in told.stdout
    assert "igaming.derived.inactive.v1  Inactive  computed here, not to be sent\n  No event of a kind" in told.stdout
