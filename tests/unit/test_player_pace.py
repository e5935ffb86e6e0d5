"""How fast one player may press buttons."""

from hypothesis import given, settings
from hypothesis import strategies as st

from api.permissions import Key
from api.player_pace import PlayerPace
from api.problems import Problem
from tests.support.examples import examples


class Hand:
    """Players' hands, and a clock."""

    def __init__(self, at_once: int = 3, a_second: float = 2.0) -> None:
        self.now = 1_000.0
        self.pace = PlayerPace(at_once, a_second, lambda: self.now)

    def press(self, player: str = "p", brand: str = "acme") -> str | None:
        """When to come back, in seconds; None where it was let pass."""
        try:
            self.pace.take(Key("t", brand, "player", frozenset(), None, player_id=player))
        except Problem as early:
            return (early.headers or {})["Retry-After"]
        return None


def test_so_many_are_let_pass_at_once_and_the_next_is_told_when_to_come_back() -> None:
    hand = Hand()
    assert [hand.press() for _ in range(4)] == [None, None, None, "1"]
    hand.now += 0.5
    assert [hand.press(), hand.press()] == [None, "1"]


def test_who_is_told_to_come_back_loses_nothing_by_asking_again() -> None:
    hand = Hand(1, 1.0)
    assert hand.press() is None
    for _ in range(100):
        assert hand.press() == "1"
    hand.now += 1
    assert hand.press() is None


def test_one_player_holds_up_no_other_and_no_namesake_of_another_brand() -> None:
    hand = Hand(1)
    assert [hand.press("p"), hand.press("q"), hand.press("p", "luna"), hand.press("p")] == [None, None, None, "1"]


@given(st.lists(st.floats(0, 5), max_size=60), st.integers(1, 6), st.sampled_from([0.5, 1.0, 2.0]))
@settings(max_examples=examples(50))
def test_in_no_time_is_more_let_pass_than_was_said(pauses: list[float], at_once: int, a_second: float) -> None:
    hand = Hand(at_once, a_second)
    passed: list[float] = []
    for pause in pauses:
        hand.now += pause
        if hand.press() is None:
            passed.append(hand.now)
    for first, since in enumerate(passed):
        for last in range(first, len(passed)):
            assert last - first + 1 <= at_once + (passed[last] - since) * a_second + 1e-6
