"""What stands against offers for a while: limits a player has reached, and checks of the player that are open."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from workflows.events import AffordabilityChanged, KycChanged, LimitReached
from workflows.local_time import DAY, WEEK
from workflows.player_state.ordering import Word, record_word

#: How long a limit that is reached holds at most, whatever day its period began.
PERIODS: Final[Mapping[str, timedelta]] = MappingProxyType({"day": DAY, "week": WEEK, "month": 31 * DAY})
#: What a check came to that is no longer open, with nothing against the player.
PASSED: Final = frozenset({"pass", "approved"})
_NOTHING_AGAINST: Final = PASSED | {"none"}
#: By check: what it came to, and until when that is good; None: until it is told anew.
Checks = dict[str, tuple[str, datetime | None]]


def restrain(
    limits: dict[str, datetime],
    checks: Checks,
    told: dict[str, int],
    event: LimitReached | KycChanged | AffordabilityChanged,
    word: Word,
) -> None:
    """Note a limit that was reached, or the newest word on a check; the longest limit of one kind and period counts."""
    match event:
        case LimitReached():
            name, until = f"{event.kind}/{event.period}", word.at + PERIODS[event.period]
            limits[name] = max(until, limits.get(name, until))
        case KycChanged():
            _note(checks, told, "kyc", (event.status, None), word)
        case AffordabilityChanged():
            _note(checks, told, f"affordability/{event.stage}", (event.result, event.valid_until), word)


def _note(checks: Checks, told: dict[str, int], name: str, came_to: tuple[str, datetime | None], word: Word) -> None:
    if record_word(told, f"check {name}", word, erases=False):
        checks[name] = came_to


def open_checks(checks: Checks, now: datetime) -> tuple[str, ...]:
    """The checks that are pending, have failed or are out of date. A player who was never checked has none."""
    return tuple(f"{name} {check[0]}" for name, check in sorted(checks.items()) if is_open(check, now))


def passed_checks(checks: Checks, now: datetime) -> tuple[str, ...]:
    """The checks that were passed and are good now: of identity, of affordability at any stage, of source of funds."""
    good = {name for name, (result, _) in checks.items() if result in PASSED and not is_open(checks[name], now)}
    found = {"kyc" if name == "kyc" else "sof" if name == "affordability/sof" else "affordability" for name in good}
    return tuple(sorted(found))


def is_open(check: tuple[str, datetime | None] | None, now: datetime) -> bool:
    """Whether a check stands against the player; one that nobody told of does not."""
    if check is None:
        return False
    result, until = check
    return result not in _NOTHING_AGAINST or (until is not None and until <= now)


def stays_open(event: KycChanged | AffordabilityChanged) -> bool:
    """Whether a word on a check leaves it open."""
    return (event.status if isinstance(event, KycChanged) else event.result) not in _NOTHING_AGAINST
