"""A designer's function that raises at intake: nobody is kept out, and it is counted and told."""

import logging
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY

from activities.database import Database
from activities.intake.intake import Intake
from activities.intake.rule_failure_reports import log_line, report
from activities.settings import Settings
from tests.support.engine import Casino, HeldClock
from tests.support.player_events import declared
from tests.support.player_events import rules as ruled
from workflows import DepositApproved, PlayerRegistered, Statistics, on, segment
from workflows.rules.failures import RuleFailure


@segment
def doomed(player: Statistics) -> bool:
    """Divides by nothing."""
    return bool(1 // player.count(DepositApproved) // 0)


def quotes(event: PlayerRegistered) -> bool:
    return int(event.email or "") > 0


@pytest.fixture
async def casino(postgres_url: str) -> AsyncIterator[Casino]:
    database = Database(Settings(database_url=postgres_url))
    rules = ruled(declared("greet", on(PlayerRegistered, where=quotes)), segments=[doomed])
    yield Casino(Intake(database, rules), HeldClock())
    await database.close()


def failures(rule: str) -> float:
    return REGISTRY.get_sample_value("journeys_rule_failures_total", {"rule": rule}) or 0


async def test_rules_that_raise_are_counted_and_told_without_what_the_event_held(
    casino: Casino, caplog: pytest.LogCaptureFixture
) -> None:
    for player in ("p-1", "p-2", "p-3"):
        await casino.happens(player, PlayerRegistered, email="anna@example.com")
    assert failures("doomed") == 3
    assert failures("quotes") == 3
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len([line for line in told if "doomed" in line]) == 2
    assert next(line for line in told if "quotes" in line) == (
        "where=quotes raised ValueError on a player.registered event; it was taken for no. It is number 1 in "
        "this process."
    )
    assert "anna" not in caplog.text


def test_a_failure_without_a_name_makes_no_series_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    before = failures("other")
    report([RuleFailure("functools.partial(<function f at 0x1>)", "where", KeyError("k"), "session.login")])
    assert failures("other") == before + 1
    assert "KeyError on a session.login event; it was taken for no." in caplog.text


def test_what_raised_is_told_in_one_short_line() -> None:
    raised = RuleFailure("doomed", "segment", ValueError("a\n b" + "c" * 400))
    assert log_line(raised).startswith("Segment doomed raised ValueError (a bccc")
    assert len(log_line(raised)) == 300
