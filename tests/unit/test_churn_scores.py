"""The churn score: what it looks at, what it learns, and when it is not used."""

import math
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from learning import churn
from learning.churn import MOST_CALIBRATION_ERROR, PAIRS, RIDGE, WEEKS, ChurnModel, labelled, learn_churn
from learning.churn_features import REASONS, WINDOW, PastDeposit, features
from learning.differences import NoNumber
from learning.drift import DRIFT_TOO_LARGE
from learning.judging_scores import auc, calibration_error, quality
from learning.logistic import LogisticModel, fit_logistic, sigmoid, solve
from tests.support.examples import examples
from tests.support.invented_casino import real_log
from tests.support.whole_night import assert_same_in_parts, whole_night

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@st.composite
def histories(draw: st.DrawFn) -> list[PastDeposit]:
    hours = draw(st.lists(st.integers(1, 300 * 24), min_size=1, max_size=25))
    return [PastDeposit(NOW - timedelta(hours=one), draw(st.integers(1, 10**7))) for one in hours]


def invented(seed: int, players: int = 400) -> dict[str, list[PastDeposit]]:
    """A casino whose players each come at a pace of their own, until they leave for good."""
    drawn = random.Random(seed)
    found = {}
    for number in range(players):
        pace, at = drawn.lognormvariate(1.5, 0.8), NOW - timedelta(days=drawn.uniform(40, 360))
        deposits = []
        while at < NOW:
            deposits.append(PastDeposit(at, round(100 * drawn.lognormvariate(3, 1))))
            if drawn.random() < 0.06:
                break
            at += timedelta(days=drawn.expovariate(1 / pace))
        found[f"p{number}"] = deposits
    return found


class TestFeatures:
    @settings(max_examples=examples(100))
    @given(histories(), histories(), st.integers(0, 400))
    def test_what_comes_later_never_changes_them(
        self, known: list[PastDeposit], later: list[PastDeposit], days: int
    ) -> None:
        future = [one._replace(at=NOW + (NOW - one.at)) for one in later]
        unheard = [one._replace(known_at=NOW + timedelta(days=days)) for one in later]
        assert features([*known, *future, *unheard], NOW) == features(known, NOW)

    @settings(max_examples=examples(50))
    @given(histories(), st.randoms(use_true_random=False))
    def test_the_order_in_which_deposits_are_told_changes_nothing(
        self, known: list[PastDeposit], shuffled: random.Random
    ) -> None:
        other = list(known)
        shuffled.shuffle(other)
        assert features(other, NOW) == features(known, NOW)

    @settings(max_examples=examples(100))
    @given(histories())
    def test_they_are_numbers_above_zero_with_reasons_in_words(self, known: list[PastDeposit]) -> None:
        found = features(known, NOW)
        if found is None:
            assert max(one.at for one in known) < NOW - WINDOW
            return
        assert all(math.isfinite(value) and value >= 0 for value in found.values())
        assert {name.partition(".")[0] for name in found} == REASONS.keys()

    def test_who_has_not_deposited_for_a_month_has_no_score(self) -> None:
        assert features([PastDeposit(NOW - timedelta(days=31), 500)], NOW) is None
        assert features([], NOW) is None


class TestJudging:
    def test_ranking_is_the_share_of_pairs_in_the_right_order(self) -> None:
        assert auc([0.1, 0.4, 0.35, 0.8], [False, False, True, True]) == 0.75
        assert auc([0.5, 0.5], [True, False]) == 0.5
        with pytest.raises(ValueError, match="everybody or to nobody"):
            auc([0.1, 0.2], [True, True])

    def test_chances_that_are_true_are_calibrated_and_bold_ones_are_not(self) -> None:
        drawn = random.Random(3)
        chances = [drawn.random() for _ in range(20_000)]
        happened = [drawn.random() < chance for chance in chances]
        assert calibration_error(chances, happened) < 0.012
        bold = [1.0 if chance > 0.5 else 0.0 for chance in chances]
        assert calibration_error(bold, happened) > 0.2
        assert quality(chances, happened).brier < quality(bold, happened).brier

    def test_true_chances_of_few_players_are_seldom_taken_for_wrong_and_wrong_ones_seldom_for_true(self) -> None:
        drawn = random.Random(12)
        chances = [drawn.betavariate(0.8, 1.1) for _ in range(950)]

        def refused(off: float) -> int:
            looks = ([drawn.random() < chance + off for chance in chances] for _ in range(200))
            return sum(calibration_error(chances, happened) > MOST_CALIBRATION_ERROR for happened in looks)

        assert refused(0.0) < 30
        assert refused(0.07) > 180


