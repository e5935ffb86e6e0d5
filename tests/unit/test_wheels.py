"""A wheel's draw: recomputed by anybody, exactly as likely as its odds say."""

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.unit.test_points import POINTS
from workflows import (
    after,
    cash,
    free_bet,
    mission,
    points,
    raffle,
    raffle_ticket,
    rakeback,
    reload,
    sector,
    wheel,
)
from workflows.effects import OfferSpin
from workflows.errors import DesignError
from workflows.loyalty.fair_draws import draw, landed_on, seed_hash
from workflows.loyalty.program import LoyaltyProgram, mistakes_among
from workflows.loyalty.shared_limits import LimitShare
from workflows.loyalty.spin_proofs import spin_words
from workflows.loyalty.wheel_attempts import MOST_GIVEN, WheelDay
from workflows.loyalty.wheels import Wheel
from workflows.player_state.prizes import why_not_offered
from workflows.player_state.state import PlayerState

SEED = bytes(range(32))


@settings(max_examples=examples(50))
@given(st.lists(st.integers(1, 50), min_size=2, max_size=20))
def test_i25_every_point_of_the_wheel_belongs_to_one_sector(weights: list[int]) -> None:
    landed = Counter(landed_on(point, weights) for point in range(sum(weights)))
    assert [landed[number] for number in range(len(weights))] == weights
    with pytest.raises(ValueError, match="beyond the wheel"):
        landed_on(sum(weights), weights)


def test_i25_the_odds_are_those_that_are_shown() -> None:
    weights, spins = (600, 399, 1), examples(100_000)
    came = Counter(draw(SEED, spin_words("w", "v", f"p-{n}", "", 1), weights) for n in range(spins))
    chi = sum((came[n] - spins * weight / 1000) ** 2 / (spins * weight / 1000) for n, weight in enumerate(weights))
    assert chi < 13.8, "two degrees of freedom, one in a thousand"


@settings(max_examples=examples(50))
@given(st.binary(min_size=32, max_size=32), st.text(max_size=200), st.integers(1, 9))
def test_i24_the_same_spin_lands_on_the_same_sector(seed: bytes, word: str, nonce: int) -> None:
    words = spin_words("w", "v", "p", word, nonce)
    assert draw(seed, words, (3, 2, 1)) == draw(seed, words, (3, 2, 1))
    assert words != spin_words("w", "v", "p", word + "x", nonce)
    assert len(words) < 120


def test_a_draw_that_anybody_may_hold_against_their_own() -> None:
    assert seed_hash(SEED)[:16] == "630dcd2966c43366"
    assert [draw(SEED, spin_words("daily", "v1", "p-1", "luck", n), (600, 399, 1)) for n in range(1, 9)] == [
        0,
        0,
        1,
        1,
        0,
        0,
        1,
        0,
    ]


def _wheel(*weights: int, **options: Any) -> Callable[[], Wheel]:
    given: dict[str, Any] = {"otherwise": points(5), "into": POINTS, "product": "casino", "budget": 1_000, **options}
    prize, name = given.pop("prize", points(20)), given.pop("name", "w")
    return lambda: wheel(name, *(sector(one, prize) for one in weights), **given)


@pytest.mark.parametrize(
    ("declare", "sentence"),
    [
        (_wheel(1), "2 to 50 sectors"),
        (_wheel(1, 0), "weights above 0"),
        (_wheel(1, 1, prize=cash(500)), "budget_minor= for money"),
        (_wheel(1, 1, prize=rakeback(10)), "nobody can say here what it costs"),
        (_wheel(1, 1, prize=reload(50, 1_000)), "nobody can say here what it costs"),
        (_wheel(1, 1, prize=free_bet(100), budget_minor=1_000), "is about casino and gives a free_bet"),
        (_wheel(1, 1, otherwise=raffle_ticket("spring")), "gives points otherwise"),
        (_wheel(1, 1, otherwise=points(50)), "gives the least"),
        (_wheel(1, 1, plays=-1), "plays= of 0 or more"),
        (_wheel(1, 1, budget=10), "largest prize fits"),
        (_wheel(1, 1, guarantee=after(3, points(40))), "needs a blank sector"),
        (_wheel(1, 1, control=100), "from 0 to 99"),
        (_wheel(1, 1, pause=timedelta(days=1, seconds=1)), "pause= from seconds(0) to days(1)"),
        (_wheel(1, 1, pause=timedelta(seconds=-1)), "pause= from seconds(0) to days(1)"),
        (_wheel(1, 1, name="lucky:0"), "needs a name of letters, digits and underscores"),
        (_wheel(1, 1, timezone="Europe/Lodnon"), "is in the zone 'Europe/Lodnon', which is none"),
    ],
)
def test_a_wheel_that_would_not_be_fair_is_refused(declare: Callable[[], Wheel], sentence: str) -> None:
    with pytest.raises(DesignError, match=re.escape(sentence)):
        declare()


