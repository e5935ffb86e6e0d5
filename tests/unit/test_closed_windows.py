"""A model in use is held against windows that have closed: what was said, what came, and when somebody is told."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.churn_features import WINDOW
from learning.closed_windows import ClosedWindow, are_off, of_chances, of_ranking
from learning.value_features import AHEAD
from learning.vip import VipModel, learn_vip
from tests.support.examples import examples
from tests.support.invented_casino import invented as invented_casino
from tests.support.kept_models import learned_value
from tests.support.scored_nights import NIGHT, PLAYERS, invented, learned

NOW = datetime(2026, 6, 1, tzinfo=UTC)
QUARTERS_AGO = timedelta(days=360)


def windows(*off: float) -> list[ClosedWindow]:
    return [ClosedWindow(until=NOW, players=400, said=0.4, happened=0.4 + one, off=one) for one in off]


def test_one_window_that_is_off_is_told_to_nobody_and_two_in_succession_are() -> None:
    assert not any(map(are_off, [windows(), windows(0.2), windows(0.2, 0.04), windows(0.04, 0.2), windows(0.2, 0.05)]))
    assert all(map(are_off, [windows(0.2, 0.2), windows(0.06, 0.2, 0.0)]))


@settings(max_examples=examples(100))
@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=200), st.randoms(use_true_random=False))
def test_a_window_is_off_by_no_more_than_what_was_said_is_from_what_came(
    chances: list[float], drawn: random.Random
) -> None:
    one = of_chances(NOW, chances, [drawn.random() < chance for chance in chances])
    assert 0 <= one.off <= abs(one.said - one.happened) + 1e-12


def test_true_chances_of_a_few_hundred_are_told_seldom_and_chances_ten_points_too_low_nearly_always() -> None:
    drawn, wrongly, rightly = random.Random(17), 0, 0
    for _ in range(500):
        true, low = list[ClosedWindow](), list[ClosedWindow]()
        for _ in range(2):
            chances = [drawn.betavariate(1.2, 1.8) for _ in range(400)]
            came = [drawn.random() < chance for chance in chances]
            true.append(of_chances(NOW, chances, came))
            low.append(of_chances(NOW, [max(0.01, chance - 0.1) for chance in chances], came))
        wrongly += are_off(true)
        rightly += are_off(low)
    assert wrongly <= 3
    assert rightly >= 450


def test_true_chances_of_a_hundred_are_told_seldom_too() -> None:
    """It is looked every week: what chance does in one look of seventy would be told of most small houses in a year."""
    drawn, wrongly = random.Random(18), 0
    for _ in range(2_000):
        both = list[ClosedWindow]()
        for _ in range(2):
            chances = [drawn.betavariate(1.2, 1.8) for _ in range(100)]
            both.append(of_chances(NOW, chances, [drawn.random() < chance for chance in chances]))
        wrongly += are_off(both)
    assert wrongly <= 4


def test_a_rank_is_off_only_where_it_ranks_worse() -> None:
    assert of_ranking(NOW, 300, 0.93, 0.95).off == 0
    assert of_ranking(NOW, 300, 0.93, 0.87).off == pytest.approx(0.06)


class TestModels:
    def test_the_months_it_was_judged_on_are_as_true_as_they_were(self) -> None:
        model = learned()
        found = model.closed_windows(invented(PLAYERS), NIGHT)
        assert [one.until for one in found] == [NIGHT, NIGHT - WINDOW]
        assert sum(one.players for one in found) == model.quality.players
        happened = sum(one.players * one.happened for one in found)
        assert happened == pytest.approx(model.quality.players * model.quality.happened)
        assert not are_off(found)

    def test_nothing_that_was_learned_from_is_looked_at(self) -> None:
        model = learned()
        for days, expected in ((0, 2), (10, 2), (31, 1), (61, 0)):
            later = model.model_copy(update={"learned_until": model.learned_until + timedelta(days=days)})
            found = later.closed_windows(invented(PLAYERS), NIGHT + timedelta(days=min(days, 10)))
            assert len(found) == expected, days

    def test_of_a_handful_nothing_is_said(self) -> None:
        few = dict([*invented(PLAYERS).items()][:60])
        assert learned().closed_windows(few, NIGHT) == []

    def test_who_all_come_back_or_all_leave_makes_it_wrong(self) -> None:
        """Everybody who was there at the start of a window deposits in it after all."""
        back = {
            name: [*known, *(known[-1]._replace(at=NIGHT - timedelta(days=days)) for days in (5, 35))]
            for name, known in invented(PLAYERS).items()
        }
        found = learned().closed_windows(back, NIGHT)
        assert [one.happened for one in found] == [0, 0]
        assert are_off(found)

    def test_a_rank_is_held_against_the_quarters_that_have_closed_since(self) -> None:
        model = learned_value()
        casino = invented_casino(9, 1_000, NIGHT)
        [only] = model.closed_windows(casino, NIGHT)
        assert (only.until, only.said, only.players) == (NIGHT, model.quality.gini, model.quality.players)
        assert only.happened == pytest.approx(model.quality.gini)
        older = model.model_copy(update={"learned_until": NIGHT - QUARTERS_AGO})
        assert [one.until for one in older.closed_windows(casino, NIGHT)] == [NIGHT, NIGHT - AHEAD]
        turned = older.model_copy(
            update={"poisson": older.poisson.model_copy(update={"weights": [-one for one in older.poisson.weights]})}
        )
        assert are_off(turned.closed_windows(casino, NIGHT))

    def test_who_will_be_at_the_top_is_held_against_who_was(self) -> None:
        casino = invented_casino(9, 1_000, NIGHT)
        model = learn_vip(casino, NIGHT)
        assert isinstance(model, VipModel)
        [only] = model.closed_windows(casino, NIGHT)
        assert (only.players, only.happened) == (model.quality.players, model.quality.happened)
        wrong = model.model_copy(
            update={
                "learned_until": NIGHT - QUARTERS_AGO,
                "logistic": model.logistic.model_copy(update={"intercept": model.logistic.intercept + 4}),
            }
        )
        assert are_off(wrong.closed_windows(casino, NIGHT))
