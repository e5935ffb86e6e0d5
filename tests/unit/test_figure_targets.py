"""Targets: what a house wants its figures to come to, and where it stands."""

from datetime import date, timedelta
from types import ModuleType

import pytest

from workflows.errors import DesignError
from workflows.figures.definitions import FIGURES, Period, Taken, period_before, period_end, quarter_of, week_of
from workflows.figures.targets import Standing, declared_targets, judge, target

QUARTER = date(2026, 4, 1)
GROWTH = target("registered", +20, per="quarter")


def of_quarter(name: str, value: float | None, starts: date = QUARTER, reason: str | None = None) -> Taken:
    return Taken(name, "quarter", starts, 0, value, reason=reason)


@pytest.mark.parametrize(
    ("so_far", "day", "standing"),
    [
        (700.0, date(2026, 5, 16), "on_course"),
        (400.0, date(2026, 5, 16), "at_risk"),
        (1_200.0, date(2026, 5, 16), "reached"),
        (1_199.0, date(2026, 6, 30), "missed"),
    ],
)
def test_a_sum_is_judged_by_its_share_of_the_time(so_far: float, day: date, standing: Standing) -> None:
    before = of_quarter("registered", 1_000.0, period_before("quarter", QUARTER))
    assert judge(GROWTH, of_quarter("registered", so_far), before, day).standing == standing


@pytest.mark.parametrize(
    ("per", "so_far", "day", "standing"),
    [
        ("week", 700.0, date(2026, 5, 14), "on_course"),  # a Thursday: four days of seven
        ("week", 500.0, date(2026, 5, 14), "at_risk"),
        ("week", 1_199.0, date(2026, 5, 17), "missed"),
        ("month", 700.0, date(2026, 5, 17), "on_course"),
        ("month", 500.0, date(2026, 5, 17), "at_risk"),
        ("month", 1_199.0, date(2026, 5, 31), "missed"),
    ],
)
def test_a_week_and_a_month_are_judged_by_their_own_time(
    per: Period, so_far: float, day: date, standing: Standing
) -> None:
    now, before = (Taken("registered", per, day, 0, value) for value in (so_far, 1_000.0))
    assert judge(target("registered", +20, per=per), now, before, day).standing == standing


def test_without_a_period_before_nothing_can_be_said() -> None:
    for before in (None, of_quarter("registered", 0.0)):
        judged = judge(GROWTH, of_quarter("registered", 5.0), before, date(2026, 5, 1))
        assert (judged.standing, judged.why) == ("not_measurable", "nothing is known of the quarter before")


@pytest.mark.parametrize(
    ("value", "day", "standing"),
    [
        (0.33, date(2026, 5, 1), "reached"),
        (0.31, date(2026, 5, 1), "at_risk"),
        (0.31, date(2027, 1, 1), "missed"),
        (None, date(2026, 5, 1), "not_measurable"),
    ],
)
def test_a_share_is_judged_by_the_newest_figure(value: float | None, day: date, standing: Standing) -> None:
    wanted = target("retention_d30", at_least=0.32, by="2026-Q4")
    now = Taken("retention_d30", "week", week_of(day), 200, value, reason=None if value else "3 where 100 are needed")
    judged = judge(wanted, now, None, day)
    assert judged.standing == standing
    if value is None:
        assert judged.why == "3 where 100 are needed"


def test_less_can_be_wanted_too() -> None:
    wanted = target("churn_30", at_most=0.4)
    assert judge(wanted, Taken("churn_30", "week", QUARTER, 200, 0.39), None, QUARTER).standing == "reached"
    assert judge(wanted, Taken("churn_30", "week", QUARTER, 200, 0.41), None, QUARTER).standing == "at_risk"


@pytest.mark.parametrize(
    ("figure", "given", "why"),
    [
        ("chrun", {"at_most": 0.4}, "no figure 'chrun'"),
        ("churn_30", {}, "Say one thing"),
        ("churn_30", {"at_most": 0.4, "at_least": 0.2}, "Say one thing"),
        ("churn_30", {"change": 20}, "does not add up"),
        ("churn_30", {"at_most": 0.4, "by": "2026-12"}, "write a quarter"),
    ],
)
def test_a_target_that_says_nothing_is_refused(figure: str, given: dict[str, float | str], why: str) -> None:
    with pytest.raises(DesignError, match=why):
        target(figure, **given)  # type: ignore[arg-type]  # as a designer might write it


def test_targets_of_a_module_are_found_alone_and_in_lists_each_once() -> None:
    module = ModuleType("goals")
    vars(module).update(one=GROWTH, several=[GROWTH, target("nps", at_least=30)])
    assert [wanted.figure for wanted in declared_targets([module])] == ["registered", "nps"]


def test_weeks_begin_on_mondays_and_quarters_follow_each_other() -> None:
    day = date(2023, 12, 25)
    for _ in range(800):
        assert week_of(day).weekday() == 0
        assert timedelta(0) <= day - week_of(day) < timedelta(days=7)
        quarter = quarter_of(day)
        assert quarter <= day < period_end("quarter", quarter)
        assert period_end("quarter", period_before("quarter", quarter)) == quarter
        month = day.replace(day=1)
        assert (period_end("month", month) - timedelta(days=1)).month == month.month
        day += timedelta(days=1)


def test_every_figure_says_what_it_is() -> None:
    assert all(one.says.endswith(".") for one in FIGURES.values())
