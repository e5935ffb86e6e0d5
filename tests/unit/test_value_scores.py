"""The scores `value` and `vip`: what they look at, what they learn, and when they are not used."""

import json
import math
import random
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from learning.churn_features import PastDeposit
from learning.currencies import yardsticks
from learning.differences import NoNumber
from learning.judging_scores import auc, captured, gini, value_quality
from learning.logistic import terms
from learning.poisson import PoissonModel, fit_poisson
from learning.scored import Deposits, Survey, against_usual, ranks_of, reasons
from learning.value import ValueModel, brought_in, capped, learn_value, level_of, recent_features
from learning.value_features import AHEAD, LOOKS_BACK, PAIRS, REASONS, value_features
from learning.vip import VipModel, at_the_top, learn_vip, lowest_of_the_top
from tests.support.examples import examples
from tests.support.invented_casino import invented, real_log
from tests.support.whole_night import assert_same_in_parts, whole_night

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SPLIT = datetime(2019, 11, 30, tzinfo=UTC)


@st.composite
def histories(draw: st.DrawFn) -> list[PastDeposit]:
    hours = draw(st.lists(st.integers(1, 300 * 24), min_size=1, max_size=25))
    return [PastDeposit(NOW - timedelta(hours=one), draw(st.integers(1, 10**7))) for one in hours]


def every(days: int, amount: int, *, since: int = 150, until: int = 1) -> list[PastDeposit]:
    return [PastDeposit(NOW - timedelta(days=ago), amount) for ago in range(until, since, days)]


class TestFeatures:
    @settings(max_examples=examples(100))
    @given(histories(), histories(), st.integers(0, 400))
    def test_what_comes_later_never_changes_them(
        self, known: list[PastDeposit], later: list[PastDeposit], days: int
    ) -> None:
        future = [one._replace(at=NOW + (NOW - one.at)) for one in later]
        unheard = [one._replace(known_at=NOW + timedelta(days=days)) for one in later]
        assert value_features([*known, *future, *unheard], NOW) == value_features(known, NOW)

    @settings(max_examples=examples(50))
    @given(histories(), histories(), st.randoms(use_true_random=False))
    def test_neither_the_order_nor_what_is_older_than_half_a_year_changes_anything(
        self, known: list[PastDeposit], old: list[PastDeposit], shuffled: random.Random
    ) -> None:
        other = [*known, *(one._replace(at=one.at - LOOKS_BACK) for one in old)]
        shuffled.shuffle(other)
        assert value_features(other, NOW) == value_features(known, NOW)

    @settings(max_examples=examples(100))
    @given(histories())
    def test_they_are_numbers_above_zero_with_reasons_in_words(self, known: list[PastDeposit]) -> None:
        found = value_features(known, NOW)
        if found is None:
            assert max(one.at for one in known) < NOW - LOOKS_BACK
            return
        assert all(math.isfinite(value) and value >= 0 for value in found.values())
        assert {name.partition(".")[0] for name in found} == REASONS.keys()

    @settings(max_examples=examples(50))
    @given(histories(), st.integers(2, 50))
    def test_more_money_is_more_of_what_is_about_money_and_nothing_else(
        self, known: list[PastDeposit], times: int
    ) -> None:
        few = value_features(known, NOW)
        assume(few is not None)
        many = value_features([one._replace(amount_minor=times * one.amount_minor) for one in known], NOW)
        assert few is not None
        assert many is not None
        for name, value in many.items():
            assert value == pytest.approx(times * few[name] if name.startswith("amount.") else few[name])


