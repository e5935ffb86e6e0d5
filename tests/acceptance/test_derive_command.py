"""`journeys derive` as a person meets it: a process that is stopped, killed and repeated."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local.slowness import slowness
from tests.support.command_line import NOWHERE, Journeys, environment, rows
from tests.support.commands import ROOT, command

PLAYERS = 3_000
#: Every player paid twice lately; every tenth of them enough to be a high roller.
PAST = (
    f"""
    INSERT INTO players (brand, id, state)
    SELECT 'acme', 'p-' || n, '{{"counts": {{"payment.deposit_approved": 2}}}}' FROM generate_series(1, {PLAYERS}) n
    RETURNING 1
    """,
    f"""
    INSERT INTO events (brand, source, id, type, player_id, occurred_at, data)
    SELECT 'acme', '/cashier', n || '-' || k, 'payment.deposit_approved', 'p-' || n, now() - k * interval '1 day',
           jsonb_build_object('payment_id', n || '-' || k, 'amount_minor', CASE WHEN n % 10 = 0 THEN 300000 ELSE 1 END)
    FROM generate_series(1, {PLAYERS}) n, generate_series(1, 2) k
    RETURNING 1
    """,
)


def started(url: str, folder: Path, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command("derive", *words),
        cwd=folder,
        env=environment(DATABASE_URL=url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(process: "subprocess.Popen[str]", holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60 * slowness()
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline


def test_it_is_stopped_killed_and_repeated_to_the_end(journeys: Journeys, postgres_url: str, tmp_path: Path) -> None:
    for statement in PAST:
        rows(postgres_url, statement)

    def done() -> int:
        return int(str(rows(postgres_url, "SELECT coalesce(max(done), 0) FROM jobs")[0][0]))

    # So slowly that it is not over although we stand still for a while before we stop it.
    words = ("high_roller", "--per-second", "100")
    with started(postgres_url, tmp_path, *words) as process:
        until(process, lambda: done() > 0)
        process.send_signal(signal.SIGINT)
        told, said = process.communicate(timeout=60 * slowness())
    assert process.returncode == 130, said
    assert "Stopped. Repeat the same command to go on." in said
    stopped_at = done()
    assert 0 < stopped_at < PLAYERS
    assert f"{stopped_at:,}" in told

    with started(postgres_url, tmp_path, *words) as process:
        until(process, lambda: done() > stopped_at)
        process.kill()
        process.communicate(timeout=60 * slowness())  # its streams end when it is dead, and not only who called it
    killed_at = done()
    assert stopped_at < killed_at < PLAYERS

    last = journeys("derive", "high_roller", DATABASE_URL=postgres_url)
    assert last.returncode == 0, last.stderr
    assert f"Going on after {killed_at:,} players" in last.stderr
    assert last.stdout.split()[-6:] == ["acme", "3,000", "6,000", "3,000", "300", "0"]
    [(members,)] = rows(postgres_url, "SELECT count(*) FROM memberships WHERE segment = 'high_roller'")
    assert members == PLAYERS // 10
    assert rows(postgres_url, "SELECT state, done FROM jobs") == [("done", PLAYERS)]
    assert rows(postgres_url, "SELECT count(*) FROM deliveries") == [(0,)]


def test_without_a_rule_it_lists_what_there_is(journeys: Journeys) -> None:
    told = journeys("derive")
    assert told.returncode == 0, told.stderr
    assert "high_roller\n  Deposited 5,000.00 or more in the last 30 days" in told.stdout
    assert (
        "inactive:session.login:1209600\n  no SessionLogin for 14 days\n  reads session.login; lets into" in told.stdout
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("high_rolers",), "There is no rule high_rolers. Did you mean high_roller? JOURNEYS names no"),
        (("milestone:payment.deposit:50",), "Did you mean milestone:payment.deposit_approved:50?"),
        (("deposits_a_lot",), "deposits_a_lot. JOURNEYS names no package of yours; if the rule is your own, name it"),
        (("high_roller",), "The database named by DATABASE_URL does not do this"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(journeys: Journeys, words: tuple[str, ...], sentence: str) -> None:
    told = journeys("derive", *words, DATABASE_URL=NOWHERE)
    assert told.returncode == 1
    assert sentence in told.stderr
    assert "Traceback" not in told.stderr


def test_who_named_a_package_is_not_told_to_name_one(journeys: Journeys) -> None:
    told = journeys("derive", "?", JOURNEYS="tests.support.api_journeys")
    assert "There is no rule ?. `journeys derive` without a name lists them." in told.stderr


HOUSE = """
from workflows import DepositApproved, Statistics, days, segment, total

PAID = total(DepositApproved, "amount_minor", last=days(30))


@segment
def broken(player: Statistics) -> bool:
    \"\"\"Divides by what a payment of one leaves.\"\"\"
    return 5 // (player[PAID] - 1) > 0
"""


def test_a_segment_that_raises_is_told_in_sentences(journeys: Journeys, postgres_url: str, tmp_path: Path) -> None:
    (tmp_path / "house.py").write_text(HOUSE)
    for statement in PAST:
        rows(postgres_url, statement.replace(str(PLAYERS), "1").replace("k * interval", "10 * k * k * interval"))
    told = journeys("derive", "broken", DATABASE_URL=postgres_url, JOURNEYS="house", PYTHONPATH=f"{ROOT}:{tmp_path}")
    assert told.returncode == 1, told.stderr
    assert "a rule raised" in told.stdout
    assert "For 1 player a rule raised and was taken for no. The first: Segment broken raised Zero" in told.stderr
    assert "Mend it and derive again." in told.stderr
    assert "RuleWarning" not in told.stdout + told.stderr


def test_where_nobody_is_nothing_is_derived(journeys: Journeys, postgres_url: str) -> None:
    told = journeys("derive", "high_roller", "--brand", "acme", DATABASE_URL=postgres_url)
    assert told.returncode == 1
    assert "There are no players of brand acme, so there is nothing to derive." in told.stderr
