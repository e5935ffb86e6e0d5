"""Shares, means and ratios with intervals: what is shown is right, and what cannot be trusted is not shown."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.differences import (
    Conversion,
    Estimate,
    Interval,
    Moments,
    NoNumber,
    cost_per_incremental,
    difference_of_means,
    difference_of_shares,
    fieller,
    mean_interval,
    nps_interval,
    ratio_moments,
    relative_lift,
    share_interval,
)
from learning.power import detectable, detectable_mean, players_needed
from learning.shrinkage import PastEffect, SegmentEffects, chi_square_p, segment_effects, shrunk_by_past
from tests.support.examples import examples


@st.composite
def shares(draw: st.DrawFn, least: int = 0) -> Conversion:
    players = draw(st.integers(2 * least + 1, 5_000))
    return Conversion(draw(st.integers(least, players - least)), players)


@settings(max_examples=examples(100))
@given(shares())
def test_the_interval_of_a_share_holds_it_and_stays_a_share(share: Conversion) -> None:
    interval = share_interval(share)
    assert share.value in Interval(interval.low - 1e-12, interval.high + 1e-12)
    assert 0 <= interval.low <= interval.high <= 1


@settings(max_examples=examples(100))
@given(shares(10), shares(10))
def test_a_difference_turned_round_is_the_same_with_the_other_sign(one: Conversion, other: Conversion) -> None:
    there, back = difference_of_shares(one, other), difference_of_shares(other, one)
    assert isinstance(there, Estimate)
    assert isinstance(back, Estimate)
    assert there.estimate in there.interval
    turned = (-back.estimate, -back.interval.high, -back.interval.low)
    assert (there.estimate, there.interval.low, there.interval.high) == pytest.approx(turned)


@settings(max_examples=examples(100))
@given(shares(10), shares(10))
def test_more_confidence_is_a_wider_interval(one: Conversion, other: Conversion) -> None:
    narrow, wide = difference_of_shares(one, other, 0.8), difference_of_shares(one, other, 0.99)
    assert isinstance(narrow, Estimate)
    assert isinstance(wide, Estimate)
    assert wide.interval.low <= narrow.interval.low
    assert narrow.interval.high <= wide.interval.high


@pytest.mark.parametrize(
    ("treated", "control"), [(Conversion(9, 100), Conversion(50, 100)), (Conversion(50, 100), Conversion(95, 100))]
)
def test_with_fewer_than_ten_on_either_side_there_is_no_difference(treated: Conversion, control: Conversion) -> None:
    for compare in (difference_of_shares, relative_lift):
        said = compare(treated, control)
        assert isinstance(said, NoNumber)
        assert "10 of each are needed" in said.reason


def test_newcombe_s_own_example_comes_out() -> None:
    # Newcombe 1998, method 10: 56/70 against 48/80.
    said = difference_of_shares(Conversion(56, 70), Conversion(48, 80))
    assert isinstance(said, Estimate)
    assert (said.interval.low, said.interval.high) == pytest.approx((0.0524, 0.3339), abs=5e-4)


def test_the_difference_of_rare_shares_is_covered() -> None:
    drawn, inside, asked = random.Random(8), 0, 0
    for _ in range(4_000):
        one, other = (Conversion(sum(drawn.random() < 0.15 for _ in range(120)), 120) for _ in range(2))
        said = difference_of_shares(one, other)
        if isinstance(said, Estimate):
            asked, inside = asked + 1, inside + (0.0 in said.interval)
    assert asked > 3_000
    assert inside / asked >= 0.94


def test_the_net_promoter_score_is_covered_and_silent_below_fifty_answers() -> None:
    assert isinstance(nps_interval(30, 5, 49), NoNumber)
    drawn, inside = random.Random(9), 0
    for _ in range(4_000):
        answers = drawn.choices([1, 0, -1], [0.55, 0.3, 0.15], k=60)
        said = nps_interval(answers.count(1), answers.count(-1), 60)
        assert isinstance(said, Estimate)
        inside += 40.0 in said.interval
    assert inside / 4_000 >= 0.93


@settings(max_examples=examples(50))
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60), st.floats(-1e3, 1e3))
def test_what_is_added_to_everybody_changes_no_difference(values: list[float], more: float) -> None:
    half = len(values) // 2 or 1
    one, other = values[:half] * 2, values[half:] * 2
    before = difference_of_means(Moments.of(one), Moments.of(other))
    raised = [Moments.of([value + more for value in part]) for part in (one, other)]
    after = difference_of_means(raised[0], raised[1])
    assert isinstance(before, Estimate)
    assert isinstance(after, Estimate)
    assert after.estimate == pytest.approx(before.estimate, abs=1e-4)
    assert isinstance(mean_interval(Moments.of(one)), Interval)


def test_a_ratio_is_of_the_sums_and_not_the_mean_of_ratios() -> None:
    said = ratio_moments([10, 0, 300, 5] * 30, [1, 1, 30, 1] * 30)
    assert isinstance(said, Moments)
    assert said.mean == pytest.approx(315 / 33)
    assert isinstance(ratio_moments([1.0, 2.0], [0.0, 0.0]), NoNumber)


def test_a_ratio_with_a_weak_denominator_has_no_number() -> None:
    assert isinstance(fieller(100, 0.5, (4, 1, 0)), NoNumber)
    said = fieller(100, 10, (4, 1, 0))
    assert isinstance(said, Estimate)
    assert 0 < said.interval.low < 10 < said.interval.high


def test_what_an_incremental_player_costs_is_said_only_when_there_is_one() -> None:
    assert isinstance(cost_per_incremental(5_000, Conversion(110, 500), Conversion(100, 500)), NoNumber)
    said = cost_per_incremental(5_000, Conversion(200, 500), Conversion(100, 500))
    assert isinstance(said, Estimate)
    assert said.estimate == pytest.approx(50)
    assert said.interval.low < 50 < said.interval.high < math.inf


class TestPower:
    @pytest.mark.parametrize(
        ("players", "control", "points"),
        [(1_000, 0.1, 12), (5_000, 0.1, 5.5), (50_000, 0.1, 1.7), (1_000, 0.5, 7.3), (10_000, 0.5, 2.3)],
    )
    def test_what_can_be_found_is_what_was_measured(self, players: int, control: float, points: float) -> None:
        assert 100 * detectable(0.22, players, control) == pytest.approx(points, rel=0.06)

    def test_money_needs_more_players_than_conversion(self) -> None:
        assert detectable_mean(2.9, 5_000, 0.1) == pytest.approx(0.38, abs=0.01)

    @settings(max_examples=examples(50))
    @given(st.floats(0.05, 0.6), st.floats(0.01, 0.2), st.floats(0.05, 0.5))
    def test_the_players_needed_for_an_effect_find_it(self, base: float, rise: float, control: float) -> None:
        players = players_needed(base, rise, control)
        assert detectable(base, players, control) <= rise * 1.001
        assert detectable(base, players * 0.9, control) > rise

    def test_nobody_in_a_group_finds_nothing(self) -> None:
        assert detectable(0.2, 100, 0) == math.inf


class TestSegments:
    def test_effects_that_are_alike_are_drawn_to_the_common_one(self) -> None:
        drawn = random.Random(3)
        parts = {
            f"s{n}": (
                Conversion(sum(drawn.random() < 0.3 for _ in range(500)), 500),
                Conversion(sum(drawn.random() < 0.25 for _ in range(300)), 300),
            )
            for n in range(12)
        }
        said = segment_effects(parts)
        assert isinstance(said, SegmentEffects)
        for name, (treated, control) in parts.items():
            own = said.segments[name]
            assert isinstance(own, Estimate)
            raw = treated.value - control.value
            assert abs(own.estimate - said.overall.estimate) <= abs(raw - said.overall.estimate) + 1e-12

    def test_a_segment_that_differs_by_far_is_shown_and_a_small_one_has_no_number(self) -> None:
        said = segment_effects(
            {
                "new": (Conversion(600, 1_000), Conversion(300, 1_000)),
                "old": (Conversion(305, 1_000), Conversion(300, 1_000)),
                "few": (Conversion(30, 60), Conversion(10, 60)),
            }
        )
        assert isinstance(said, SegmentEffects)
        assert not said.alike
        new, old = said.segments["new"], said.segments["old"]
        assert isinstance(new, Estimate)
        assert isinstance(old, Estimate)
        assert new.interval.low > old.interval.high
        assert isinstance(said.segments["few"], NoNumber)
        assert isinstance(segment_effects({"few": (Conversion(30, 60), Conversion(10, 60))}), NoNumber)

    @pytest.mark.parametrize(("value", "freedom", "p"), [(3.841, 1, 0.05), (18.31, 10, 0.05), (0, 3, 1)])
    def test_the_chance_of_so_unlike_segments_is_the_tabled_one(self, value: float, freedom: int, p: float) -> None:
        assert chi_square_p(value, freedom) == pytest.approx(p, abs=0.003)

    def test_a_winner_s_effect_shrinks_and_needs_a_past(self) -> None:
        assert isinstance(shrunk_by_past(0.05, 0.02, [PastEffect(0.01, 0.001)] * 9), NoNumber)
        # They scatter by 5 points, 3 of them by chance: 4 points are what arms bring, by Pythagoras.
        past = [PastEffect(0.05, 0.03), PastEffect(-0.05, 0.03)] * 5
        said = shrunk_by_past(0.05, 0.04, past)
        assert isinstance(said, Estimate)
        assert said.estimate == pytest.approx(0.025)