class TestLogistic:
    @settings(max_examples=examples(30))
    @given(st.lists(st.lists(st.floats(-3, 3), min_size=3, max_size=3), min_size=3, max_size=3))
    def test_a_system_is_solved(self, rows: list[list[float]]) -> None:
        matrix = [
            [sum(a * b for a, b in zip(one, other, strict=True)) + (index == at) for at, other in enumerate(rows)]
            for index, one in enumerate(rows)
        ]
        found = solve(matrix, [1.0, 2.0, 3.0])
        for row, wanted in zip(matrix, [1.0, 2.0, 3.0], strict=True):
            assert sum(a * b for a, b in zip(row, found, strict=True)) == pytest.approx(wanted, abs=1e-6)

    def test_known_weights_are_found(self) -> None:
        drawn = random.Random(5)
        rows = [{"a": drawn.expovariate(0.2), "b": drawn.expovariate(0.2)} for _ in range(6_000)]
        truth = [1.5 * math.log1p(row["a"]) - 0.7 * math.log1p(row["b"]) - 1 for row in rows]
        model = fit_logistic(rows, [drawn.random() < sigmoid(one) for one in truth], ridge=0.01)
        weights = [weight / spread for weight, spread in zip(model.weights, model.spreads, strict=True)]
        assert weights == pytest.approx([1.5, -0.7], abs=0.12)

    def test_what_is_kept_scores_as_what_was_fitted(self) -> None:
        rows, left = labelled(invented(6, 150), NOW - WINDOW)
        model = fit_logistic(rows, left, pairs=PAIRS)
        kept = LogisticModel.model_validate_json(model.model_dump_json())
        assert all(abs(kept.chance(row) - model.chance(row)) < 1e-12 for row in rows)

    def test_nothing_is_learned_where_it_happened_to_all(self) -> None:
        with pytest.raises(ValueError, match="nothing to learn"):
            fit_logistic([{"a": 1.0}], [True])


@pytest.fixture(scope="module")
def model() -> ChurnModel:
    """Learned from an invented casino."""
    learned = learn_churn(invented(9, 420), NOW)
    assert isinstance(learned, ChurnModel)
    return learned


