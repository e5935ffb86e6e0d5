"""A raffle's draw: recomputed by anybody, one prize a holder, each ticket with the same chance."""

from collections import Counter
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.unit.test_points import POINTS
from workflows import cash, currency, day, days, free_bet, month, points, raffle, reload
from workflows.errors import DesignError
from workflows.loyalty.fair_draws import drawn_number, seed_hash
from workflows.loyalty.point_currencies import PointCurrency
from workflows.loyalty.raffle_winners import Bundle, draw_raffle, fault_of_raffle, raffle_words, taking_part
from workflows.loyalty.raffles import Raffle, RaffleTerms

SEED = bytes(range(32))
BUNDLES = st.lists(
    st.builds(Bundle, ticket=st.integers(1, 10**9), holder=st.sampled_from("abcdefgh"), count=st.integers(1, 50)),
    max_size=20,
    unique_by=lambda one: one.ticket,
)


def proof_of(bundles: list[Bundle], places: int, passed_over: Collection[str] = ()) -> dict[str, Any]:
    drawn = draw_raffle(SEED, "spring", "2026-03-09", bundles, places, passed_over)
    return {
        "raffle": "spring",
        "period": "2026-03-09",
        "seed": SEED.hex(),
        "seed_hash": seed_hash(SEED),
        "tickets": [[one.ticket, one.holder, one.count] for one in bundles],
        "places": places,
        "passed_over": [[one.place, one.bundle.ticket, one.bundle.holder] for one in drawn.passed_over],
        "winners": [[one.place, one.bundle.ticket] for one in drawn.won],
    }


@settings(max_examples=examples(50))
@given(BUNDLES, st.integers(1, 12))
def test_i27_every_place_is_given_once_and_nobody_wins_twice(bundles: list[Bundle], places: int) -> None:
    drawn = draw_raffle(SEED, "spring", "2026-03-09", bundles, places).won
    winners = [one.bundle.holder for one in drawn]
    assert len(set(winners)) == len(winners) == min(places, len({one.holder for one in bundles}))
    assert [one.place for one in drawn] == [*range(1, len(drawn) + 1)]
    assert {one.bundle.ticket for one in drawn} <= {one.ticket for one in bundles}


@settings(max_examples=examples(50))
@given(BUNDLES, st.integers(1, 12))
def test_who_wins_is_who_holds_the_ticket_counted_through_what_is_left(bundles: list[Bundle], places: int) -> None:
    left = [one for one in bundles for _ in range(one.count)]
    for drawn in draw_raffle(SEED, "spring", "2026-03-09", bundles, places).won:
        ticket = drawn_number(SEED, raffle_words("spring", "2026-03-09", drawn.place), len(left))
        assert drawn.bundle == left[ticket]
        left = [one for one in left if one.holder != drawn.bundle.holder]


def test_a_large_draw_is_made_within_seconds() -> None:
    bundles = [Bundle(ticket, f"p-{ticket}", 1 + ticket % 7) for ticket in range(100_000)]
    begun = process_time()
    assert len(draw_raffle(SEED, "spring", "2026-03-09", bundles, 1_000).won) == 1_000
    assert process_time() - begun < 5, "each place through every bundle took a hundred million steps"


@settings(max_examples=examples(50))
@given(BUNDLES, st.sets(st.sampled_from("abcdefgh")))
def test_i29_who_is_protected_is_not_drawn(bundles: list[Bundle], protected: set[str]) -> None:
    drawn = draw_raffle(SEED, "spring", "2026-03-09", taking_part(bundles, protected), 12).won
    assert not {one.bundle.holder for one in drawn} & protected


@settings(max_examples=examples(50))
@given(BUNDLES, st.integers(1, 12))
def test_i24_a_draw_follows_from_its_record_and_no_other_does(bundles: list[Bundle], places: int) -> None:
    proof = proof_of(bundles, places)
    assert fault_of_raffle(proof) is None
    assert fault_of_raffle({**proof, "seed": None}) == "it is not drawn yet and the seed not told"
    assert fault_of_raffle({**proof, "seed": "00" * 32}) == "the seed is not the one whose hash was shown"
    assert fault_of_raffle({**proof, "winners": [*proof["winners"], [99, 1]]}) is not None
    assert str(fault_of_raffle({**proof, "tickets": [["x"]]})).startswith("it is no proof")
    assert str(fault_of_raffle({**proof, "tickets": [[1, "a", 5], [2, "b", -1]]})).startswith("it is no proof")


