"""More than 150 pounds net in 30 days asks for a check, once in twelve months (GB LCCP SR 3.4.4)."""

from datetime import UTC, datetime

import pytest

from tests.support.player_events import NOON, Life
from workflows import AffordabilityChanged, DepositApproved, WithdrawalCompleted, days
from workflows.gate.policy_book import PolicyBook
from workflows.player_state.net_deposits import UNKNOWN, needs_check

BOOK = PolicyBook()
MOST = BOOK.at("acme", "GB", NOON).check_net_deposits


def paid(*payments: tuple[int, int], currency: str | None = "GBP") -> Life:
    """Payments in or, below zero, out, so many days ago."""
    life = Life()
    for number, (amount, ago) in enumerate(payments):
        kind = DepositApproved if amount > 0 else WithdrawalCompleted
        at = NOON - days(ago)
        life.happens(
            kind, mode="history", occurred_at=at, payment_id=f"p{number}", amount_minor=abs(amount), currency=currency
        )
    return life


def due(life: Life) -> bool:
    return needs_check(life.state.net_deposits, MOST, life.state.told, NOON) is not None


@pytest.mark.parametrize(
    ("payments", "is_due"),
    [
        ([(15_000, 0)], False),
        ([(15_001, 0)], True),
        ([(8_000, 10), (8_000, 0)], True),
        ([(8_000, 30), (8_000, 0)], True),
        ([(8_000, 31), (8_000, 0)], False),
        ([(20_000, 3), (-5_000, 1)], False),
        ([(20_000, 3), (-4_999, 1)], True),
        ([(-90_000, 40), (15_001, 0)], True),
    ],
)
def test_what_was_paid_in_less_what_was_paid_out_counts_for_thirty_days(
    payments: list[tuple[int, int]], *, is_due: bool
) -> None:
    assert due(paid(*payments)) == is_due
    assert due(paid(*sorted(payments, key=lambda one: one[1]))) == is_due, "in whatever order it is told"


def test_a_payment_without_a_currency_may_be_in_pounds_and_one_in_euros_is_not() -> None:
    assert UNKNOWN in paid((15_001, 0), currency=None).state.net_deposits
    assert due(paid((15_001, 0), currency=None))
    assert not due(paid((90_000, 0), currency="EUR"))


@pytest.mark.parametrize(("ago", "is_due"), [(364, False), (365, True)])
@pytest.mark.parametrize("result", ["pending", "pass", "fail"])
def test_no_second_check_within_a_year_of_the_last_word_on_one(ago: int, result: str, *, is_due: bool) -> None:
    life = paid((90_000, 0))
    told = NOON - days(ago)
    life.happens(AffordabilityChanged, mode="history", occurred_at=told, stage="light", result=result, valid_until=None)
    assert due(life) == is_due


@pytest.mark.parametrize(
    ("day", "most"),
    [("2024-08-01", {}), ("2024-10-01", {"GBP": 50_000}), ("2025-03-02", {"GBP": 15_000})],
)
def test_the_amount_is_that_of_the_day(day: str, most: dict[str, int]) -> None:
    at = datetime.fromisoformat(day).replace(tzinfo=UTC)
    assert BOOK.at("acme", "GB", at).check_net_deposits == most
    assert BOOK.at("acme", "MT", at).check_net_deposits == {}


def test_what_is_too_old_to_count_is_let_go() -> None:
    life = paid(*((100, ago) for ago in range(200, -1, -1)))
    assert len(life.state.net_deposits["GBP"]) == 31
