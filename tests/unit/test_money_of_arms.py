"""Money of two arms: the cap, the past, and the test that a few rich players do not fool."""

import csv
import os
import random
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.differences import Estimate, Moments, NoNumber, difference_of_means, standard_error
from learning.money import MoneyDifference, adjusted_by_past, cap_of, capped, judged_by, money_difference, redrawn
from tests.support.examples import examples

REAL_LOG = Path(os.environ.get("LOG") or Path(__file__).parents[2].parent / "shared" / "data" / "casino_deposits.csv")


def test_the_cap_looks_at_what_is_not_zero() -> None:
    values = [0.0] * 10_000 + [float(n) for n in range(1, 101)]
    assert cap_of(values) == 99
    assert capped([-500, 3, 500], 99) == [-99, 3, 99]
    assert cap_of([0, 0]) == float("inf")


@settings(max_examples=examples(50))
@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)), min_size=3, max_size=80))
def test_the_past_takes_variance_away_and_leaves_the_mean(players: list[tuple[float, float]]) -> None:
    before, after = [one for one, _ in players], [one for _, one in players]
    adjusted, explained = adjusted_by_past(after, before)
    old, new = Moments.of(after), Moments.of(adjusted)
    assert new.mean == pytest.approx(old.mean, abs=1e-6)
    assert new.variance == pytest.approx(old.variance * (1 - explained), rel=0.05, abs=1e-3)
    assert 0 <= explained <= 1 + 1e-9


def test_a_past_that_is_none_changes_nothing() -> None:
    assert adjusted_by_past([1, 2, 3], [0, 0, 0]) == ([1, 2, 3], 0.0)


def test_a_past_from_after_the_beginning_hides_the_effect() -> None:
    drawn = random.Random(4)
    treated = [drawn.gauss(120, 10) for _ in range(400)]
    control = [drawn.gauss(100, 10) for _ in range(400)]
    outcomes = treated + control
    right, _ = adjusted_by_past(outcomes, [drawn.gauss(50, 10) for _ in range(800)])
    wrong, _ = adjusted_by_past(outcomes, outcomes)
    assert Moments.of(right[:400]).mean - Moments.of(right[400:]).mean == pytest.approx(20, abs=2)
    assert abs(Moments.of(wrong[:400]).mean - Moments.of(wrong[400:]).mean) < 1


def rich(drawn: random.Random, players: int, gain: float = 1.0) -> list[float]:
    """Most give nothing, a few give a lot."""
    return [gain * drawn.lognormvariate(3, 1.6) if drawn.random() < 0.4 else 0.0 for _ in range(players)]


def test_a_gain_is_found_and_the_interval_and_the_test_say_the_same() -> None:
    drawn = random.Random(5)
    said = money_difference(rich(drawn, 2_000, gain=3), rich(drawn, 600), seed="look 1")
    assert isinstance(said, MoneyDifference)
    assert said.difference.interval.decided == (said.p_value < 0.05)
    assert said.difference.interval.low > 0
    none = money_difference(rich(drawn, 2_000), rich(drawn, 600), seed="look 1")
    assert isinstance(none, MoneyDifference)
    assert none.difference.interval.decided == (none.p_value < 0.05)


def test_the_same_look_gives_the_same_answer() -> None:
    drawn = random.Random(6)
    treated, control = rich(drawn, 900), rich(drawn, 300)
    assert money_difference(treated, control, seed="a") == money_difference(treated, control, seed="a")


def test_with_a_thousand_in_each_arm_the_usual_difference_is_taken() -> None:
    drawn = random.Random(7)
    treated, control = rich(drawn, 1_200), rich(drawn, 1_100)
    said = money_difference(treated, control, seed="a", past=(rich(drawn, 1_200), rich(drawn, 1_100)))
    assert isinstance(said, MoneyDifference)
    assert said.difference.estimate in said.difference.interval


def test_a_control_group_that_moved_no_money_gives_no_number() -> None:
    said = money_difference([1.0] * 500, [0.0] * 100 + [1.0] * 49, seed="a")
    assert isinstance(said, NoNumber)
    assert "50 are needed" in said.reason


@pytest.fixture(scope="module")
def after_thirty_days() -> list[float]:
    """What each player who deposited before a day of the real log gave in the 30 days after it, capped together."""
    if not REAL_LOG.exists():
        pytest.skip("The real log is not here.")
    middle = datetime.fromisoformat("2019-10-01T00:00:00+00:00")
    known: dict[str, float] = {}
    with REAL_LOG.open() as lines:
        for row in csv.DictReader(lines):
            at = datetime.fromisoformat(row["ts_utc"])
            if middle - timedelta(days=90) <= at < middle:
                known.setdefault(row["player_id"], 0.0)
            elif middle <= at < middle + timedelta(days=30) and row["player_id"] in known:
                known[row["player_id"]] += float(row["amount_usd"])
    values = list(known.values())
    return capped(values, cap_of(values))


def draws(values: list[float], control: float, count: int) -> list[tuple[int, float, float]]:
    """Arms drawn by chance alone: the players treated, and t of the usual test, with its error."""
    drawn, found = random.Random(11), []
    for _ in range(count):
        treated: list[float] = []
        other: list[float] = []
        for value in values:
            (other if drawn.random() < control else treated).append(value)
        one, two = Moments.of(treated), Moments.of(other)
        error = standard_error(one, two)
        found.append((len(treated), (one.mean - two.mean) / error, error))
    return found


@pytest.mark.slow  # redraws the real log some hundred thousand times
@pytest.mark.parametrize("control", [0.1, 0.5])
def test_nothing_against_nothing_on_the_real_log_is_a_gain_in_five_of_a_hundred(
    after_thirty_days: list[float], control: float
) -> None:
    chance: dict[int, list[float]] = {}
    more = less = usual = 0
    found = draws(after_thirty_days, control, 1_000)
    for treated, t, _ in found:
        if treated not in chance:
            chance[treated] = redrawn(after_thirty_days, treated, seed=f"look {treated}", draws=2_000)
        wrong = judged_by(chance[treated], t) < 0.05
        more, less, usual = more + (wrong and t > 0), less + (wrong and t < 0), usual + (abs(t) > 1.96)
    assert 40 <= more + less <= 60, (more, less)
    assert max(more, less) <= 40
    if control == 0.1:
        assert usual > 65, "The usual test must be seen to fail here."


def test_the_usual_test_on_money_of_a_small_control_group_favours_the_treatment(
    after_thirty_days: list[float],
) -> None:
    found = draws(after_thirty_days, 0.1, 400)
    more, less = sum(t > 1.96 for _, t, _ in found), sum(t < -1.96 for _, t, _ in found)
    assert more > 5 * max(1, less)
    assert isinstance(difference_of_means(Moments.of([1, 2]), Moments.of([1, 2])), Estimate)
