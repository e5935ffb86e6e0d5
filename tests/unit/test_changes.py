"""What has changed is found, and what only varies is rarely taken for it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.changes import BLOCKS, WRONGLY, PaceChange, changed, has_stopped, paces_of, share_change
from learning.differences import Conversion
from tests.support.examples import examples


def uneven(drawn: random.Random, mean: float) -> int:
    """A count that is less even than dice: people come in spells."""
    rate = drawn.gammavariate(6.0, mean / 6.0)
    return sum(drawn.random() < min(1.0, rate / 80) for _ in range(80))


def night(seed: int, players: int) -> dict[str, list[int]]:
    """Players each with a pace of their own, which nobody has changed."""
    drawn = random.Random(seed)
    means = [drawn.uniform(4, 20) for _ in range(players)]
    return {str(number): [uneven(drawn, mean) for _ in range(BLOCKS + 1)] for number, mean in enumerate(means)}


class TestPlayers:
    def test_where_nobody_has_changed_hardly_anybody_is_named(self) -> None:
        nights = examples(60)
        named = [changed(paces_of(night(seed, 100))) for seed in range(nights)]
        assert sum(map(bool, named)) <= max(4.0, 2 * WRONGLY * nights)
        assert sum(map(len, named)) <= max(5.0, 0.002 * 100 * nights)

    def test_a_regular_who_stays_away_and_one_who_comes_thrice_as_often_are_named(self) -> None:
        usual = [12, 14, 13, 12, 15, 13]
        known = {"regular": [0, *usual], "eager": [60, *usual], "steady": [14, *usual]}
        found = changed(paces_of({**known, **night(3, 60)}))
        assert {"regular", "eager"} <= {*found}
        assert "steady" not in found

    def test_a_small_change_is_not_told_however_sure(self) -> None:
        assert changed({"steady": PaceChange(130, 100, 1e-9)}) == []

    def test_who_comes_rarely_has_no_pace(self) -> None:
        assert paces_of({"rare": [0, 2, 2, 2, 2, 2, 1]}) == {}

    @settings(max_examples=examples(50))
    @given(st.lists(st.integers(0, 60), min_size=BLOCKS, max_size=BLOCKS), st.integers(0, 120))
    def test_a_chance_is_a_chance_and_the_order_of_blocks_says_nothing(self, blocks: list[int], lately: int) -> None:
        pace = paces_of({"one": [lately, *blocks]})
        other = paces_of({"one": [lately, *blocks[::-1]]})
        assert pace.keys() == other.keys()
        for name, one in pace.items():
            assert 0 <= one.p_value <= 1
            assert one.p_value == pytest.approx(other[name].p_value)


class TestShares:
    def days(self, drawn: random.Random, share: float, count: int, size: int = 800) -> list[Conversion]:
        """A share that moves a little from day to day by itself."""
        found = []
        for _ in range(count):
            mine = min(1.0, max(0.0, share + drawn.gauss(0, 0.015)))
            found.append(Conversion(sum(drawn.random() < mine for _ in range(size)), size))
        return found

    def test_a_provider_that_delivers_as_ever_is_not_told_of(self) -> None:
        drawn, nights = random.Random(5), examples(60)
        days = [self.days(drawn, 0.95, 15, size=300) for _ in range(nights)]
        told = [share_change(before, now, least=0.05) for now, *before in days]
        assert told == [None] * nights

    def test_one_whose_delivery_falls_is(self) -> None:
        drawn = random.Random(6)
        moved = share_change(self.days(drawn, 0.95, 14), Conversion(600, 800), least=0.05)
        assert moved is not None
        assert moved.now == 0.75
        assert moved.usual == pytest.approx(0.95, abs=0.02)

    def test_a_group_that_grows_is_told_once_it_has_left_what_it_does_by_itself(self) -> None:
        drawn = random.Random(7)
        weeks = self.days(drawn, 0.30, 12)
        assert share_change(weeks, Conversion(380, 800), least=0.05) is not None
        assert share_change(weeks, Conversion(256, 800), least=0.05) is None, "Two points are no change."
        restless = [Conversion(count, 800) for count in (120, 360, 150, 400, 130, 330, 240, 390, 140, 310)]
        assert share_change(restless, Conversion(320, 800), least=0.05) is None, "It moves so by itself."

    def test_few_say_nothing(self) -> None:
        assert share_change([Conversion(48, 50)] * 5, Conversion(0, 800), least=0.05) is None
        assert share_change([Conversion(48, 50)] * 14, Conversion(0, 20), least=0.05) is None
        assert share_change([Conversion(0, 800)] * 14, Conversion(0, 800), least=0.05) is None, "None is ever told."


class TestEntries:
    def test_a_journey_that_nobody_enters_any_more_is_told_the_day_after(self) -> None:
        assert has_stopped([40] * 60 + [0]) == 1
        assert has_stopped([40] * 60) == 0

    def test_one_that_is_quiet_at_weekends_is_not_missed_at_one(self) -> None:
        weeks = [30, 30, 30, 30, 30, 0, 0] * 8
        assert has_stopped(weeks) == 0
        assert has_stopped([*weeks, 0, 0, 0]) == 5, "Five days are more than twice two."

    def test_one_that_is_entered_rarely_is_waited_for(self) -> None:
        assert has_stopped([2] * 60 + [0, 0, 0]) == 0
        assert has_stopped([2] * 60 + [0] * 6) == 6
        assert has_stopped([1] * 60 + [0] * 30) == 0, "Of so few nobody can say."

    def test_dice_are_rarely_taken_for_an_end(self) -> None:
        drawn, false, days = random.Random(8), 0, 0
        for _ in range(examples(40)):
            rate = drawn.uniform(2, 40)
            life = [sum(drawn.random() < rate / 200 for _ in range(200)) for _ in range(90)]
            for day in range(30, 90):
                days += 1
                false += has_stopped(life[:day]) > 0
        assert false <= days / 2_000