def test_what_a_prize_takes_of_the_day_is_taken_in_one_order() -> None:
    made = wheel(
        "w",
        sector(1, points(20), stock=2),
        sector(1, cash(500), stock=1),
        sector(1, raffle_ticket("spring")),
        otherwise=points(5),
        into=POINTS,
        product="casino",
        budget=100,
        budget_minor=600,
    )
    prizes = [made.sectors[number].gives for number in range(3)]
    taken = [
        [(one.limit, one.amount) for one in made.shares_of_prize("d", n, prize)]
        for n, prize in enumerate(prizes)
        if prize
    ]
    assert taken == [
        [("wheel:w:d", 15), ("wheel:w:d:0", 1)],
        [("wheel:w:d", -5), ("wheel:w:d:minor", 500), ("wheel:w:d:1", 1)],
        [("wheel:w:d", -5)],
    ]
    assert made.share_of_spin("d") == LimitShare("wheel:w:d", 5, 100), "what is always there is taken before the draw"
    assert made.shares_of_prize("d", 1, made.otherwise) == [], "no stock goes for another prize"
    assert made.shares_of_prize("d", 1, None) == [LimitShare("wheel:w:d", -5, 100)], "a blank gives it back"


@settings(max_examples=examples(50))
@given(st.integers(1, 5), st.integers(0, 9))
def test_the_guarantee_speaks_when_the_blanks_are_full_and_only_for_a_blank(promised: int, blanks: int) -> None:
    prize = points(100)
    made = wheel(
        "w",
        sector(1, None),
        sector(1, points(20)),
        otherwise=points(5),
        into=POINTS,
        product="casino",
        budget=100,
        guarantee=after(promised, prize),
    )
    assert made.prize(0, blanks) == ((prize, "guarantee") if blanks >= promised else (None, None))
    assert made.prize(1, blanks) == (points(20), None)


def test_a_day_ends_where_the_wheel_is() -> None:
    made = _wheel(1, 1, timezone="Europe/London")()
    evening = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)
    assert made.end_of_day(evening) == datetime(2026, 3, 29, tzinfo=UTC)
    assert made.end_of_day(evening + timedelta(hours=1)) == datetime(2026, 3, 29, 23, tzinfo=UTC), "a day of 23 hours"


def test_a_wheel_may_not_give_what_nobody_declared() -> None:
    made = _wheel(1, 1, prize=mission("nothing"))()
    (mistake,) = mistakes_among([made])
    assert "gives a mission of nothing" in mistake
    tickets = _wheel(1, 1, prize=raffle_ticket("spring"))()
    spring = raffle("spring", (1, points(10)), into=POINTS, product="casino")
    assert list(mistakes_among([tickets, spring])) == []


