"""Looking often at an experiment: how often one is fooled, and how soon harm is seen. All draws are seeded."""

import math
import random
from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.differences import Conversion
from learning.evidence import (
    BROKEN_AT,
    STOPS_AT,
    Drawn,
    Harmed,
    harm_evidence,
    sample_ratio_evidence,
    sample_ratio_p_value,
)
from learning.sequential import TAIL, boundaries, reach_at_any_time, spent_by
from tests.support.examples import THOROUGH, examples

#: What `make test` looks at is enough to notice a mistake; `make prove` tries the numbers that are promised.
RUNS = 1_000 if THOROUGH > 1 else 200
SLACK = 0.014 if THOROUGH > 1 else 0.035
DAYS = 28
#: Both arms after each day.
Days = list[tuple[Conversion, Conversion]]


class TestBoundaries:
    def test_four_equal_looks_have_the_tabled_boundaries(self) -> None:
        assert boundaries((0.25, 0.5, 0.75, 1.0)) == pytest.approx((4.333, 2.963, 2.359, 2.014), abs=0.02)

    @settings(max_examples=examples(10))
    @given(st.lists(st.floats(0.05, 1), min_size=1, max_size=6, unique=True))
    def test_however_looks_are_placed_they_spend_no_more_than_they_may(self, shares: list[float]) -> None:
        looks = tuple(sorted(shares))
        found = boundaries(looks)
        assert all(spent_by(one) <= spent_by(other) for one, other in pairwise(looks))
        assert spent_by(looks[-1]) <= TAIL + 1e-12
        assert found[-1] >= 1.95

    def test_a_look_without_new_players_keeps_the_boundary(self) -> None:
        assert boundaries((0.5, 0.5, 1.0))[:2] == (boundaries((0.5,))[0],) * 2
        assert boundaries((0.0, 0.5))[0] == 8.0
        assert boundaries((0.5, 1.0, 1.4)) == (*boundaries((0.5, 1.0)), boundaries((0.5, 1.0))[1])


def conversions(drawn: random.Random, players: int, treated: float, control: float) -> Days:
    """Both arms after each of 28 days."""
    found, counts = [], [0, 0, 0, 0]
    for day in range(1, DAYS + 1):
        while counts[0] + counts[2] < players * day // DAYS:
            arm = 0 if drawn.random() < 0.5 else 2
            counts[arm] += 1
            counts[arm + 1] += drawn.random() < (treated if arm == 0 else control)
        found.append((Conversion(counts[1], counts[0]), Conversion(counts[3], counts[2])))
    return found


def z_of(one: Conversion, other: Conversion) -> float:
    error = math.sqrt(one.variance / one.players + other.variance / other.players)
    return (one.value - other.value) / error if error else 0.0


@pytest.fixture(scope="module")
def nothing() -> list[Days]:
    """Experiments of nothing against nothing."""
    drawn = random.Random(2026)
    return [conversions(drawn, 2_000, 0.24, 0.24) for _ in range(RUNS)]


