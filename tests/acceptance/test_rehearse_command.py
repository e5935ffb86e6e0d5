"""`journeys rehearse` as a designer meets it: a file, the database, many machines, the real log."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from temporalio.client import Client

import cli.app
from activities.database import Database
from activities.intake.intake import Intake
from activities.settings import Settings
from local.slowness import slowness
from stage.backtest import distributed
from stage.backtest.backtest import back_test, plan_of
from stage.backtest.event_log import Log, natural_return, play_back, read_log
from stage.errors import StageError
from tests.support.commands import command
from tests.support.logs import NOON, PACKAGES, happened, rehearse, several, synthetic, table, templates
from workflows import hours
from workflows.events import DepositApproved, PlayerRegistered
from workflows.rules.index import RuleIndex

ROOT = Path(__file__).parent.parent.parent
REAL_LOG = Path(os.environ.get("LOG") or ROOT.parent / "shared" / "data" / "casino_deposits.csv")

Run = Callable[..., subprocess.CompletedProcess[str]]


class TestCommand:
    @pytest.fixture
    def run(self, tmp_path: Path) -> Run:
        def rehearsed(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
            ours = {"DATABASE_URL", "JOURNEYS", "TEMPORAL_ADDRESS"}
            kept = {name: value for name, value in os.environ.items() if name not in ours}
            return subprocess.run(
                command("rehearse", *words),
                cwd=tmp_path,
                env=kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "200", **variables},
                capture_output=True,
                text=True,
                check=False,
                timeout=100 * slowness(),
            )

        return rehearsed

    def test_its_last_line_is_the_figures(self, tmp_path: Path, run: Run) -> None:
        log = table(tmp_path / "d.csv", *several("ann", 50), *several("bob", 1))
        done = run("tier_up", "welcome", "--log", log.name, "--control", "0", "--report", "out.html")
        assert done.returncode == 0, done.stderr
        [line] = done.stdout.splitlines()
        figures = json.loads(line)
        assert figures["entered"] == {"tier_up": 1, "welcome": 2}
        assert figures["grants"] == {"tier_up": 2, "welcome": 0}
        assert "2 players have no registration in the log." in done.stderr
        assert "The report is in out.html." in done.stderr
        assert line.replace("<", "\\u003c") in (tmp_path / "out.html").read_text()

    @pytest.mark.parametrize(
        ("words", "code", "sentence"),
        [
            ((), 2, "Give the history: either --log FILE or --from-database."),
            (("--log", "d.csv", "--from", "soon"), 2, "--from 'soon' is not a time"),
            (("--log", "nowhere.csv"), 1, "nowhere.csv cannot be read: No such file"),
            (("welcom", "--log", "d.csv"), 1, "There is no journey welcom"),
            (("--log", "d.csv", "--answers", "somebody"), 1, "--answers takes nobody, approve or a Python file"),
            (("--log", "d.csv", "--map", "subject=who"), 1, "The file has no column 'who'"),
        ],
    )
    def test_a_mistake_is_a_sentence(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
        words: tuple[str, ...],
        code: int,
        sentence: str,
    ) -> None:
        table(tmp_path / "d.csv", *several("ann", 1))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["journeys", "rehearse", *words])
        with pytest.raises(SystemExit) as left:
            cli.app.main()
        out, err = capfd.readouterr()
        assert (left.value.code, out) == (code, "")
        assert sentence in " ".join(err.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", " ").split())

    async def test_it_plays_the_events_that_were_kept(self, postgres_url: str, run: Run) -> None:
        database = Database(Settings(database_url=postgres_url))
        kept = [("ann", happened(PlayerRegistered, NOON)), ("ann", happened(DepositApproved, NOON + hours(1)))]
        await Intake(database, RuleIndex({})).ingest("acme", kept, NOON + hours(2))
        await Intake(database, RuleIndex({})).ingest("other", kept[:1], NOON + hours(2))
        await database.close()
        words = ("welcome", "--from-database", "--brand", "acme")
        done = await asyncio.to_thread(run, *words, DATABASE_URL=postgres_url)
        assert done.returncode == 0, done.stderr
        figures = json.loads(done.stdout)
        assert figures["period"]["types"] == {"payment.deposit_approved": 1, "player.registered": 1}
        assert (figures["entered"], figures["conversions"]) == ({"welcome": 1}, {"welcome": 1})


class TestOnManyMachines:
    async def test_workers_of_temporal_play_the_same(self, temporal: Client, tmp_path: Path) -> None:
        plan, log = plan_of(synthetic(), packages=PACKAGES, journeys=("welcome", "win_back"), templates=templates())
        heard: list[int] = []
        async with distributed.worker(temporal):
            counts = await distributed.back_test_on_temporal(
                plan, log, tmp_path, jobs=3, on_progress=heard.append, client=temporal
            )
        assert counts.to_json() == back_test(plan, log).to_json()
        assert sum(heard) == log.events.height
        assert list(tmp_path.iterdir()) == []

    async def test_a_mistake_comes_back_as_its_sentence(self, temporal: Client, tmp_path: Path) -> None:
        log = read_log(table(tmp_path / "d.csv", *several("ann", 50)))
        wrong = "def answer(task, asked): return 1"
        plan, played = plan_of(
            log, packages=PACKAGES, journeys=("tier_up",), templates=templates(), control=0, answers=wrong
        )
        async with distributed.worker(temporal):
            with pytest.raises(StageError, match="The answer to PersonalNote is 1"):
                await distributed.back_test_on_temporal(plan, played, tmp_path / "shared", client=temporal)
        assert list((tmp_path / "shared").iterdir()) == []


@pytest.fixture(scope="module")
def log() -> Log:
    return read_log(REAL_LOG)


@pytest.mark.skipif(not REAL_LOG.is_file(), reason="the real log is not beside this checkout")
class TestRealLog:
    def test_every_row_is_read(self, log: Log) -> None:
        assert (log.events.height, log.players, log.unreadable) == (69_734, 2_280, 0)
        counted = Counter(Counter(player_id for player_id, _ in play_back(log.events)).values())
        reached = {number: sum(n for many, n in counted.items() if many >= number) for number in (2, 10, 50, 100)}
        assert reached == {2: 1_435, 10: 734, 50: 298, 100: 172}

    def test_who_comes_back_anyway_is_as_published(self, log: Log) -> None:
        shares = {idle: round(100 * back / silences) for idle, (silences, back) in natural_return(log).items()}
        assert shares == {7: 56, 14: 39, 30: 22, 60: 11, 90: 6}

    @pytest.mark.slow  # four years of everybody; the last month below asks the same of fewer
    def test_exactly_the_right_players_enter(self, log: Log) -> None:
        figures = rehearse(log, "tier_up", "second_deposit", "welcome", control=0)
        assert figures.entered == {"tier_up": 298, "second_deposit": 2_280, "welcome": 2_280}
        assert figures.control == {"tier_up": 0, "second_deposit": 0, "welcome": 0}

    def test_the_last_month_alone_takes_in_its_newcomers(self, log: Log) -> None:
        split = datetime(2020, 2, 1, tzinfo=UTC)
        figures = rehearse(log, "tier_up", "second_deposit", "vip_onboarding", control=0, live_from=split)
        assert figures.entered == {"tier_up": 12, "second_deposit": 123, "vip_onboarding": 12}