class TestJudging:
    @settings(max_examples=examples(100))
    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1000)), min_size=2, max_size=30))
    def test_ranking_is_the_share_of_money_in_the_right_order(self, players: list[tuple[int, int]]) -> None:
        """By pairs: whose place is the higher one should bring more; who is placed alike says nothing."""
        expected, came = [float(one) for one, _ in players], [float(one) for _, one in players]
        assume(sum(came) > 0)

        def by_pairs(order: list[float]) -> float:
            return sum((order[i] > order[j]) * (came[i] - came[j]) for i in range(len(came)) for j in range(len(came)))

        best = by_pairs(came)
        assert gini(expected, came) == pytest.approx(by_pairs(expected) / best if best else 0.0, abs=1e-9)

    def test_the_order_of_hindsight_is_one_and_its_reverse_minus_one(self) -> None:
        came = [0.0, 1.0, 5.0, 50.0]
        assert gini(came, came) == pytest.approx(1)
        assert gini([-one for one in came], came) == pytest.approx(-1)
        assert gini([1.0] * 4, came) == pytest.approx(0)

    def test_a_tenth_captures_what_it_brought_and_the_sum_is_held_against_what_came(self) -> None:
        came = [float(one) for one in range(1, 21)]
        judged = value_quality([2 * one for one in came], came)
        assert judged.captured == pytest.approx((19 + 20) / sum(came))
        assert judged.total_off == pytest.approx(1.0)
        assert captured([-one for one in came], came) == pytest.approx(3 / sum(came))
        with pytest.raises(ValueError, match="nothing can be ranked"):
            value_quality([1.0, 2.0], [0.0, 0.0])


class TestPoisson:
    def test_known_powers_are_found_and_the_sum_comes_out_right(self) -> None:
        drawn = random.Random(5)
        rows = [{"a": drawn.expovariate(0.2), "b": drawn.expovariate(0.2)} for _ in range(4_000)]
        truth = [math.exp(1.5 * math.log1p(row["a"]) - 0.7 * math.log1p(row["b"])) for row in rows]
        came = [one * drawn.choice([0, 0, 3]) for one in truth]
        model = fit_poisson(rows, came, ridge=0.01)
        weights = [weight / spread for weight, spread in zip(model.weights, model.spreads, strict=True)]
        assert weights == pytest.approx([1.5, -0.7], abs=0.12)
        assert math.fsum(map(model.expected, rows)) == pytest.approx(math.fsum(came), rel=1e-6)

    @settings(max_examples=examples(20))
    @given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(0, 1000)), min_size=5, max_size=40))
    def test_no_other_weights_near_by_fit_better(self, drawn: list[tuple[float, float, float]]) -> None:
        rows, came = [{"a": a, "b": b} for a, b, _ in drawn], [one for _, _, one in drawn]
        assume(sum(came) > 1)
        model = fit_poisson(rows, came, ridge=1.0)

        def fits(intercept: float, weights: list[float]) -> float:
            other = model.model_copy(update={"intercept": intercept, "weights": weights})
            means = [other.expected(row) / model.unit for row in rows]
            likely = sum(one / model.unit * math.log(mean) - mean for one, mean in zip(came, means, strict=True))
            return likely - sum(weight**2 for weight in weights) / 2

        best = fits(model.intercept, model.weights)
        for moved in (-0.02, 0.02):
            assert fits(model.intercept + moved, model.weights) <= best + 1e-9
            for index in range(2):
                near = [weight + moved * (index == at) for at, weight in enumerate(model.weights)]
                assert fits(model.intercept, near) <= best + 1e-9

    @settings(max_examples=examples(50))
    @given(histories())
    def test_what_is_kept_is_scored_by_the_numbers_alone(self, known: list[PastDeposit]) -> None:
        """By a second way: straight from the JSON."""
        found = value_features(known, NOW)
        assume(found is not None)
        assert found is not None
        names = list(terms(found, PAIRS))
        drawn = random.Random(1)
        model = PoissonModel(
            pairs=list(PAIRS),
            features=names,
            means=[drawn.uniform(0, 3) for _ in names],
            spreads=[drawn.uniform(0.5, 2) for _ in names],
            weights=[drawn.uniform(-0.3, 0.3) for _ in names],
            intercept=-0.4,
            unit=5_000.0,
        )
        kept = json.loads(model.model_dump_json())
        logs = {name: math.log(1 + value) for name, value in found.items()}
        logs |= {f"{a} * {b}": logs[a] * logs[b] for a, b in kept["pairs"]}
        columns = zip(kept["features"], kept["means"], kept["spreads"], kept["weights"], strict=True)
        power = kept["intercept"] + sum(weight * (logs[name] - mean) / spread for name, mean, spread, weight in columns)
        assert PoissonModel.model_validate(kept).expected(found) == pytest.approx(
            kept["unit"] * math.exp(min(9, max(-14, power))), rel=1e-9
        )

    def test_nothing_is_learned_where_nothing_came(self) -> None:
        with pytest.raises(ValueError, match="nothing to learn"):
            fit_poisson([{"a": 1.0}], [0.0])


