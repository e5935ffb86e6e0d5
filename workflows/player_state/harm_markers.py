"""Markers of gambling harm that the engine derives itself from what a player does, each a pure function of the row.

A marker that speaks is a sign like one that was told (`harm_watch`), of the strength that stands in `MARKERS`. Each is
off unless a policy that holds for the player lists it in `harm_markers`; where it is off nothing is kept for it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Final, Literal

from workflows.events import (
    DepositApproved,
    Event,
    LimitChanged,
    RoundCompleted,
    SessionLogin,
    WithdrawalCancelledByPlayer,
)
from workflows.local_time import DAY, WEEK, zone

#: So many days in a row on which the player lost are a marker.
LOSING_DAYS: Final = 3
#: A deposit so soon after the balance was gone is a chase, and so many within a day are a marker.
CHASED_WITHIN: Final = timedelta(minutes=10)
MOST_CHASES: Final = 2
#: So many withdrawals taken back within a week are a marker.
MOST_CANCELLED: Final = 2
#: Until this hour it is night, and so many nights of play within a week are a marker.
NIGHT_ENDS: Final = 6
MOST_NIGHTS: Final = 3
#: So many limits loosened within thirty days are a marker.
MOST_RAISED: Final = 2
RAISED_WITHIN: Final = 30 * DAY
#: A deposit of so many times the player's own median is a marker, once that is known from so many.
TIMES_MEDIAN: Final = 3
FEWEST_DEPOSITS: Final = 5
#: The newest deposits that the median is taken of.
DEPOSITS_KEPT: Final = 20
#: Moments that are kept for a marker which counts them.
MOMENTS_KEPT: Final = 8


@dataclass(slots=True)
class MarkerNotes:
    """What the markers of one player go by; small whatever happens."""

    #: Real money won less real money staked, by day of the player; the newest `LOSING_DAYS` and one more.
    nets: dict[str, int] = field(default_factory=dict)
    #: Days of the player on whose night there was play.
    nights: list[str] = field(default_factory=list)
    #: When the balance was last known to be gone.
    emptied_at: datetime | None = None
    chases: list[datetime] = field(default_factory=list)
    cancelled: list[datetime] = field(default_factory=list)
    raised: list[datetime] = field(default_factory=list)
    #: Approved deposits in minor units, the oldest first.
    deposits: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Marker:
    """One marker: how strong a sign it is, and what it says in words."""

    strength: Literal["weak", "medium"]
    says: str


#: By name, which is the indicator of the sign.
MARKERS: Final[Mapping[str, Marker]] = MappingProxyType(
    {
        "losing_days": Marker("weak", f"lost on {LOSING_DAYS} days in a row"),
        "chasing": Marker("medium", f"deposited at once upon an empty balance {MOST_CHASES} times in a day"),
        "cancelled_withdrawals": Marker("medium", f"took {MOST_CANCELLED} withdrawals back within a week"),
        "night_play": Marker("weak", f"played in {MOST_NIGHTS} nights of a week"),
        "limit_raised": Marker("medium", f"loosened {MOST_RAISED} limits within 30 days"),
        "spend_vs_norm": Marker("weak", f"deposited {TIMES_MEDIAN} times what is usual for this player"),
    }
)
#: Events that a marker looks at; with a login the days before are judged.
LOOKED_AT: Final = (RoundCompleted, DepositApproved, WithdrawalCancelledByPlayer, LimitChanged, SessionLogin)


def lost_for_days(nets: Mapping[str, int], today: date) -> bool:
    """Whether the player lost on each of the days before `today`, without a day off."""
    if len(nets) < LOSING_DAYS:
        return False
    before = (today - number * DAY for number in range(1, LOSING_DAYS + 1))
    return all(nets.get(day.isoformat(), 0) < 0 for day in before)


def chases(emptied_at: datetime | None, deposited_at: datetime) -> bool:
    """Whether a deposit follows at once upon an empty balance."""
    return emptied_at is not None and timedelta(0) <= deposited_at - emptied_at <= CHASED_WITHIN


def too_many(moments: Sequence[datetime], most: int, within: timedelta, at: datetime) -> bool:
    """Whether there were so many within the time before `at`, this moment included and the other end not."""
    return sum(at - within < one <= at for one in moments) >= most


def plays_at_night(nights: Collection[str], today: date) -> bool:
    """Whether there was play in so many of the last seven nights."""
    week = {(today - number * DAY).isoformat() for number in range(7)}
    return len(week.intersection(nights)) >= MOST_NIGHTS


def beyond_own(deposits: Sequence[int], amount: int) -> bool:
    """Whether a deposit is far above the median of those before it; of two middle ones the greater is meant."""
    if len(deposits) < FEWEST_DEPOSITS:
        return False
    median = sorted(deposits)[len(deposits) // 2]
    return median > 0 and amount >= TIMES_MEDIAN * median


def markers_of(
    notes: MarkerNotes, event: Event, at: datetime, timezone: str | None, on: Collection[str]
) -> tuple[str, ...]:
    """Note an event, and say which of the markers that are `on` it completes.

    `at` is when it happened. A marker that has spoken begins anew, so that one week of nights is one sign. Three losing
    days are judged with whatever of `LOOKED_AT` comes next, for until a day is over it can be won back.
    """
    looks = _LOOKS_AT[type(event)]
    if not looks:
        return ()
    local = at.astimezone(UTC if timezone is None else zone(timezone))
    return tuple([name for name, look in looks if name in on and look(notes, event, local)])


def _losing_days(notes: MarkerNotes, event: Event, local: datetime) -> bool:
    today = local.date()
    spoken = lost_for_days(notes.nets, today)
    if spoken:
        # Each sign needs days of its own.
        notes.nets = {day: net for day, net in notes.nets.items() if day >= today.isoformat()}
    if isinstance(event, RoundCompleted):
        day = today.isoformat()
        notes.nets[day] = notes.nets.get(day, 0) + event.win_minor - event.stake_minor
        if len(notes.nets) > LOSING_DAYS + 1:
            for oldest in sorted(notes.nets)[: -LOSING_DAYS - 1]:
                del notes.nets[oldest]
    return spoken


def _chasing(notes: MarkerNotes, event: Event, local: datetime) -> bool:
    at = local.astimezone(UTC)
    if isinstance(event, RoundCompleted):
        if event.balance_after_minor is not None:
            notes.emptied_at = at if event.balance_after_minor == 0 else None
        return False
    if not chases(notes.emptied_at, at):
        return False
    notes.emptied_at = None
    return _counted(notes.chases, MOST_CHASES, DAY, at)


def _cancelled(notes: MarkerNotes, _event: Event, local: datetime) -> bool:
    return _counted(notes.cancelled, MOST_CANCELLED, WEEK, local.astimezone(UTC))


def _raised(notes: MarkerNotes, event: Event, local: datetime) -> bool:
    if not isinstance(event, LimitChanged) or event.direction != "looser":
        return False
    return _counted(notes.raised, MOST_RAISED, RAISED_WITHIN, local.astimezone(UTC))


def _counted(moments: list[datetime], most: int, within: timedelta, at: datetime) -> bool:
    moments[:] = sorted([*moments, at])[-MOMENTS_KEPT:]
    spoken = too_many(moments, most, within, at)
    if spoken:
        moments.clear()
    return spoken


def _night_play(notes: MarkerNotes, _event: Event, local: datetime) -> bool:
    if local.hour >= NIGHT_ENDS:
        return False
    today = local.date()
    notes.nights = sorted({*notes.nights, today.isoformat()})[-7:]
    spoken = plays_at_night(notes.nights, today)
    if spoken:
        notes.nights = []
    return spoken


def _beyond_own(notes: MarkerNotes, event: Event, _local: datetime) -> bool:
    if not isinstance(event, DepositApproved):
        return False
    spoken = beyond_own(notes.deposits, event.amount_minor)
    notes.deposits = [*notes.deposits, event.amount_minor][-DEPOSITS_KEPT:]
    return spoken


_Look = Callable[[MarkerNotes, Event, datetime], bool]
_LOOKS: Final[tuple[tuple[tuple[type[Event], ...], str, _Look], ...]] = (
    (LOOKED_AT, "losing_days", _losing_days),
    ((RoundCompleted, DepositApproved), "chasing", _chasing),
    ((WithdrawalCancelledByPlayer,), "cancelled_withdrawals", _cancelled),
    ((RoundCompleted,), "night_play", _night_play),
    ((LimitChanged,), "limit_raised", _raised),
    ((DepositApproved,), "spend_vs_norm", _beyond_own),
)


class _LooksAt(dict[type[Event], tuple[tuple[str, _Look], ...]]):
    """By class of event: the markers that look at it; found out once, because every round asks."""

    def __missing__(self, kind: type[Event]) -> tuple[tuple[str, _Look], ...]:
        found = self[kind] = tuple((name, look) for kinds, name, look in _LOOKS if issubclass(kind, kinds))
        return found


_LOOKS_AT: Final = _LooksAt()
