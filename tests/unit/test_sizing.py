"""How large an offer is: declared by currency, or fitted to a sum and rounded as people round."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from workflows import amounts
from workflows.errors import RewardDesignError
from workflows.rewards.sizing import Fitted, declared, fitted, roundest

CAP = amounts(EUR=2_000, JPY=3_000)
BY_TIER = {"": amounts(EUR=500), "gold": amounts(EUR=5_000)}


@pytest.mark.parametrize(
    ("lowest", "highest", "amount"),
    [
        (500, 1_000, 1_000),
        (600, 900, 900),
        (5_200, 10_700, 10_000),
        (5_200, 9_000, 7_500),
        (230, 480, 400),
        (120, 180, 150),
        (110, 130, 130),
        (101, 104, None),
        (61_000, 140_000, 100_000),
    ],
)
def test_people_round_to_the_roundest(lowest: int, highest: int, amount: int | None) -> None:
    assert roundest(lowest, highest, 100) == amount


def test_a_currency_without_decimals_is_rounded_in_its_own_units() -> None:
    assert fitted((5, 10), 10_000, "JPY", None, None, None) == Fitted(1_000, "fitted")
    assert fitted((5, 10), 10_000, "KWD", None, None, None) == Fitted(1_000, "fitted")


@given(
    least=st.floats(0.1, 50),
    width=st.floats(0, 50),
    of=st.integers(1, 10**9),
    currency=st.sampled_from(["EUR", "JPY"]),
    limits=st.tuples(st.booleans(), st.booleans()),
)
def test_it_is_never_outside_the_band_nor_its_limits(
    least: float, width: float, of: int, currency: str, limits: tuple[bool, bool]
) -> None:
    floor = amounts(EUR=100, JPY=100) if limits[0] else None
    ceiling = CAP if limits[1] else None
    found = fitted((least, least + width), of, currency, None, floor, ceiling)
    assume(found.minor is not None)
    assert found.minor is not None
    assert found.minor <= of * (least + width) / 100 + 1e-6 * of
    assert floor is None or found.minor >= 100
    if ceiling is None:
        assert found.minor >= of * least / 100 - 1e-6 * of
    else:
        assert found.minor <= (CAP.in_currency(currency) or 0)


@given(st.integers(1, 10**8), st.integers(0, 10**8), st.sampled_from([1, 100, 1000]))
def test_a_wide_band_always_holds_something_round(lowest: int, more: int, unit: int) -> None:
    found = roundest(lowest, lowest + more + lowest, unit)
    if lowest >= unit:
        assert found is not None
    if found is not None:
        assert lowest <= found <= 2 * lowest + more


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"currency": None}, "no_currency"),
        ({"of": 0}, "nothing_known"),
        ({"currency": "UAH", "ceiling": CAP}, "no_amount"),
        ({"floor": amounts(EUR=100_000)}, "outside_band"),
        ({"of": 10}, "outside_band"),
    ],
)
def test_where_there_is_no_offer_the_reason_is_said(given: dict[str, Any], why: str) -> None:
    asked: dict[str, Any] = {"of": 10_000, "currency": "EUR", "floor": None, "ceiling": None} | given
    found = fitted((5, 10), asked["of"], asked["currency"], None, asked["floor"], asked["ceiling"])
    assert found == Fitted(None, why)


def test_a_ceiling_by_tier_has_one_for_everybody_else() -> None:
    def most(tier: str | None) -> int | None:
        return fitted((1, 50), 100_000, "EUR", tier, None, BY_TIER).minor

    assert (most("gold"), most("silver"), most(None)) == (5_000, 500, 500)


def test_a_declared_amount_is_never_converted() -> None:
    assert declared(CAP, "EUR", None) == Fitted(2_000, "declared")
    assert declared(CAP, "USD", None) == Fitted(None, "no_amount")
    assert declared(CAP, None, None) == Fitted(None, "no_currency")
    assert declared({"gold": CAP}, "EUR", "silver") == Fitted(None, "no_amount")


@pytest.mark.parametrize("wrong", [{"EURO": 5}, {"EUR": 0}, {"EUR": True}, {"EUR": 2.5}, {}])
def test_what_is_no_amount_is_refused_where_it_is_declared(wrong: dict[str, Any]) -> None:
    with pytest.raises(RewardDesignError, match="amounts"):
        amounts(**wrong)
