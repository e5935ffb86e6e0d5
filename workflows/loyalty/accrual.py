"""What an event earns: one pure function over the buckets of a player's row.

A day's points are a function of sums, so in which order its events come is irrelevant, and a void is a smaller sum.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from workflows.events import Event
from workflows.local_time import DAY
from workflows.loyalty.point_account import LATENESS, AccrualBucket, PointAccount
from workflows.loyalty.point_currencies import EarnRule
from workflows.loyalty.point_lots import add, lot_of, remove
from workflows.loyalty.postings import Postings
from workflows.rules.failures import RuleFailure
from workflows.rules.measures import Present

#: A producer's clock may run ahead by so much; what is further ahead is taken as now.
AHEAD: Final = timedelta(minutes=5)
#: Days whose buckets the row keeps, the present one not counted.
DAYS_KEPT: Final = 2


def accrue(
    rules: Sequence[EarnRule],
    event: Event,
    present: Present,
    postings: Postings,
    failures: list[RuleFailure],
    *,
    undone: bool = False,
) -> None:
    """Count an event under each rule, or take it out again where it was `undone`: the day's points follow.

    `event` is what was played or paid, with the moment it happened, also where that is undone.
    """
    now = present.now
    at = event.occurred_at if event.occurred_at <= now + AHEAD else now
    on: date | None = None
    day = ""
    moved: set[str] = set()
    for rule in rules:
        units = rule.units(event, failures)
        if not units:
            continue
        if on is None:
            on = present.day_of(at)
            day = on.isoformat()
        account = postings.state.account(rule.currency.name)
        late = not account.windows or at <= now - LATENESS
        factor = "100" if late else str(account.factor(at, getattr(event, "game_id", None), rule.product))
        key = f"{rule.key}|{day}"
        bucket = account.buckets.get(key)
        if bucket is None:
            lot = lot_of(rule.product, on, rule.currency.expires, present)
            bucket = account.buckets[key] = AccrualBucket(lot)
            moved.add(rule.currency.name)
        bucket.units[factor] = bucket.units.get(factor, 0) + (-units if undone else units)
        if (points := rule.points(bucket.units)) != bucket.points:
            _follow(rule, account, key, points, postings, event)
    # Only a new day can make an old one too many.
    for currency in sorted(moved):
        forget(postings.state.account(currency), present, postings, currency)


def left_the_row(rule: EarnRule, account: PointAccount | None, at: datetime, present: Present) -> str | None:
    """The bucket of a moment, if it is so old that only the journal may know it; None if the row would have it."""
    on = present.day_of(at)
    if on >= present.today - DAYS_KEPT * DAY:
        return None
    key = bucket_key(rule, on)
    return None if account is not None and key in account.buckets else key


def remember(rule: EarnRule, account: PointAccount, key: str, units: Mapping[str, int], present: Present) -> None:
    """Have a bucket again that left the row, with the sums of its last transfer, until this event is counted."""
    on = date.fromisoformat(key.rpartition("|")[2])
    points = rule.points(units)
    lot = lot_of(rule.product, on, rule.currency.expires, present)
    account.buckets[key] = AccrualBucket(lot, dict(units), points, points)


def bucket_key(rule: EarnRule, on: date) -> str:
    """The name of a rule's day in the row and in the journal."""
    return f"{rule.key}|{on.isoformat()}"


def forget(account: PointAccount, present: Present, postings: Postings, currency: str) -> None:
    """Drop the buckets of days that are over; the journal has their last sums."""
    oldest = (present.today - DAYS_KEPT * DAY).isoformat()
    old = [key for key in account.buckets if key.rpartition("|")[2] < oldest]
    if old:
        postings.settle(currency)
        for key in old:
            del account.buckets[key]


def _follow(rule: EarnRule, account: PointAccount, key: str, points: int, postings: Postings, event: Event) -> None:
    """Bring the lot to the points that the sums of its bucket come to now."""
    bucket = account.buckets[key]
    change = points - bucket.points
    if change > 0:
        add(account.lots, {bucket.lot: change})
        account.ever += change
        bucket.points = points
        if account.debt:
            postings.settle(rule.currency.name)
        elif account.post_at is None:
            account.post_at = _next_hour(postings.now)
    else:
        # What the journal does not know yet was never given; the rest must be taken back before everybody's eyes.
        silent = min(-change, bucket.points - bucket.posted)
        if silent:
            remove(account.lots, {bucket.lot: silent})
            account.ever -= silent
        bucket.points -= silent
        if (rest := bucket.points - points) > 0:
            bucket.points = bucket.posted = points
            ref = f"{event.type} {event.event_id}"
            postings.take_back(rule.currency.name, rest, bucket.lot, ref, bucket=key, units=dict(bucket.units))


def _next_hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