class TestRank:
    @settings(max_examples=examples(100))
    @given(st.lists(st.floats(0, 1e9), min_size=1, max_size=50))
    def test_it_rises_with_what_is_expected_and_is_the_same_for_who_is_alike(self, amounts: list[float]) -> None:
        order = sorted(amounts)
        bounds = ranks_of(amounts)
        ranks = [bisect_right(bounds, one) for one in order]
        below = [(bisect_left(order, one) + bisect_right(order, one)) / 2 for one in order]
        assert ranks == [min(99, int(100 * one / len(order))) for one in below]
        assert ranks == sorted(ranks)
        assert all(0 <= one <= 99 for one in ranks)
        assert len({*zip(order, ranks, strict=True)}) == len({*order})

    def test_the_highest_of_a_hundred_has_99_below_and_those_alike_stand_in_the_middle(self) -> None:
        assert [bisect_right(ranks_of(range(100)), one) for one in (0, 50, 99)] == [0, 50, 99]
        assert bisect_right(ranks_of([7.0] * 10), 7.0) == 50
        assert ranks_of([]) == []

    def test_the_top_is_a_tenth_of_players_and_nobody_where_nothing_came(self) -> None:
        assert lowest_of_the_top([float(one) for one in range(1, 101)]) == 91
        assert lowest_of_the_top([0.0] * 50) == math.inf
        assert lowest_of_the_top([]) == math.inf

    def test_a_few_huge_amounts_are_capped_at_the_99th_of_a_hundred(self) -> None:
        assert capped([0.0, *(float(one) for one in range(1, 101)), 1e9]) == [0.0, *map(float, range(1, 101)), 100.0]
        assert capped([0.0, 0.0]) == [0.0, 0.0]


