"""What is usual for one player: medians of their newest values, whatever order these came in."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from workflows.rules.usual_values import FEWEST, KEPT, gaps, keep, usual

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
KYIV = ZoneInfo("Europe/Kyiv")


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 10_000)), max_size=80).flatmap(st.permutations))
@settings(max_examples=examples(50))
def test_the_order_in_which_values_come_changes_nothing(values: list[tuple[int, int]]) -> None:
    held: dict[str, int] = {}
    in_order: dict[str, int] = {}
    for hour, amount in values:
        keep(held, NOON + timedelta(hours=hour), amount)
    for hour, amount in sorted(values):
        keep(in_order, NOON + timedelta(hours=hour), amount)
    assert held == in_order
    assert len(held) <= KEPT


@given(st.lists(st.integers(0, 1_000_000), min_size=FEWEST, max_size=40))
@settings(max_examples=examples(50))
def test_half_of_the_values_are_never_unusual_and_one_far_out_changes_the_median_little(values: list[int]) -> None:
    known = usual(values)
    assert sum(known.why_unusual(value) is not None for value in values) <= len(values) // 2
    assert min(values) <= known.median <= known.p95 <= max(values)
    assert usual([*values, 10**9]).median <= max(values)


def test_several_visits_on_one_day_of_the_player_are_one() -> None:
    held: dict[str, int] = {}
    # 23:00 and 23:30 UTC on the 10th, and 10:00 UTC on the 11th are one day in Kyiv.
    for hour in (11, 11.5, 22, 70):
        keep(held, NOON + timedelta(hours=hour), 1)
    assert gaps(held, KYIV) == [2 * 86_400]
