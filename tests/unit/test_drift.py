"""Drift: how far players are from those a model was judged on."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.drift import (
    DRIFT_TO_LOOK_AT,
    DRIFT_TOO_LARGE,
    LEAST_FOR_FEATURES,
    bands_of,
    bands_of_features,
    bands_of_spread,
    feature_drifts,
    score_drift,
    stability_index,
)
from tests.support.examples import examples

VALUES = st.lists(st.floats(-1e9, 1e9) | st.sampled_from([0.0, 1.0, 30.0]), min_size=1, max_size=80)
TWO_COUNTS = st.integers(1, 12).flatmap(
    lambda bands: st.tuples(*[st.lists(st.integers(0, 10_000), min_size=bands, max_size=bands)] * 2)
)


class TestIndex:
    @settings(max_examples=examples(100))
    @given(TWO_COUNTS)
    def test_it_is_the_same_either_way_never_below_zero_and_never_without_end(
        self, counts: tuple[list[int], list[int]]
    ) -> None:
        one, other = counts
        found = stability_index(one, other)
        assert math.isfinite(found)
        assert found >= 0
        assert found == pytest.approx(stability_index(other, one))

    @settings(max_examples=examples(50))
    @given(TWO_COUNTS)
    def test_it_is_zero_for_the_same_counts(self, counts: tuple[list[int], list[int]]) -> None:
        assert stability_index(counts[0], counts[0]) == 0

    def test_a_band_that_is_empty_now_or_was_then_counts_and_not_without_end(self) -> None:
        assert 1 < stability_index([500, 500], [1000, 0]) < 4
        assert stability_index([1000, 0], [500, 500]) == pytest.approx(stability_index([500, 500], [1000, 0]))

    def test_of_nobody_nothing_is_said(self) -> None:
        assert stability_index([3, 4], [0, 0]) == stability_index([0, 0], [3, 4]) == 0

    def test_it_is_the_sum_that_is_worked_out_by_hand(self) -> None:
        then, now = (100.5 / 401, 300.5 / 401), (200.5 / 401, 200.5 / 401)
        by_hand = sum((b - a) * math.log(b / a) for a, b in zip(then, now, strict=True))
        assert stability_index([100, 300], [200, 200]) == pytest.approx(by_hand)


class TestBands:
    @settings(max_examples=examples(100))
    @given(VALUES, VALUES)
    def test_each_value_is_in_one_band_and_parts_add_up(self, values: list[float], later: list[float]) -> None:
        bands = bands_of(values)
        assert all(one < other for one, other in pairwise(bands.edges))
        assert len(bands.counts) == len(bands.edges) + 1
        assert sum(bands.counts) == len(values)
        parts = zip(bands.count(later), bands.count(values), strict=True)
        assert [one + other for one, other in parts] == bands.count([*later, *values])

    def test_what_nearly_everybody_shares_is_seen_when_nobody_does_any_more(self) -> None:
        idle = {"idle": [0.0] * 970 + [3.0] * 30}
        bands = bands_of_features([{"idle": one} for one in idle["idle"]])
        for now in ([1.0] * 1_000, [-1.0] * 1_000):
            assert feature_drifts(bands, {"idle": bands["idle"].count(now)})["idle"] > DRIFT_TOO_LARGE
        assert feature_drifts(bands, {"idle": bands["idle"].count(idle["idle"])})["idle"] == 0

    def test_of_no_rows_there_are_none(self) -> None:
        assert bands_of_features([]) == {}
        assert bands_of_spread([]).counts == [0]


class TestFeatures:
    def test_players_who_are_the_same_have_not_moved_and_others_have_in_that_feature_alone(self) -> None:
        drawn = random.Random(8)
        rows = [{"days": drawn.gauss(10, 3), "gaps": drawn.expovariate(1.0)} for _ in range(2_000)]
        bands = bands_of_features(rows)
        again = [{"days": drawn.gauss(14, 3), "gaps": drawn.expovariate(1.0)} for _ in range(2_000)]
        found = feature_drifts(bands, {name: one.count(row[name] for row in again) for name, one in bands.items()})
        assert found["days"] > DRIFT_TOO_LARGE
        assert found["gaps"] < DRIFT_TO_LOOK_AT / 2

    @pytest.mark.parametrize(("then", "now"), [(LEAST_FOR_FEATURES - 1, 5_000), (5_000, LEAST_FOR_FEATURES - 1)])
    def test_of_too_few_players_then_or_now_none_is_spoken_of(self, then: int, now: int) -> None:
        bands = bands_of_features([{"days": float(number)} for number in range(then)])
        assert feature_drifts(bands, {"days": bands["days"].count([1.0] * now)}) == {}

    def test_of_the_fewest_that_are_spoken_of_chance_alone_tells_nearly_nothing(self) -> None:
        drawn, told = random.Random(5), 0
        for _ in range(300):
            bands = bands_of_features([{"days": drawn.random()} for _ in range(LEAST_FOR_FEATURES)])
            now = bands["days"].count(drawn.random() for _ in range(LEAST_FOR_FEATURES))
            told += feature_drifts(bands, {"days": now})["days"] > DRIFT_TOO_LARGE
        assert told == 0


class TestScore:
    def test_of_a_hundred_players_chance_alone_is_seldom_told(self) -> None:
        drawn = random.Random(12)
        before = sorted(drawn.random() for _ in range(100))
        bands = bands_of_spread(before)
        nights = [score_drift(bands, bands.count(drawn.choices(before, k=100))) for _ in range(400)]
        assert sum(one > DRIFT_TO_LOOK_AT for one in nights) / 400 < 0.05
        assert max(nights) < DRIFT_TOO_LARGE

    def test_players_who_are_others_are_told(self) -> None:
        drawn = random.Random(4)
        before, same, others = (
            [min(1, max(0, drawn.gauss(mean, 0.15))) for _ in range(3_000)] for mean in (0.4, 0.4, 0.6)
        )
        bands = bands_of_spread(before)
        assert score_drift(bands, bands.count(same)) < 0.05
        assert score_drift(bands, bands.count(others)) > 0.25
        assert score_drift(bands, bands.count([])) == 0.0
