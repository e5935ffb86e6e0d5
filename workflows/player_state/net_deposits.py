"""What a player paid in and was not paid out, day by day, and whether that asks for a check of what they can afford."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final

from workflows.events import DepositApproved, WithdrawalCompleted
from workflows.player_state.ordering import instant

#: The last days that count, today among them: a rolling month of thirty days reaches into one more.
DAYS: Final = 31
#: A check is not opened again within so long after any word on it (GB LCCP SR 3.4.4).
NOT_AGAIN_FOR: Final = timedelta(days=365)
#: Under this name `told` has the time of the newest word on the light check.
LIGHT_CHECK: Final = "check affordability/light"
#: In place of a currency that nobody told (ISO 4217: none).
UNKNOWN: Final = "XXX"
#: By currency and day (UTC): what was paid in less what was paid out, minor units.
NetDeposits = dict[str, dict[str, int]]


def count_net(
    known: NetDeposits, event: DepositApproved | WithdrawalCompleted, account_currency: str | None, at: datetime
) -> None:
    """Count a payment on its day; days that are too old to count are let go."""
    amount = event.amount_minor if isinstance(event, DepositApproved) else -event.amount_minor
    by_day = known.setdefault(event.currency or account_currency or UNKNOWN, {})
    day = at.date().isoformat()
    by_day[day] = by_day.get(day, 0) + amount
    _let_go(by_day)


def join_net(known: NetDeposits, other: NetDeposits) -> None:
    """Count what another account of the person paid in as well."""
    for currency, days in other.items():
        by_day = known.setdefault(currency, {})
        for day, amount in days.items():
            by_day[day] = by_day.get(day, 0) + amount
        _let_go(by_day)


def _let_go(by_day: dict[str, int]) -> None:
    newest = date.fromisoformat(max(by_day))
    for old in [one for one in by_day if date.fromisoformat(one) <= newest - timedelta(days=DAYS)]:
        del by_day[old]


def net_of(known: NetDeposits, currency: str, now: datetime) -> int:
    """What was paid in less what was paid out, in this currency, within the days that count."""
    first = (now.date() - timedelta(days=DAYS - 1)).isoformat()
    return sum(amount for day, amount in known.get(currency, {}).items() if day >= first)


def needs_check(known: NetDeposits, most: Mapping[str, int], told: Mapping[str, int], now: datetime) -> str | None:
    """The currency in which more than `most` was paid in within the days that count; None where no check is due."""
    last = told.get(LIGHT_CHECK)
    if last is not None and now - instant(abs(last)) < NOT_AGAIN_FOR:
        return None
    first = (now.date() - timedelta(days=DAYS - 1)).isoformat()
    for currency, limit in sorted(most.items()):
        # What nobody gave a currency may be in this one.
        days = [*known.get(currency, {}).items(), *known.get(UNKNOWN, {}).items()]
        if sum(amount for day, amount in days if day >= first) > limit:
            return currency
    return None
