"""The demo: its script, its manager, its auditor, and the whole of it end to end."""

import json
import os
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from sqlalchemy import insert
from temporalio.client import Client

from activities.database import Database
from activities.intake.intake import Intake
from activities.settings import Settings
from activities.tables import events, grants, messages, players, runs
from local.demo.audit import Auditor, Check, ExcludedPlayer, percentile
from local.demo.report import DemoReport, print_report
from local.demo.script import SPLIT, DemoError, from_log, synthetic
from local.demo.scripted_manager import fill
from local.stand_ins.base import Record
from tests.support.commands import command
from workflows.events import Event, ExclusionSet
from workflows.forms import Form
from workflows.rules.index import RuleIndex
from workflows.source.journey_loading import load

ROOT = Path(__file__).parent.parent.parent
REAL_LOG = Path(os.environ.get("LOG") or ROOT.parent / "shared" / "data" / "casino_deposits.csv")
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
KEYS = [
    "history_events",
    "live_events",
    "duplicates",
    "runs_started",
    "control",
    "messages",
    "grants",
    "tasks",
    "reaction_ms",
    "lost",
    "doubled",
    "deposits",
]


def demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("demo", "--folder", str(folder), *options),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


def summary_of(played: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert played.returncode == 0, played.stdout + played.stderr
    summary: dict[str, Any] = json.loads(played.stdout.splitlines()[-1])
    assert list(summary) == KEYS
    assert (summary["lost"], summary["doubled"]) == (0, 0)
    assert summary["duplicates"] == summary["live_events"]
    assert "nothing let through since" in " ".join(played.stdout.split())
    assert 0 < summary["reaction_ms"]["p50"] <= summary["reaction_ms"]["p99"]
    return summary


def entered(summary: dict[str, Any], journey: str) -> int:
    return int(summary["runs_started"][journey] + summary["control"][journey])


class TestDemo:
    @pytest.mark.timeout(300)
    def test_a_small_synthetic_casino_is_played_to_a_clean_end(self, session_folder: Path) -> None:
        summary = summary_of(demo(session_folder / "demo", "--players", "36", "--seed", "7"))
        assert entered(summary, "welcome") == 12
        assert entered(summary, "tier_up") >= 2
        assert entered(summary, "vip_onboarding") >= 2
        assert entered(summary, "failed_deposit") >= 1
        assert entered(summary, "win_back") >= 2
        assert summary["messages"]["sent"] > 0
        # The player who self-excluded may have had a task open; it was cancelled.
        assert 0 < summary["tasks"]["completed"] <= summary["tasks"]["opened"] <= summary["tasks"]["completed"] + 1
        assert summary["grants"]["unknown"] == 0

    @pytest.mark.slow  # 70,000 events through real servers; the small casino above takes the same way
    @pytest.mark.timeout(900)
    @pytest.mark.skipif(not REAL_LOG.is_file(), reason="the real log is not beside this checkout")
    def test_the_real_log_gives_the_published_counts(self, session_folder: Path) -> None:
        summary = summary_of(demo(session_folder / "demo-log", "--log", str(REAL_LOG)))
        assert summary["deposits"] == {"history": 64_893, "live": 4_841}
        assert summary["history_events"] == 64_893 + 2_280 - 123
        assert summary["live_events"] == 4_841 + 123
        assert entered(summary, "welcome") == 123
        assert entered(summary, "second_deposit") == 123
        assert entered(summary, "tier_up") == 12

    def test_a_log_that_is_not_there_is_a_sentence(self, tmp_path: Path) -> None:
        played = demo(tmp_path / "demo", "--log", str(tmp_path / "absent.csv"))
        assert played.returncode == 1
        assert played.stderr.startswith("There is no log at ")
        assert not (tmp_path / "demo").exists()

    def test_a_log_that_cannot_be_played_is_told_before_anything_starts(self, tmp_path: Path) -> None:
        log = log_of(tmp_path / "log.csv", ("p", "2020-01-01 00:00+00:00", "1.0"))
        played = demo(tmp_path / "demo", "--log", str(log))
        assert played.returncode == 1
        assert "needs deposits at two different times at least" in played.stderr
        assert "Starting" not in played.stderr
        assert not (tmp_path / "demo").exists()

    def test_it_never_empties_a_folder_that_is_not_its_own(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("two years of work")
        played = demo(tmp_path)
        assert played.returncode == 1
        assert "holds something that is not a demo's" in played.stderr
        assert (tmp_path / "thesis.txt").read_text() == "two years of work"


def log_of(path: Path, *rows: tuple[str, str, str]) -> Path:
    path.write_text("player_id,ts_utc,amount_usd\n" + "".join(",".join(row) + "\n" for row in rows))
    return path


class TestScript:
    def test_a_log_is_split_shifted_and_given_registrations(self, tmp_path: Path) -> None:
        log = log_of(
            tmp_path / "log.csv",
            ("old", "2020-01-31 23:59:50+00:00", "10.0"),
            ("new", "2020-02-01 00:00:00+00:00", "25.5"),
            ("old", "2020-02-01 00:00:05+00:00", "10.0"),
        )
        script = from_log(log, NOW)
        parts = (script.history, script.live)
        told = [[(e["subject"], e["type"].split(".")[2], e["time"]) for e in part] for part in parts]
        assert told == [
            [("old", "registered", "2026-05-04T11:59:49Z"), ("old", "deposit_approved", "2026-05-04T11:59:50Z")],
            [
                ("new", "registered", "2026-05-04T11:59:59Z"),
                ("new", "deposit_approved", "2026-05-04T12:00:00Z"),
                ("old", "deposit_approved", "2026-05-04T12:00:05Z"),
            ],
        ]
        assert script.deposits == {"history": 1, "live": 2}
        assert script.live[1]["data"]["amount_minor"] == 2550
        for event in (*script.history, *script.live):
            Event.from_wire(event)

    @pytest.mark.parametrize(
        ("times", "history"),
        [
            (("2020-01-31 12:00", "2020-02-01 00:00", "2024-05-31 12:00"), 1),  # spans the day that is known
            (("2023-01-01 12:00", "2024-04-30 12:00", "2024-05-01 00:00", "2024-05-31 12:00"), 2),
            (("2024-05-01 00:00", "2024-05-02 00:00", "2024-05-05 00:00"), 2),  # shorter than a month
            (("2024-05-01 00:00:00", "2024-05-01 00:00:01"), 1),
        ],
    )
    def test_the_last_month_of_a_log_happens_live(self, tmp_path: Path, times: tuple[str, ...], history: int) -> None:
        script = from_log(log_of(tmp_path / "log.csv", *(("p", f"{at}+00:00", "1.0") for at in times)), NOW)
        assert script.deposits == {"history": history, "live": len(times) - history}
        past = [datetime.fromisoformat(event["time"]) for event in script.history]
        assert past == sorted(past)
        assert past[-1] < NOW

    def test_a_log_gives_the_same_identities_whenever_it_is_read(self, tmp_path: Path) -> None:
        twin = ("p", "2020-01-31 10:00:00+00:00", "5.0")
        log = log_of(tmp_path / "log.csv", twin, twin, ("p", "2020-02-02 10:00:00+00:00", "5.0"))
        ids = [
            [event["id"] for event in (*script.history, *script.live)]
            for script in (from_log(log, NOW), from_log(log, NOW + timedelta(days=1)))
        ]
        assert ids[0] == ids[1]
        assert len(set(ids[0])) == 4

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            ("who,when\n", "has no column player_id"),
            ("player_id,ts_utc,amount_usd\n", "deposits at two different times"),
            ("player_id,ts_utc,amount_usd\np,2020-01-01,1\np,2020-01-01,2\n", "deposits at two different times"),
            ("player_id,ts_utc,amount_usd\np,yesterday,1\n", "line 2, is not a deposit"),
            ("player_id,ts_utc,amount_usd\np,2020-01-01,much\n", "line 2, is not a deposit"),
            ("player_id,ts_utc,amount_usd\np,2020-01-01\n", "line 2, is not a deposit"),
        ],
    )
    def test_a_wrong_log_is_a_sentence(self, tmp_path: Path, content: str, sentence: str) -> None:
        (tmp_path / "log.csv").write_text(content)
        with pytest.raises(DemoError, match=sentence):
            from_log(tmp_path / "log.csv", NOW)

    @pytest.mark.skipif(not REAL_LOG.is_file(), reason="the real log is not beside this checkout")
    def test_the_real_log_has_the_published_shape(self) -> None:
        script = from_log(REAL_LOG, NOW)
        assert script.deposits == {"history": 64_893, "live": 4_841}
        deposits = Counter(e["subject"] for e in script.history if "deposit" in e["type"])
        reached: Counter[int] = Counter()
        for event in script.live:
            if "deposit" in event["type"]:
                deposits[event["subject"]] += 1
                reached[deposits[event["subject"]]] += 1
        assert (reached[1], reached[2], reached[10], reached[50], reached[100]) == (123, 69, 36, 12, 12)
        # The last deposits of the past fall just before the demo begins.
        assert NOW - timedelta(hours=1) < datetime.fromisoformat(script.history[-1]["time"]) < NOW
        assert SPLIT.tzinfo is UTC

    def test_the_synthetic_script_is_the_casino_s(self) -> None:
        script = synthetic(1, NOW, 30)
        assert {event["source"] for event in (*script.history, *script.live)} == {"/synthetic-casino"}
        assert script.deposits["live"] > 0