class TestLevel:
    def test_of_a_house_that_goes_on_as_it_does_the_sum_is_three_months(self) -> None:
        players = {"a": every(10, 1_000, since=600), "b": every(5, 2_000, since=600)}
        month = sum(brought_in(one, NOW - timedelta(days=30), NOW) for one in players.values())
        assert level_of(players, NOW, [30.0, 15.0]) * 45 == pytest.approx(3 * month)

    def test_of_one_that_halves_every_month_it_is_what_is_left(self) -> None:
        ago = range(15, 600, 30)
        halving = [PastDeposit(NOW - timedelta(days=days), 2 ** (1 + days // 30)) for days in ago]
        assert level_of({"a": halving}, NOW, [1.0]) == pytest.approx(2 * (0.5 + 0.25 + 0.125))

    def test_where_nothing_came_of_late_there_is_none(self) -> None:
        assert level_of({"a": every(10, 1_000, since=300, until=100)}, NOW, [5.0]) == 0
        assert level_of({}, NOW, []) == 0


class TestReasons:
    def test_what_is_the_same_for_everybody_is_no_reason(self) -> None:
        parts = {"a": {"amount.x": 3.0, "days.x": 1.0}, "b": {"amount.x": 3.0, "days.x": -1.0}}
        counted = Survey(players=2)
        counted.add_parts(parts.values())
        assert reasons(against_usual(parts["a"], counted.usual()), REASONS)[0] == REASONS["days"][0]
        assert reasons(against_usual(parts["b"], counted.usual()), REASONS)[0] == REASONS["days"][1]


class TestCurrencies:
    def test_amounts_are_held_against_a_usual_one_of_their_own(self) -> None:
        many = [("EUR", one) for one in (1_000, 2_000, 3_000)]
        assert yardsticks([*many, ("JPY", 4_000), ("JPY", 0)]) == {"EUR": 1.0, "JPY": 0.5}
        assert yardsticks(many) == {"EUR": 1.0}
        assert yardsticks([]) == {}

    def test_those_that_a_model_was_learned_with_stay_whatever_is_deposited_in_most(self) -> None:
        then = {"EUR": 1.0, "JPY": 0.5}
        now = [("EUR", 2_000), *[("JPY", 4_200)] * 9, *[("PLN", 8_000)] * 20]
        assert yardsticks(now, then) == {**then, "PLN": 4_200 * 0.5 / 8_000}

    @settings(max_examples=examples(50))
    @given(st.lists(st.integers(1, 10**6), min_size=1, max_size=20), st.integers(2, 1000))
    def test_a_currency_whose_amounts_are_a_hundred_times_larger_weighs_the_same(
        self, amounts: list[int], times: int
    ) -> None:
        told = [("EUR", one) for one in [*amounts, *amounts]] + [("XXX", times * one) for one in amounts]
        assert yardsticks(told)["XXX"] * times == pytest.approx(yardsticks(told)["EUR"])


@pytest.fixture(scope="module")
def casino() -> Deposits:
    return invented(9, 1_000, NOW)


@pytest.fixture(scope="module")
def value(casino: Deposits) -> ValueModel:
    learned = learn_value(casino, NOW)
    assert isinstance(learned, ValueModel)
    return learned


@pytest.fixture(scope="module")
def vip(casino: Deposits) -> VipModel:
    learned = learn_vip(casino, NOW)
    assert isinstance(learned, VipModel)
    return learned


class TestLearning:
    def test_too_few_players_are_no_model(self) -> None:
        for learn in (learn_value, learn_vip):
            said = learn(invented(8, 20, NOW), NOW)
            assert isinstance(said, NoNumber)
            assert "are needed, with some who deposited" in said.reason
            assert isinstance(learn({}, NOW), NoNumber)

    def test_they_are_judged_on_what_they_have_not_seen(
        self, casino: Deposits, value: ValueModel, vip: VipModel
    ) -> None:
        for model in (value, vip):
            assert model.learned_until == NOW - AHEAD
            assert model.goes_the_right_way
        last = [brought_in(known, NOW - 2 * AHEAD, NOW - AHEAD) for known in casino.values()]
        came = [brought_in(known, NOW - AHEAD, NOW) for known in casino.values()]
        assert value.quality.gini > 0.6
        assert value.quality.gini > gini(last, came) - 0.02
        assert vip.quality.auc > 0.75
        assert vip.quality.happened == pytest.approx(0.1, abs=0.01)

    def test_what_is_learned_does_not_hang_on_the_days_judged(self, casino: Deposits, value: ValueModel) -> None:
        blind = {player: [one for one in known if one.at < NOW - AHEAD] for player, known in casino.items()}
        somebody = next(player for player, known in blind.items() if known)
        blind[somebody] = [*blind[somebody], PastDeposit(NOW - timedelta(days=1), 10**9)]
        other = learn_value(blind, NOW)
        assert isinstance(other, ValueModel)
        assert other.poisson == value.poisson
        assert other.quality != value.quality

    def test_who_deposits_more_stands_higher_and_who_is_silent_lower(
        self, casino: Deposits, value: ValueModel, vip: VipModel
    ) -> None:
        added = {
            "large": every(3, 400_000),
            "small": every(3, 300),
            "silent": every(3, 300, until=70),
            "gone": every(3, 400_000, since=300, until=100),
            "never": [],
        }
        for model in (value, vip):
            scored = whole_night(model, {**casino, **added}, NOW).scored
            assert scored["large"].percent > scored["small"].percent + 20
            assert scored["small"].percent >= scored["silent"].percent
            assert {"gone", "never"}.isdisjoint(scored)
            assert all(0 <= one.percent <= 100 and len(one.why) == 3 for one in scored.values())
            assert scored["large"].why[0] == "large sums deposited of late"

    def test_players_like_those_judged_have_not_drifted_and_others_have(self, value: ValueModel, vip: VipModel) -> None:
        same = invented(11, 1_000, NOW)
        others = {
            player: [one._replace(amount_minor=40 * one.amount_minor) for one in known]
            for player, known in same.items()
        }
        for model in (value, vip):
            as_before, moved = whole_night(model, same, NOW).night, whole_night(model, others, NOW).night
            assert as_before.drift < 0.25
            assert moved.drift > 0.25
            assert moved.features["amount.fading_30"] > 0.25
            assert moved.features["idle.days"] == as_before.features["idle.days"], "that is the same"
            assert whole_night(model, {"p1": every(3, 300)}, NOW).night.drift == 0

    @settings(max_examples=examples(10), deadline=None)
    @given(st.randoms(use_true_random=False), st.integers(1, 40))
    def test_in_parts_of_whatever_size_and_order_they_score_as_in_one(
        self, value: ValueModel, vip: VipModel, shuffled: random.Random, size: int
    ) -> None:
        for model in (value, vip):
            assert_same_in_parts(model, invented(6, 60, NOW), NOW, shuffled, size)

    def test_a_model_is_kept_as_json_and_comes_back_the_same(
        self, casino: Deposits, value: ValueModel, vip: VipModel
    ) -> None:
        for model in (value, vip):
            kept = type(model).model_validate_json(model.model_dump_json())
            assert whole_night(kept, casino, NOW) == whole_night(model, casino, NOW)

    def test_one_below_the_floors_does_not_pass(self, value: ValueModel, vip: VipModel) -> None:
        def judged(**figures: float) -> ValueModel:
            good = {"gini": 0.93, "captured": 0.85, "total_off": 0.1} | figures
            return value.model_copy(update={"quality": value.quality.model_copy(update=good)})

        assert judged().passes
        assert not judged(gini=0.91).passes
        assert not judged(captured=0.79).passes
        assert not judged(total_off=-0.31).passes
        assert judged(gini=0.925).worse_than(judged(gini=0.94))
        assert not judged(gini=0.935).worse_than(judged(gini=0.94))
        good = {"auc": 0.95, "brier": 0.04, "calibration_error": 0.01}
        passing = vip.model_copy(update={"quality": vip.quality.model_copy(update=good)})
        assert passing.passes
        below = passing.quality.model_copy(update={"calibration_error": 0.04})
        assert not passing.model_copy(update={"quality": below}).passes

    def test_amounts_drawn_by_chance_teach_no_order(self, casino: Deposits) -> None:
        drawn = random.Random(3)
        rows = [*recent_features(casino, NOW - 2 * AHEAD).values()]
        came = [drawn.expovariate(1) for _ in rows]
        model = fit_poisson(rows, came, ridge=500, pairs=PAIRS)
        judged = [*recent_features(casino, NOW - AHEAD).values()]
        by_chance = [drawn.expovariate(1) for _ in judged]
        assert gini([model.expected(row) for row in judged], by_chance) == pytest.approx(0, abs=0.15)


@pytest.mark.slow  # fits two models to eight thousand rows
def test_on_the_real_log_the_floors_are_reached() -> None:
    """Learned from moments until 31 August 2019, judged on the 90 days from 30 November."""
    players = real_log()
    value, vip = learn_value(players, SPLIT + AHEAD), learn_vip(players, SPLIT + AHEAD)
    assert isinstance(value, ValueModel)
    assert isinstance(vip, VipModel)
    print(f"\nvalue: {value.worth}; vip: {vip.worth}")  # noqa: T201 - the figures are what this is for
    assert value.quality.players > 1_800
    assert value.quality.gini >= 0.92, value.quality
    assert value.quality.captured >= 0.80, value.quality
    assert abs(value.quality.total_off) <= 0.15, value.quality
    assert value.passes
    assert vip.quality.auc >= 0.92, vip.quality
    assert vip.quality.calibration_error <= 0.03, vip.quality
    assert vip.passes
    # Both are more than the sum of the last 90 days, which costs nothing to reckon.
    known = [deposits for deposits in players.values() if any(one.at < SPLIT for one in deposits)]
    last = [brought_in(deposits, SPLIT - AHEAD, SPLIT) for deposits in known]
    came = [brought_in(deposits, SPLIT, SPLIT + AHEAD) for deposits in known]
    assert value.quality.gini > gini(last, came) + 0.01
    assert value.quality.captured > captured(last, came)
    recent = recent_features(players, SPLIT)
    top = at_the_top(players, SPLIT)[1]
    assert vip.quality.auc > auc([brought_in(players[one], SPLIT - AHEAD, SPLIT) for one in recent], top) + 0.005
