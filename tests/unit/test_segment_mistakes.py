"""What is wrong in a segment is told at start-up, because a wrong one would say nothing: nobody would ever be in it."""

from functools import lru_cache, partial

import pytest

from tests.support.outside_packages import Write, line_of, mistakes
from workflows import DepositApproved, RoundCompleted, SessionLogin, Statistics, count, days, distinct, segment, week
from workflows.errors import DesignError
from workflows.rules.measures import Measure
from workflows.source.journey_loading import load
from workflows.source.segment_dependencies import reads

HEAD = """\
import functools
from datetime import datetime
from workflows import DepositApproved, RoundCompleted, SessionLogin, Statistics, count, days, segment, total

PAID = total(DepositApproved, "amount_minor", last=days(30))
BY_NAME = {"paid": PAID, "login": SessionLogin}
ALL = (PAID, count(RoundCompleted))


@segment
def other(player):
    "Has deposited."
    return player.deposits > 0


"""
DECLARED = HEAD + "@segment\ndef regular(player):\n    'Comes often.'\n    "
AT = f"one, line {len(HEAD.splitlines()) + 1}: the segment regular"
NOT_NAMED = (
    "which its code does not name, so that no such event would ask it again; read it by its own name, not out of a "
    "list or another variable."
)
NOTHING = (
    "looks at nothing of the player, so that nobody ever comes in or leaves; read a measure, an event or a fact, such "
    "as player.deposits."
)
NOBODY = "fails on a player of whom nothing is known, with"
PUT = "put @segment above the function and name it here."
MAY_BE = "Every statistic may be 0 or None."


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("return False", NOTHING),
        ("return len(BY_NAME) > 3", NOTHING),
        (
            "return player[BY_NAME['paid']] > 0",
            f"looks at total amount_minor of DepositApproved in the last 30 days, {NOT_NAMED}",
        ),
        ("return player.quiet(BY_NAME['login'], days(3))", f"looks at SessionLogin, {NOT_NAMED}"),
        ("return player.country == 'UA' or player.count(BY_NAME['login']) > 3", f"looks at SessionLogin, {NOT_NAMED}"),
        ("return getattr(player, 'favourite' + '_category') == 'slot'", f"looks at RoundCompleted, {NOT_NAMED}"),
        (
            "return player['paid'] > 0",
            "cannot be asked: player[...] takes a measure, such as count(DepositApproved), not 'paid'.",
        ),
        (
            "return player.count('login') > 0",
            "cannot be asked: player.count(...) takes an event class of workflows, or one of your own, not 'login'.",
        ),
        (
            "return player.matches('other')",
            "cannot be asked: player.matches(...) takes a segment, not 'other'; " + PUT,
        ),
    ],
)
def test_a_segment_that_could_never_change_is_told(package: Write, body: str, sentence: str) -> None:
    assert mistakes(package(one=DECLARED + body)) == [f"{AT} {sentence}"]


def test_each_thing_that_is_not_named_is_told(package: Write) -> None:
    told = mistakes(package(one=DECLARED + "return sum([player[one] for one in ALL]) > 3"))
    assert [line.partition(" looks at ")[2].partition(",")[0] for line in told] == [
        "count of RoundCompleted",
        "total amount_minor of DepositApproved in the last 30 days",
    ]


@pytest.mark.parametrize(
    "body",
    [
        "return player.country == 'UA'",
        "return player.tier == 'gold'",
        "return player.is_test",
        "return player.registered_for(days(30))",
        "return player.matches(other)",
        "return 12 in player.usual_hours",
        "return player.mean_deposit_minor > 100",
        "return any(player[one] > 0 for one in (PAID,))",
    ],
)
def test_a_fact_is_enough_for_a_segment(package: Write, body: str) -> None:
    assert list(load([package(one=DECLARED + body)]).segments) == ["other", "regular"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return player.deposited_minor / player.deposits > 5", f"ZeroDivisionError: division by zero. {MAY_BE}"),
        (
            "return player.last(SessionLogin).year > 2020",
            f"AttributeError: 'NoneType' object has no attribute 'year'. {MAY_BE}",
        ),
        (
            "return player.first(SessionLogin) < 3",
            f"TypeError: '<' not supported between instances of 'NoneType' and 'int'. {MAY_BE}",
        ),
        ("return {'gold': True}[player.tier]", f"KeyError: None. {MAY_BE}"),
        ("return player.deposits > ENOUGH", "NameError: name 'ENOUGH' is not defined."),
        ("return player.depositz > 1", "AttributeError: 'Statistics' object has no attribute 'depositz'."),
        (
            "return player.count() > 1",
            "TypeError: Statistics.count() missing 1 required positional argument: 'kind'.",
        ),
    ],
)
def test_the_advice_that_a_statistic_may_be_missing_is_given_where_that_is_why(
    package: Write, body: str, told: str
) -> None:
    assert mistakes(package(one=DECLARED + body)) == [f"{AT} {NOBODY} {told}"]