class Unusual(Form):
    """Everything a form can ask for."""

    choice: Literal["first", "second"]
    count: int = Field(ge=3)
    share: float = Field(gt=0.5)
    sure: bool
    day: date
    moment: datetime
    words: str = Field(min_length=60)
    few: str = Field(max_length=3)
    maybe: str | None
    tags: list[str] = Field(min_length=2)
    fixed: Literal["only"]
    optional: str = ""


class TestManager:
    def test_it_fills_the_form_of_every_task_a_journey_asks(self) -> None:
        forms = {form for asked in load().forms.values() for form in asked.values()}
        assert forms
        for form in forms:
            form.model_validate(fill(form.model_json_schema()))

    def test_it_fills_whatever_else_a_designer_may_ask(self) -> None:
        filled = Unusual.model_validate(fill(Unusual.model_json_schema()))
        assert filled.choice == "first"
        assert filled.sure

    def test_a_form_nobody_can_fill_is_an_error_and_no_guess(self) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^x{9}$"}}, "required": ["a"]}
        with pytest.raises(jsonschema.ValidationError):
            fill(schema)


class TestReport:
    @given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([0.5, 0.99]))
    def test_a_percentile_is_a_value_that_enough_do_not_exceed(self, values: list[float], share: float) -> None:
        values = sorted(round(value, 1) for value in values)
        found = percentile(values, share)
        assert found in values
        assert sum(value <= found for value in values) >= share * len(values)
        assert sum(value < found for value in values) < share * len(values)

    def test_messages_that_no_provider_could_get_are_told_apart(self, capsys: pytest.CaptureFixture[str]) -> None:
        print_report(story(figures=story().figures | {"sent": 7, "in_app": 3}))
        told = " ".join(capsys.readouterr().out.split())
        assert "7 sent" in told
        assert "3 of those sent lie in the player's inbox here" in told

    def test_no_reaction_has_no_percentile(self) -> None:
        assert percentile([], 0.99) is None

    @pytest.mark.parametrize(
        "change",
        [
            {"checks": [Check("events", 2, 1, 1, 0)]},
            {"checks": [Check("events", 1, 2, 0, 1)]},
            {"changed": ["Feeding again changed runs."]},
            {"contacts": ["a message was handed over"]},
            {"refused": ["The API refused an event"]},
            {"unfinished": {"workflows at work": 1}},
        ],
    )
    def test_anything_wrong_makes_it_unclean(self, change: dict[str, Any]) -> None:
        assert story().clean
        assert not story(**change).clean