class TestPeeking:
    """Nothing against nothing, looked at every day for four weeks."""

    def test_with_a_plan_at_most_five_of_a_hundred_are_fooled(self, nothing: list[Days]) -> None:
        edges = boundaries(tuple(day / DAYS for day in range(1, DAYS + 1)))
        fooled = sum(any(abs(z_of(*one)) > edge for one, edge in zip(days, edges, strict=True)) for days in nothing)
        assert fooled / RUNS <= 0.05 + SLACK

    def test_without_a_plan_at_most_two_of_a_hundred_are_fooled(self, nothing: list[Days]) -> None:
        fooled = sum(
            any(abs(z_of(*day)) > reach_at_any_time(day[0].players + day[1].players, 2_000) for day in days)
            for days in nothing
        )
        assert fooled / RUNS <= 0.02 + SLACK / 2

    def test_the_usual_test_is_fooled_in_more_than_fifteen_of_a_hundred(self, nothing: list[Days]) -> None:
        assert sum(any(abs(z_of(*one)) > 1.96 for one in days) for days in nothing) / RUNS > 0.15

    def test_the_true_difference_is_in_every_interval_that_is_shown(self, nothing: list[Days]) -> None:
        edges = boundaries(tuple(day / DAYS for day in range(1, DAYS + 1)))
        last = [z_of(*days[-1]) for days in nothing]
        assert sum(abs(z) <= edges[-1] for z in last) / RUNS >= 0.94

    def test_an_effect_of_the_size_looked_for_is_found(self) -> None:
        drawn = random.Random(7)
        edges = boundaries(tuple(day / DAYS for day in range(1, DAYS + 1)))
        runs = [conversions(drawn, 1_700, 0.30, 0.24) for _ in range(RUNS // 2)]
        found = sum(any(z_of(*one) > edge for one, edge in zip(days, edges, strict=True)) for days in runs)
        assert found / len(runs) >= 0.78 - SLACK


def harmed_until(drawn: random.Random, chance: float, risk: float, most: int) -> int | None:
    """After how many harmed players an arm is stopped in which harm is so many times as likely; None if it is not."""
    inside = chance * risk / (chance * risk + 1 - chance)
    met: list[Harmed] = []
    for count in range(1, most + 1):
        met.append(Harmed(drawn.random() < inside, chance))
        if harm_evidence(met) >= STOPS_AT:
            return count
    return None


class TestHarm:
    @pytest.mark.parametrize("chance", [0.5, 0.9])
    def test_where_harm_is_alike_at_most_five_of_a_hundred_arms_are_stopped(self, chance: float) -> None:
        drawn = random.Random(13)
        stopped = sum(harmed_until(drawn, chance, 1, 200) is not None for _ in range(RUNS))
        assert stopped / RUNS <= 0.05

    def test_doubled_harm_at_half_and_half_is_stopped_after_sixty_harmed_players(self) -> None:
        drawn = random.Random(17)
        found = [harmed_until(drawn, 0.5, 2, 500) for _ in range(RUNS // 2)]
        assert None not in found
        assert median(one for one in found if one is not None) <= 60

    def test_harm_times_three_is_stopped_sooner(self) -> None:
        drawn = random.Random(19)
        found = [harmed_until(drawn, 0.5, 3, 500) or 500 for _ in range(RUNS // 4)]
        assert median(found) <= 30

    @settings(max_examples=examples(100))
    @given(st.lists(st.tuples(st.booleans(), st.floats(0.05, 0.95)), max_size=40), st.randoms(use_true_random=False))
    def test_the_order_in_which_harm_is_told_changes_nothing(
        self, met: list[tuple[bool, float]], shuffled: random.Random
    ) -> None:
        harmed = [Harmed(*one) for one in met]
        other = list(harmed)
        shuffled.shuffle(other)
        assert harm_evidence(other) == pytest.approx(harm_evidence(harmed))

    @settings(max_examples=examples(100))
    @given(st.lists(st.booleans(), max_size=12), st.floats(0.05, 0.95))
    def test_one_harmed_player_more_changes_the_evidence_by_nothing_on_average(
        self, met: list[bool], chance: float
    ) -> None:
        # What makes it valid whenever one looks: it is a fair bet while only the draw decides.
        harmed = [Harmed(one, chance) for one in met]
        expected = chance * harm_evidence([*harmed, Harmed(True, chance)]) + (1 - chance) * harm_evidence(
            [*harmed, Harmed(False, chance)]
        )
        assert expected == pytest.approx(harm_evidence(harmed))

    def test_who_was_not_drawn_by_chance_counts_for_nothing(self) -> None:
        assert harm_evidence([Harmed(True, 1.0), Harmed(False, 0.0)]) == 1.0
        assert harm_evidence([]) == 1.0


def alarmed_at(drawn: random.Random, share: float, planned: float, most: int) -> int | None:
    """After how many players wrong shares are noticed, looked for after every 250; None if they are not."""
    inside = 0
    for players in range(1, most + 1):
        inside += drawn.random() < share
        if players % 250 == 0 and sample_ratio_evidence([Drawn(inside, players, planned)]) >= BROKEN_AT:
            return players
    return None


class TestSampleRatio:
    def test_shares_as_planned_are_believed_and_eight_for_ten_percent_are_not(self) -> None:
        drawn = random.Random(23)
        assert not any(alarmed_at(drawn, 0.1, 0.1, 5_000) for _ in range(RUNS // 2))
        found = [alarmed_at(drawn, 0.08, 0.1, 8_000) for _ in range(RUNS // 2)]
        assert sum(one is not None for one in found) / len(found) >= 0.9
        assert median(one or 8_000 for one in found) <= 4_000

    def test_before_and_after_a_change_of_shares_each_part_is_held_to_its_own(self) -> None:
        before, after = Drawn(500, 1_000, 0.5), Drawn(900, 1_000, 0.9)
        assert sample_ratio_evidence([before, after]) < 1
        assert sample_ratio_p_value([before, after]) == 1.0
        pooled = Drawn(1_400, 2_000, 0.5)
        assert sample_ratio_evidence([pooled]) > BROKEN_AT
        assert sample_ratio_p_value([pooled]) < 0.001

    def test_of_a_few_players_nothing_is_said(self) -> None:
        assert sample_ratio_evidence([Drawn(9, 9, 0.5)]) == 1.0
        assert sample_ratio_p_value([]) == 1.0