class TestLearning:
    def test_labels_drawn_by_chance_teach_nothing(self) -> None:
        players = invented(7, 700)
        drawn = random.Random(1)
        rows, left = labelled(players, NOW - 3 * WINDOW)
        drawn.shuffle(left)
        model = fit_logistic(rows, left, ridge=100)
        judged = [row for month in (1, 2) for row in labelled(players, NOW - month * WINDOW)[0]]
        gone = [drawn.random() < 0.4 for _ in judged]
        assert auc([model.chance(row) for row in judged], gone) == pytest.approx(0.5, abs=0.06)

    def test_rows_come_in_one_order_whoever_asks(self) -> None:
        players = invented(6, 60)
        assert labelled(dict(reversed(players.items())), NOW - WINDOW) == labelled(players, NOW - WINDOW)

    def test_of_many_players_a_part_is_learned_from_that_is_taken_evenly(self) -> None:
        """Players are numbered: the first thousands of them would be those who have been here longest."""
        players = invented(6, 60)
        rows, left = labelled(players, NOW - WINDOW)
        few, gone = labelled(players, NOW - WINDOW, most=-(-len(rows) // 3))
        assert (few, gone) == (rows[::3], left[::3])
        assert labelled(players, NOW - WINDOW, most=len(rows)) == (rows, left)
        assert labelled({}, NOW, most=5) == ([], [])

    def test_of_a_week_of_a_large_house_no_more_is_learned_from(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(churn, "MOST_OF_A_WEEK", 20)
        monkeypatch.setattr(churn, "LEAST_ROWS", 300)
        learned = learn_churn(invented(9, 420), NOW)
        assert isinstance(learned, ChurnModel)
        assert 300 <= learned.rows <= 20 * WEEKS

    def test_too_few_players_are_no_model(self) -> None:
        said = learn_churn(invented(8, 20), NOW)
        assert isinstance(said, NoNumber)
        assert "3000 and 100 are needed" in said.reason

    def test_it_is_judged_on_months_it_has_not_seen(self, model: ChurnModel) -> None:
        assert model.learned_until == NOW - 2 * WINDOW
        assert model.quality.auc > 0.7
        assert model.goes_the_right_way

    def test_silence_raises_a_score_and_is_told_as_a_reason(self, model: ChurnModel) -> None:
        often = [PastDeposit(NOW - timedelta(days=days), 5_000) for days in range(1, 200, 3)]
        silent = [one for one in often if one.at < NOW - timedelta(days=20)]
        here, gone = model.score(often, NOW), model.score(silent, NOW)
        assert here is not None
        assert gone is not None
        assert gone.percent > here.percent + 20
        assert len(gone.why) == 3
        assert {"a long time since the last deposit", "silent for longer than is usual for them"} & {*gone.why}
        assert model.score(often[10:], NOW + timedelta(days=90)) is None

    def test_a_release_that_knows_nothing_of_its_features_bands_reads_it_still(self, model: ChurnModel) -> None:
        class Before(BaseModel):
            """A quality as it was."""

            players: int
            happened: float
            auc: float
            brier: float
            calibration_error: float

        assert model.quality.features is not None
        assert {"idle.days", "tenure.days", "amount.month"} <= model.quality.features.keys()
        assert Before.model_validate(model.quality.model_dump(mode="json")).auc == model.quality.auc
        older = model.model_dump(mode="json")
        del older["quality"]["features"]
        read = ChurnModel.model_validate(older)
        assert read.night(read.survey(invented(4), NOW)).features == {}

    def test_it_says_by_name_in_which_features_players_have_moved(self, model: ChurnModel) -> None:
        same = invented(11, 1_500)
        often = {
            player: [*known, *(one._replace(at=one.at - timedelta(hours=30)) for one in known)]
            for player, known in same.items()
        }
        as_before, moved = whole_night(model, same, NOW).night, whole_night(model, often, NOW).night
        assert moved.features["count.ever"] > DRIFT_TOO_LARGE
        assert moved.features["count.ever"] > as_before.features["count.ever"]
        assert moved.features["idle.days"] == pytest.approx(as_before.features["idle.days"]), "that is the same"

    @settings(max_examples=examples(10), deadline=None)
    @given(st.randoms(use_true_random=False), st.integers(1, 40))
    def test_in_parts_of_whatever_size_and_order_it_scores_as_in_one(
        self, model: ChurnModel, shuffled: random.Random, size: int
    ) -> None:
        assert_same_in_parts(model, invented(6, 60), NOW, shuffled, size)

    def test_a_model_is_kept_as_json_and_comes_back_the_same(self, model: ChurnModel) -> None:
        kept = ChurnModel.model_validate_json(model.model_dump_json())
        often = [PastDeposit(NOW - timedelta(days=days), 5_000) for days in range(1, 200, 3)]
        assert kept.score(often, NOW) == model.score(often, NOW)
        assert kept.quality.features == model.quality.features

    def test_one_below_the_floors_does_not_pass(self, model: ChurnModel) -> None:
        bad = model.model_copy(update={"quality": model.quality.model_copy(update={"auc": 0.84})})
        assert not bad.passes
        good = {"auc": 0.9, "brier": 0.1, "calibration_error": 0.01}
        assert model.model_copy(update={"quality": model.quality.model_copy(update=good)}).passes


@pytest.mark.slow  # fits a model to four thousand rows
def test_on_the_real_log_the_floors_are_reached() -> None:
    """Learned from the weeks of 2019 whose month ends before 2020, judged on 1 and 29 January."""
    real = real_log()
    rows: list[dict[str, float]] = []
    left: list[bool] = []
    for week in range(WEEKS):
        found, gone = labelled(real, datetime(2019, 12, 2, tzinfo=UTC) - week * timedelta(days=7))
        rows, left = [*rows, *found], [*left, *gone]
    model = fit_logistic(rows, left, ridge=RIDGE, pairs=PAIRS)
    chances: list[float] = []
    truth: list[bool] = []
    for day in (1, 29):
        found, gone = labelled(real, datetime(2020, 1, day, tzinfo=UTC))
        chances, truth = [*chances, *map(model.chance, found)], [*truth, *gone]
    judged = quality(chances, truth)
    assert judged.players > 900
    assert judged.auc >= 0.865, judged
    assert judged.brier <= 0.148, judged
    assert judged.calibration_error <= 0.035, judged