class TestRowsOfPlayers:
    def test_what_rows_of_before_say_of_a_wheel_is_read(self) -> None:
        state = PlayerState.from_json("b", "p", {"loyalty": {"spins": {"daily": ["2026-03-09", 2]}}})
        assert state.loyalty is not None
        assert state.loyalty.spins["daily"] == WheelDay("2026-03-09", spun=2)
        assert PlayerState.from_json("b", "p", state.stored()) == state

    def test_a_wheel_is_spun_again_when_its_pause_is_over_whatever_the_day(self) -> None:
        state, made = PlayerState("b", "p"), _wheel(1, 1, plays=3)()
        now = datetime(2026, 3, 9, 23, 59, 58, tzinfo=UTC)
        assert state.may_spin_at(made, now) is None
        state.use_spin(made, now, blank=False)
        again = now + timedelta(seconds=5)
        assert state.may_spin_at(made, now) == state.may_spin_at(made, again - timedelta(microseconds=1)) == again
        assert state.may_spin_at(made, again) is None
        kept = PlayerState.from_json("b", "p", json.loads(orjson.dumps(state.stored())))
        assert kept.may_spin_at(made, now) == again
        assert state.may_spin_at(replace(made, pause=timedelta(seconds=2.5)), now) == now + timedelta(seconds=2.5)

    def test_a_wheel_without_a_pause_is_spun_again_at_once(self) -> None:
        state, made, now = PlayerState("b", "p"), _wheel(1, 1, pause=timedelta(0))(), datetime(2026, 3, 9, tzinfo=UTC)
        state.use_spin(made, now, blank=False)
        assert state.may_spin_at(made, now) is None

    def test_the_newer_spin_of_two_accounts_counts_for_the_pause(self) -> None:
        early, late = datetime(2026, 3, 9, 1, tzinfo=UTC), datetime(2026, 3, 9, 2, tzinfo=UTC)
        mine, theirs = WheelDay("2026-03-09", 1, last=early), WheelDay("2026-03-08", 1, last=late)
        assert mine.with_(theirs).last == theirs.with_(mine).last == late

    def test_spins_of_two_accounts_add_up(self) -> None:
        mine, theirs = WheelDay("2026-03-09", 2, 1, 3), WheelDay("2026-03-09", 1, 0, 0)
        assert mine.with_(theirs) == WheelDay("2026-03-09", 3, 1, 3)
        assert mine.with_(WheelDay("2026-03-10", 1)) == WheelDay("2026-03-10", 1, blanks=3), "blanks are of no day"

    def test_a_row_is_written_as_before_while_nothing_new_is_in_it(self) -> None:
        state = PlayerState.from_json("b", "p", {"loyalty": {"spins": {"daily": ["2026-03-09", 2]}}})
        assert json.loads(orjson.dumps(state.stored()))["loyalty"]["spins"] == {"daily": ["2026-03-09", 2]}
        state.use_spin(_wheel(1, 1)(), datetime(2026, 3, 9, tzinfo=UTC), blank=True)
        assert PlayerState.from_json("b", "p", state.stored()) == state

    def test_a_row_holds_so_many_given_spins_and_uses_first_what_ends_first(self) -> None:
        state, made = PlayerState("b", "p"), _wheel(1, 1, plays=0)()
        now = datetime(2026, 3, 9, tzinfo=UTC)
        for number in range(MOST_GIVEN + 5):
            until = now + timedelta(hours=1 + number % 3)
            offer = OfferSpin(
                brand="b", player_id="p", journey="j", run_id=f"r{number}", step="spin:w#1", wheel="w", until=until
            )
            state.offer_spin(offer, now)
        assert state.spins_left(made, now) == MOST_GIVEN
        used = state.use_spin(made, now, blank=True)
        assert used is not None
        assert used.until == now + timedelta(hours=1)
        assert state.spins_left(made, now + timedelta(hours=4)) == 0
        assert state.wheel_day(made, now) == WheelDay(made.day_of(now), 1, 1, 1, now)

    def test_a_full_row_gives_up_the_spin_that_ends_first_and_never_the_one_just_given(self) -> None:
        state, made = PlayerState("b", "p"), _wheel(1, 1, plays=0)()
        now = datetime(2026, 3, 9, tzinfo=UTC)
        # Of those before, the one given first ends last: it is not the oldest that goes.
        ends = [*range(100, 100 - MOST_GIVEN, -1), 1]
        for number, hour in enumerate(ends):
            until = now + timedelta(hours=hour)
            offer = OfferSpin(
                brand="b", player_id="p", journey="j", run_id=f"r{number}", step="spin:w#1", wheel="w", until=until
            )
            state.offer_spin(offer, now)
        held = [one.run_id for one in state.given_spins("w", now)]
        assert len(held) == MOST_GIVEN == state.spins_left(made, now)
        assert f"r{MOST_GIVEN}" in held, "who was told of a spin has it"
        assert "r0" in held
        assert f"r{MOST_GIVEN - 1}" not in held

    @pytest.mark.parametrize(
        ("within", "uses_given"),
        [
            (timedelta(hours=5, minutes=59), [True, False, False]),
            (timedelta(hours=6), [True, False, False]),
            (timedelta(hours=6, seconds=1), [False, False, True]),
        ],
    )
    def test_the_spin_that_ends_first_is_used_first(self, within: timedelta, uses_given: list[bool]) -> None:
        state, made, now = PlayerState("b", "p"), _wheel(1, 1, plays=2)(), datetime(2026, 3, 9, 18, tzinfo=UTC)
        step: dict[str, Any] = {"brand": "b", "player_id": "p", "journey": "j", "run_id": "r", "step": "spin:w#1"}
        state.offer_spin(OfferSpin(**step, wheel="w", until=now + within), now)
        assert [state.use_spin(made, now, blank=True) is not None for _ in range(3)] == uses_given
        assert state.spins_left(made, now) == 0


@pytest.mark.parametrize(("control", "why"), [(0, None), (100, "not_visible")])
def test_a_spin_is_given_of_no_wheel_that_its_player_is_never_shown(control: int, why: str | None) -> None:
    program = LoyaltyProgram(wheels={"w": replace(_wheel(1, 1)(), control=control)})
    whose: dict[str, Any] = {"brand": "acme", "player_id": "p-1", "journey": "lucky", "run_id": "r-1", "step": "s#1"}
    offer = OfferSpin(**whose, wheel="w", until=datetime(2026, 1, 16, tzinfo=UTC), by_name=True)
    assert why_not_offered(offer, PlayerState("acme", "p-1"), program) == why
    assert why_not_offered(offer, PlayerState("acme", "p-1"), LoyaltyProgram()) == "not_declared"
