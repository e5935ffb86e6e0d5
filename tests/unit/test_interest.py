"""Which events a journey can use: what none of its waits takes wakes no run."""

from datetime import UTC, datetime

import pytest

from tests.support.outside_packages import Write, journey_of
from workflows import DepositApproved, RoundCompleted, SessionLogin
from workflows.declaration import Journey
from workflows.player_state.decisions import Wake
from workflows.player_state.state import PlayerState
from workflows.rules.failures import RuleFailure
from workflows.rules.index import RuleIndex
from workflows.source.journey_loading import load

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
HEAD = """
from workflows import RoundCompleted

BIG = 100_000

def big(won: RoundCompleted) -> bool:
    return won.win_minor >= BIG

def odd(won: RoundCompleted) -> bool:
    return 1 // won.win_minor > 0
"""


def read(package: Write, body: str, *, listens: str = "") -> Journey:
    return load([package(one=journey_of(body, head=HEAD, listens=listens))]).journeys["hello"]


def round_of(win: int, number: int = 0) -> RoundCompleted:
    told = {"event_id": f"r{number}-{win}", "occurred_at": NOON, "win_minor": win}
    return RoundCompleted.example().model_copy(update=told)


def uses(journey: Journey, win: int) -> bool:
    return journey.can_use(round_of(win), [])


@pytest.mark.parametrize("where", ["big", "lambda won: won.win_minor >= BIG", "lambda won: big(won)"])
def test_only_what_its_wait_takes_is_of_use(package: Write, where: str) -> None:
    journey = read(package, f"await player.event(RoundCompleted, within=days(1), where={where})")
    assert [uses(journey, win) for win in (0, 99_999, 100_000)] == [False, False, True]
    assert "game.round_completed" in journey.listens_to


def test_what_one_of_several_waits_takes_is_of_use_whichever_comes_first(package: Write) -> None:
    body = """
    await player.event(RoundCompleted, within=days(1), where=big)
    await player.event(RoundCompleted, within=days(1), where=lambda won: won.win_minor == 7)
    """
    journey = read(package, body)
    assert [uses(journey, win) for win in (0, 7, 100_000)] == [False, True, True]


@pytest.mark.parametrize(
    "body",
    [
        "await player.event(RoundCompleted, within=days(1))",
        "await player.event(RoundCompleted, within=days(1), where=None)",
        # Known to the run alone: it looks at the event that began it, at a variable, at what a helper was given.
        "await player.event(RoundCompleted, within=days(1), where=lambda won: won.event_id != login.event_id)",
        "least = 5\nawait player.event(RoundCompleted, within=days(1), where=lambda won: won.win_minor > least)",
        "big = bool\nawait player.event(RoundCompleted, within=days(1), where=big)",
        "await player.event(RoundCompleted, within=days(1), where=lambda won, least=5: won.win_minor > least)",
        "limits = {'within': days(1), 'where': big}\nawait player.event(RoundCompleted, **limits)",
        # One of its waits takes everything.
        """
        await player.event(RoundCompleted, within=days(1), where=big)
        await player.first(RoundCompleted, DepositApproved, within=days(1))
        """,
    ],
)
def test_where_intake_cannot_ask_for_the_run_it_hears_everything(package: Write, body: str) -> None:
    assert uses(read(package, body), 0)


def test_what_a_designer_declares_is_heard_whole(package: Write) -> None:
    body = "await player.event(RoundCompleted, within=days(1), where=big)"
    assert uses(read(package, body, listens="RoundCompleted"), 0)


def test_two_lambdas_on_one_line_are_told_apart(package: Write) -> None:
    wait = "await player.event(RoundCompleted, within=days(1), where=lambda won: won.win_minor == {})"
    journey = read(package, f"({wait.format(1)}, {wait.format(2)})")
    assert [uses(journey, win) for win in (0, 1, 2, 3)] == [False, True, True, False]


def test_a_where_that_raises_takes_nothing_and_is_told(package: Write) -> None:
    """In the run it would have raised as well, and the run would have stood still."""
    journey = read(package, "await player.event(RoundCompleted, within=days(1), where=odd)")
    failures: list[RuleFailure] = []
    assert not journey.can_use(round_of(0), failures)
    assert [(failure.rule, failure.kind) for failure in failures] == [("odd", "where")]
    assert journey.can_use(round_of(1), failures)


def test_ten_thousand_rounds_that_nobody_waits_for_wake_nobody(package: Write) -> None:
    journey = read(package, "await player.event(RoundCompleted, within=days(1), where=big)")
    rules, failures = RuleIndex({"hello": journey}, {}), list[RuleFailure]()
    state = PlayerState(brand="acme", player_id="p1")
    login = SessionLogin(event_id="l", event_source="/test", occurred_at=NOON)
    state.advance(login, rules, NOON, failures)
    for number in range(10_000):
        assert state.advance(round_of(5, number), rules, NOON, failures) == []
    [run] = state.runs.values()
    assert run.seq == 0
    [wake] = state.advance(round_of(100_000), rules, NOON, failures)
    assert isinstance(wake, Wake)
    assert (wake.seq, failures) == (1, [])


def test_other_types_are_heard_as_before(package: Write) -> None:
    body = """
    await player.event(RoundCompleted, within=days(1), where=big)
    await player.event(DepositApproved, within=days(1))
    """
    journey = read(package, body)
    assert journey.can_use(DepositApproved.example(), [])
    assert not journey.can_use(SessionLogin.example(), [])