@settings(max_examples=examples(50))
@given(BUNDLES, st.integers(1, 12), st.sets(st.sampled_from("abcdefgh")))
def test_i24_i29_who_is_passed_over_wins_nothing_and_the_record_says_who_it_was(
    bundles: list[Bundle], places: int, excluded: set[str]
) -> None:
    drawn = draw_raffle(SEED, "spring", "2026-03-09", bundles, places, excluded)
    assert not {one.bundle.holder for one in drawn.won} & excluded
    assert {one.bundle.holder for one in drawn.passed_over} <= excluded
    assert [one.place for one in drawn.won] == [*range(1, len(drawn.won) + 1)]
    assert len(drawn.won) == min(places, len({one.holder for one in bundles} - excluded))
    proof = proof_of(bundles, places, excluded)
    assert fault_of_raffle(proof) is None
    if drawn.passed_over:
        assert fault_of_raffle({**proof, "passed_over": []}) is not None, "nobody is passed over in silence"
    assert fault_of_raffle({**proof, "passed_over": [*proof["passed_over"], [1, 5, "z"]]}) is not None


def test_who_is_drawn_before_somebody_is_passed_over_keeps_their_place() -> None:
    bundles = [Bundle(number, f"p-{number}", 1) for number in range(50)]
    all_of_them = draw_raffle(SEED, "spring", "2026-03-09", bundles, 5).won
    third = all_of_them[2].bundle.holder
    drawn = draw_raffle(SEED, "spring", "2026-03-09", bundles, 5, {third})
    assert drawn.won[:2] == all_of_them[:2]
    assert [(one.place, one.bundle.holder) for one in drawn.passed_over] == [(3, third)]


def test_i25_where_somebody_is_passed_over_the_others_have_the_same_chance() -> None:
    bundles, draws = [Bundle(1, "a", 6), Bundle(2, "b", 3), Bundle(3, "c", 1)], examples(2_000)
    came = Counter(
        draw_raffle(SEED, "spring", str(number), bundles, 1, {"a"}).won[0].bundle.holder for number in range(draws)
    )
    expected = {"b": draws * 0.75, "c": draws * 0.25}
    assert sum((came[one] - often) ** 2 / often for one, often in expected.items()) < 10.8


def test_terms_outlive_their_declaration() -> None:
    gold = currency("gold", expires=days(30))
    made = raffle("r", (1, points(100)), (2, points(10)), into=gold, product="casino", each=month)
    kept = RaffleTerms.model_validate_json(RaffleTerms.of(made, "2026-03-01").model_dump_json())
    assert [one["points"] for one in kept.by_place] == [100, 10, 10]
    assert (kept.draws_at, kept.next_period) == (made.draws_at("2026-03-01"), "2026-04-01")
    assert kept.into == PointCurrency("gold", timedelta(days=30))


def test_i25_each_ticket_has_the_same_chance() -> None:
    bundles, draws = [Bundle(1, "a", 6), Bundle(2, "b", 3), Bundle(3, "c", 1)], examples(2_000)
    came = Counter(draw_raffle(SEED, "spring", str(number), bundles, 1).won[0].bundle.holder for number in range(draws))
    expected = {"a": draws * 0.6, "b": draws * 0.3, "c": draws * 0.1}
    assert sum((came[one] - often) ** 2 / often for one, often in expected.items()) < 13.8


def test_a_period_ends_where_the_raffle_is() -> None:
    each_day = raffle("r", (1, points(10)), into=POINTS, product="casino", each=day, timezone="Europe/Kyiv")
    evening = datetime(2026, 3, 9, 22, 30, tzinfo=UTC)
    assert each_day.period_of(evening) == "2026-03-10"
    assert each_day.draws_at("2026-03-10") == datetime(2026, 3, 10, 22, tzinfo=UTC)
    monthly = raffle("r", (1, points(10)), into=POINTS, product="casino", each=month)
    assert (monthly.period_of(evening), monthly.draws_at("2026-03-01")) == (
        "2026-03-01",
        datetime(2026, 4, 1, tzinfo=UTC),
    )


def _raffle(*prizes: Any, name: str = "r", timezone: str = "UTC") -> Callable[[], Raffle]:
    return lambda: raffle(name, *prizes, into=POINTS, product="casino", timezone=timezone)


@pytest.mark.parametrize(
    ("declare", "sentence"),
    [
        (_raffle(), "needs 1 to 1,000 prizes"),
        (_raffle((0, points(10))), "needs 1 to 1,000 prizes"),
        (_raffle((1_001, points(10))), "needs 1 to 1,000 prizes"),
        (_raffle((1, free_bet(100))), "is about casino and gives a free_bet"),
        (_raffle((1, cash(100)), (1, reload(50, 1_000))), "nobody can say here what it costs"),
        (_raffle((1, points(10)), name="spring:2026"), "needs a name of letters, digits and underscores"),
        (_raffle((1, points(10)), timezone="Mars/Base"), "is in the zone 'Mars/Base', which is none"),
    ],
)
def test_a_raffle_that_would_not_be_fair_is_refused(declare: Callable[[], Raffle], sentence: str) -> None:
    with pytest.raises(DesignError, match=sentence):
        declare()
