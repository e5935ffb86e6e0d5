"""The challenger of the churn score: trees that LightGBM fits and plain numbers score."""

import math
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.boosting import booster_of, fit_trees, gain, read_booster
from learning.churn import PAIRS, RIDGE, WEEKS, ChurnModel, labelled, learn_churn
from learning.judging_scores import quality
from learning.logistic import fit_logistic, sigmoid
from learning.trees import Tree, TreesModel
from tests.support.examples import examples
from tests.support.invented_casino import real_log


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Any tree of two forks and three leaves over the features a and b."""
    first, second = draw(st.integers(0, 1)), draw(st.integers(0, 1))
    number = st.floats(-5, 5)
    return Tree(
        features=[first, -1, second, -1, -1],
        thresholds=[draw(number), 0, draw(number), 0, 0],
        left=[1, -1, 3, -1, -1],
        right=[2, -1, 4, -1, -1],
        values=[draw(number) for _ in range(5)],
    )


def drawn_rows(seed: int, count: int) -> tuple[list[dict[str, float]], list[bool]]:
    drawn = random.Random(seed)
    rows = [{name: drawn.expovariate(0.2) for name in ("a", "b", "c", "d")} for _ in range(count)]
    return rows, [drawn.random() < sigmoid(math.sin(row["a"]) * 2 + (row["b"] > 4) - 0.1 * row["c"]) for row in rows]


class TestScorer:
    @settings(max_examples=examples(100))
    @given(st.lists(trees(), min_size=1, max_size=6), st.floats(-6, 6), st.floats(-6, 6))
    def test_a_chance_is_that_of_the_roots_moved_by_its_parts(self, grown: list[Tree], a: float, b: float) -> None:
        model = TreesModel(names=["a", "b"], trees=grown)
        known = {"a": a, "b": b}
        log_odds = sum(tree.values[0] for tree in grown) + sum(model.parts(known).values())
        assert model.chance(known) == pytest.approx(sigmoid(log_odds), abs=1e-9)
        assert TreesModel.model_validate_json(model.model_dump_json()) == model

    def test_as_much_as_the_threshold_leads_to_the_left_and_what_no_fork_asks_for_says_nothing(self) -> None:
        tree = Tree(
            features=[0, -1, -1], thresholds=[2.0, 0, 0], left=[1, -1, -1], right=[2, -1, -1], values=[0, -1, 1]
        )
        model = TreesModel(names=["a", "b"], trees=[tree])
        assert [model.parts({"a": a, "b": 9.0}) for a in (2.0, 2.1)] == [{"a": -1.0}, {"a": 1.0}]


class TestChallenge:
    def test_it_is_better_by_the_difference_of_errors_and_of_the_same_chances_not_at_all(self) -> None:
        happened = [True, False, True, False]
        better, error = gain([0.9, 0.1, 0.8, 0.2], [0.5] * 4, happened)
        assert better == pytest.approx(0.25 - (0.01 + 0.01 + 0.04 + 0.04) / 4)
        assert error == pytest.approx(0.01732 / 2, abs=1e-4)
        assert gain([0.4] * 4, [0.4] * 4, happened) == (0, 0)

    def test_where_it_is_not_installed_there_is_no_challenger(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "lightgbm", None)
        assert fit_trees(*drawn_rows(1, 50)) is None

    def test_where_what_it_needs_is_not_there_the_champion_is_learned_all_the_same(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "lightgbm.py").write_text("raise OSError('libgomp.so.1: cannot open shared object file')")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "lightgbm", raising=False)
        assert fit_trees(*drawn_rows(1, 50)) is None


class TestFitting:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("lightgbm")

    def test_the_numbers_say_what_lightgbm_says(self) -> None:
        numpy = pytest.importorskip("numpy")
        rows, happened = drawn_rows(2, 2_000)
        booster = booster_of(rows, happened)
        model = read_booster(booster, list(rows[0]))
        others, _ = drawn_rows(3, 1_000)
        theirs = booster.predict(numpy.array([list(row.values()) for row in others]))
        assert [model.chance(row) for row in others] == pytest.approx(list(theirs), abs=1e-9)

    def test_the_same_rows_teach_the_same_trees(self) -> None:
        rows, happened = drawn_rows(4, 500)
        assert fit_trees(rows, happened) == fit_trees(rows, happened)

    def test_what_is_no_sum_of_powers_is_learned_better_than_by_the_champion(self) -> None:
        rows, happened = drawn_rows(5, 4_000)
        judged, truth = drawn_rows(6, 2_000)
        challenger, champion = fit_trees(rows, happened), fit_logistic(rows, happened)
        assert challenger is not None
        better, error = gain(list(map(challenger.chance, judged)), list(map(champion.chance, judged)), truth)
        assert better > 3 * error

    @pytest.mark.slow  # fits two models to seventeen thousand rows
    def test_on_the_real_log_the_challenger_is_better_than_the_champion(self) -> None:
        """Learned from the weeks of 2019 whose month ends before 2020, judged on 1 and 29 January."""
        real = real_log()
        rows: list[dict[str, float]] = []
        left: list[bool] = []
        for week in range(WEEKS):
            found, gone = labelled(real, datetime(2019, 12, 2, tzinfo=UTC) - week * timedelta(days=7))
            rows, left = [*rows, *found], [*left, *gone]
        judged: list[dict[str, float]] = []
        truth: list[bool] = []
        for day in (1, 29):
            found, gone = labelled(real, datetime(2020, 1, day, tzinfo=UTC))
            judged, truth = [*judged, *found], [*truth, *gone]
        challenger, champion = fit_trees(rows, left), fit_logistic(rows, left, ridge=RIDGE, pairs=PAIRS)
        assert challenger is not None
        chances = list(map(challenger.chance, judged))
        found_worth = quality(chances, truth)
        better, error = gain(chances, list(map(champion.chance, judged)), truth)
        print(f"\n{found_worth.in_words}; better by {better:.4f} with an error of {error:.4f}")  # noqa: T201 - figures
        assert found_worth.auc >= 0.87, found_worth
        assert found_worth.brier <= 0.146, found_worth
        assert found_worth.calibration_error <= 0.03, found_worth
        assert better > error

    @pytest.mark.slow  # fits two models to seventeen thousand rows
    def test_on_the_real_log_what_the_schedule_would_learn_is_used(self) -> None:
        """As the log ends: learned until the end of November, judged on two months from there."""
        model = learn_churn(real_log(), datetime(2020, 2, 28, tzinfo=UTC))
        assert isinstance(model, ChurnModel)
        print(f"\n{model.worth}")  # noqa: T201 - figures
        assert model.trees is not None
        assert model.passes, model.quality
        assert model.quality.auc >= 0.87, model.quality
        assert model.quality.brier <= 0.146, model.quality
        assert model.quality.calibration_error <= 0.03, model.quality