def story(**changes: Any) -> DemoReport:
    given: dict[str, Any] = {
        "title": "a test",
        "deposits": {"history": 1, "live": 1},
        "history_events": 1,
        "live_events": 1,
        "duplicates": 1,
        "runs": {("welcome", "treated"): 1},
        "journeys": ["welcome"],
        "figures": dict.fromkeys(("sent", "in_app", "suppressed", "confirmed", "unknown", "opened", "completed"), 0),
        "reactions": [],
        "checks": [Check("events", 1, 1, 0, 0)],
        "changed": [],
        "contacts": [],
        "excluded": [],
        "unfinished": {},
        "refused": [],
        "history_took": timedelta(seconds=1),
        "live_took": timedelta(seconds=1),
    }
    return DemoReport(**given | changes)


class TestAuditor:
    """Each test plants a fault in somebody's books; an auditor that always says "fine" would fail them all."""

    @pytest.fixture
    async def database(self, postgres_url: str) -> AsyncIterator[Database]:
        database = Database(Settings(database_url=postgres_url))
        yield database
        await database.close()

    @pytest.fixture
    async def auditor(self, database: Database, temporal: Client, tmp_path: Path) -> Auditor:
        return Auditor(database, temporal, tmp_path)

    async def test_an_acknowledged_event_that_is_not_kept_is_lost(self, database: Database, auditor: Auditor) -> None:
        script = synthetic(1, NOW, 12)
        intake = Intake(database, RuleIndex(load().journeys))
        taken = [(event["subject"], Event.from_wire(event)) for event in script.history]
        await intake.ingest("demo", taken, NOW, mode="history")
        acknowledged = {(event.event_source, event.event_id) for _, event in taken}
        kept, counted, *_ = await auditor.checks({*acknowledged, ("/s", "never kept")}, 0)
        assert (kept.lost, kept.doubled) == (1, 0)
        assert (counted.expected, counted.found, counted.lost, counted.doubled) == (len(taken), len(taken), 0, 0)
        assert counted.name == "events counted by players"
        excluded = ExclusionSet.example().model_copy(update={"event_source": "api:crm", "occurred_at": NOW})
        await intake.ingest("demo", [("p", excluded)], NOW)
        _, counted, *_ = await auditor.checks(acknowledged, 0)
        assert counted.name == "events counted by players, with 1 made by the desk"

    @pytest.mark.parametrize(("counts", "lost", "doubled"), [({"a.b": 2}, 0, 1), ({}, 1, 0), ({"a.b": 1}, 0, 0)])
    async def test_an_event_counted_twice_or_never_is_found(
        self, database: Database, auditor: Auditor, counts: dict[str, int], lost: int, doubled: int
    ) -> None:
        event = {"brand": "demo", "source": "/s", "id": "1", "type": "a.b", "player_id": "p", "occurred_at": NOW}
        async with database.transaction() as connection:
            await connection.execute(insert(events).values(**event, data={}))
            await connection.execute(insert(players).values(brand="demo", id="p", state={"counts": counts}))
        _, counted, *_ = await auditor.checks([("/s", "1")], 0)
        assert (counted.lost, counted.doubled) == (lost, doubled)

    @pytest.mark.parametrize(
        ("arrived", "lost", "doubled"),
        [(["m/email"], 0, 0), ([], 1, 0), (["m/email", "m/email"], 0, 1), (["m/email", "other/email"], 0, 1)],
    )
    async def test_the_catch_all_s_files_are_believed_and_not_our_word(
        self, database: Database, auditor: Auditor, tmp_path: Path, arrived: list[str], lost: int, doubled: int
    ) -> None:
        async with database.transaction() as connection:
            await connection.execute(insert(messages).values(message("m/email")))
        write(tmp_path / "messages" / "mails.jsonl", *({"key": key} for key in arrived))
        check = await auditor._messages()
        assert (check.lost, check.doubled) == (lost, doubled)

    @pytest.mark.parametrize(
        ("paid", "lost", "doubled"), [(["g"], 0, 0), ([], 1, 0), (["g", "g"], 0, 1), (["g", "other"], 0, 1)]
    )
    async def test_the_bonus_engine_s_ledger_is_believed_and_not_our_word(
        self, database: Database, auditor: Auditor, tmp_path: Path, paid: list[str], lost: int, doubled: int
    ) -> None:
        values = {"id": "g", "brand": "demo", "player_id": "p", "run_id": "r", "step": "s", "journey": "j"}
        async with database.transaction() as connection:
            await connection.execute(
                insert(grants).values(**values, kind="points", reward={}, status="confirmed", decision={})
            )
        write(tmp_path / "bonus-engine.jsonl", *({"kind": "grant", "key": key} for key in paid))
        check = await auditor._grants()
        assert (check.lost, check.doubled) == (lost, doubled)

    async def test_a_run_that_temporal_never_heard_of_is_lost(self, database: Database, auditor: Auditor) -> None:
        async with database.transaction() as connection:
            await connection.execute(insert(runs).values(run("never:demo:p:1")))
            await connection.execute(
                insert(runs).values(run("refused:demo:p:1", outcome="refused:self_excluded", played=False))
            )
            await connection.execute(insert(runs).values(run("tracked:demo:p:1", arm="control", played=False)))
        check = await auditor._workflows()
        assert (check.expected, check.lost) == (1, 1)

    @pytest.mark.parametrize(
        ("handed_over", "message_class", "arrived", "found", "under_way"),
        [
            (timedelta(seconds=1), "marketing", timedelta(seconds=2), 1, 0),
            (timedelta(seconds=1), "rg", timedelta(seconds=2), 0, 1),
            (timedelta(seconds=-1), "marketing", timedelta(seconds=1), 0, 1),
            (timedelta(seconds=-2), "marketing", timedelta(seconds=-1), 0, 0),
        ],
    )
    async def test_what_was_let_through_after_a_self_exclusion_is_found(
        self,
        database: Database,
        auditor: Auditor,
        tmp_path: Path,
        handed_over: timedelta,
        message_class: str,
        arrived: timedelta,
        found: int,
        under_way: int,
    ) -> None:
        key = "welcome:demo:p:1/send:welcome#1/email"
        row = message(key) | {"handed_over_at": NOW + handed_over, "message_class": message_class}
        async with database.transaction() as connection:
            await connection.execute(insert(messages).values(row))
        write(tmp_path / "messages" / "mails.jsonl", {"key": key, "at": (NOW + arrived).isoformat()})
        contacts, late = await auditor.contacts_after(ExcludedPlayer("p", NOW))
        assert (len(contacts) > 0, late) == (found > 0, under_way)

    async def test_a_message_from_nowhere_and_a_run_that_goes_on_are_found(
        self, database: Database, auditor: Auditor, tmp_path: Path
    ) -> None:
        async with database.transaction() as connection:
            await connection.execute(insert(runs).values(run("welcome:demo:p:1")))
        record = {"key": "welcome:demo:p:1/send:welcome#1/email", "at": (NOW + timedelta(seconds=1)).isoformat()}
        write(tmp_path / "messages" / "mails.jsonl", record)
        contacts, _ = await auditor.contacts_after(ExcludedPlayer("p", NOW))
        assert len(contacts) == 2
        assert any("still runs" in line for line in contacts)
        assert any("was never let pass" in line for line in contacts)


def write(path: Path, *records: Record) -> None:
    """A provider's file, as the provider would have left it."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def message(key: str) -> dict[str, Any]:
    return {
        "id": key,
        "brand": "demo",
        "player_id": "p",
        "run_id": key.partition("/")[0],
        "step": "send:welcome#1",
        "journey": "welcome",
        "channel": "email",
        "template": "welcome",
        "message_class": "service",
        "status": "sent",
        "decision": {},
    }


def run(run_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": run_id,
        "brand": "demo",
        "player_id": "p",
        "journey": run_id.partition(":")[0],
        "arm": "treated",
        "played": True,
        "state": "active",
        "entered_at": NOW,
        "ends_at": NOW,
        **changes,
    }