def test_a_name_without_a_value_is_told_with_the_other_mistakes(package: Write) -> None:
    source = HEAD + (
        "def make():\n"
        "    @segment\n"
        "    def regular(player):\n"
        "        'Comes often.'\n"
        "        return player[later] > 0\n"
        "    return regular\n"
        "    later = PAID\n\n\n"
        "regular = make()\n\n\n"
        "@segment\n"
        "def mute(player):\n"
        "    return player.deposits > 0\n"
    )
    at, mute = line_of(source, "def make():") + 1, line_of(source, "def mute(player):") - 1
    mend = "regular uses later, which has no value; give later its value above the function."
    assert mistakes(package(one=source)) == [
        f"one, line {at}: the segment regular cannot be asked: {mend}",
        f"one, line {mute}: the segment mute does not say who is in it; write that as its docstring.",
    ]


@pytest.mark.parametrize("call", ["datetime.now()", "datetime.utcnow()"])
def test_a_segment_that_reads_the_clock_is_told_what_takes_a_duration(package: Write, call: str) -> None:
    body = f"return player.deposits > 0 and {call} > player.last(SessionLogin)"
    helper = f"\n\n\ndef helper(someone: Statistics):\n    return {call}"
    source = DECLARED + body + helper
    mend = (
        f"{call[:-2]}() reads the machine's clock, and nobody would know when to ask the segment again; use "
        "player.quiet(...), player.registered_for(...) or a measure with last=, which take a duration."
    )
    lines = line_of(source, body), line_of(source, f"return {call}")
    assert sorted(mistakes(package(one=source))) == [f"one, line {line}: {mend}" for line in lines]


# ---- what is found ------------------------------------------------------------------------------

LOGINS = count(SessionLogin, last=days(7))
GAMES = distinct(RoundCompleted, "game_id", per=week)
ROUNDS = count(RoundCompleted, per=week)


@lru_cache
def lively(player: Statistics) -> bool:
    return player[LOGINS] > 3


def at_least(measure: Measure, player: Statistics) -> bool:
    return player.count(DepositApproved) > player[measure]


curious = partial(at_least, GAMES)


class Bar:
    def passed(self, player: Statistics) -> bool:
        return player[ROUNDS] > 3


passed = Bar().passed


def test_what_is_read_in_a_cached_or_a_partly_called_helper_is_found() -> None:
    @segment
    def cached(player: Statistics) -> bool:
        """Asks a helper whose answers are kept."""
        return lively(player)

    @segment
    def partly(player: Statistics) -> bool:
        """Asks a helper that was given its measure before."""
        return curious(player)

    @segment
    def bound(player: Statistics) -> bool:
        """Asks a method."""
        return passed(player)

    @segment
    def given(player: Statistics, measure: object = ROUNDS) -> bool:
        """Has its measure as a default."""
        return bool(measure) and player.matches(cached)

    assert reads(cached) == {LOGINS}
    assert reads(partly) == {GAMES, DepositApproved}
    assert reads(bound) == {ROUNDS}
    assert reads(given) == {ROUNDS, LOGINS}


def test_a_word_of_the_language_with_the_name_of_a_statistic_reads_nothing_by_itself() -> None:
    @segment
    def counted(player: Statistics) -> bool:
        """Counts logins, in a module where count is a word too."""
        return player.count(SessionLogin) > 0

    assert count is not None
    assert reads(counted) == {SessionLogin}


def test_an_unset_name_in_a_helper_is_refused_with_the_helper() -> None:
    def outer() -> None:
        def helper(player: Statistics) -> bool:
            return player[later] > 0

        @segment
        def unset(player: Statistics) -> bool:
            """Asks a helper that is not ready."""
            return helper(player)

        with pytest.raises(DesignError, match="helper uses later, which has no value; give later its value above"):
            reads(unset)
        later = LOGINS

    outer()
