"""Counts an event under the rules of a deployment: what it fires, whom it moves between segments, which days it ends.

Every function changes the projection it is given and decides nothing: `state.PlayerState` does.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Final

from workflows.events import Event
from workflows.player_state.identities import DIGITS
from workflows.player_state.profiling import is_withheld
from workflows.player_state.projection import PlayerProjection
from workflows.player_state.silences import silence_of
from workflows.rules.failures import RuleFailure
from workflows.rules.index import STREAK_EVENTS, VISIT_TYPES, RuleIndex
from workflows.rules.segments import Segment
from workflows.rules.series import value
from workflows.rules.streak_state import StreakState
from workflows.rules.triggers import DayStreakRule, Streak
from workflows.rules.where import passes

SESSION_ENDED: Final = "session.ended"
#: An event's id is at most this long, in characters.
LONGEST_ID: Final = 255
#: How long after its end a day of the player's is judged: so late may its events come.
LATENESS: Final = timedelta(hours=1)


def count(
    player: PlayerProjection, event: Event, rules: RuleIndex, now: datetime, failures: list[RuleFailure]
) -> tuple[list[str], list[Event]]:
    """Count an event; the keys of the rules it fires, and the events derived from it."""
    kind = event.type
    number = player.counts[kind] = player.counts.get(kind, 0) + 1
    first, last = player.first.get(kind), player.last.get(kind)
    if first is None or event.occurred_at < first:
        player.first[kind] = event.occurred_at
    if last is None or event.occurred_at > last:
        # A clock that runs ahead must not hide what is played after it.
        player.last[kind] = event.occurred_at if kind != SESSION_ENDED else min(event.occurred_at, now)
    if kind in VISIT_TYPES:
        hour = str(event.occurred_at.astimezone(player.present(now).zone).hour)
        player.hours[hour] = player.hours.get(hour, 0) + 1
    fired = [milestone.key for milestone in rules.milestones.get(kind, ()) if milestone.count == number]
    fired += _measure(player, event, rules, now, failures)
    if last is None or event.occurred_at > last:
        for quiet in rules.inactive.get(kind, ()):
            player.moments[quiet.key] = event.occurred_at + silence_of(quiet, player, now)
    derived: list[Event] = []
    for streak in rules.streaks.get(kind, ()):
        if length := _extend(player, streak, event, failures):
            fired.append(streak.key)
            if (streak_event := STREAK_EVENTS.get(streak.key)) is not None:
                derived.append(
                    streak_event(
                        event_id=derived_id(event, streak_event.type),
                        event_source=event.event_source,
                        occurred_at=event.occurred_at,
                        rounds=length,
                    )
                )
    return fired, derived


def derived_id(event: Event, suffix: str) -> str:
    """The id of an event that follows from another: the same whenever that one is read again."""
    whole = f"{event.event_id}:{suffix}"
    if len(whole) <= LONGEST_ID:
        return whole
    # Ids that are alike for so long still differ somewhere.
    digest = hashlib.sha256(event.event_id.encode()).hexdigest()[:DIGITS]
    return f"{event.event_id[: LONGEST_ID - len(suffix) - 2 - DIGITS]}~{digest}:{suffix}"


def sort_into(
    player: PlayerProjection, segments: Iterable[Segment], now: datetime, failures: list[RuleFailure]
) -> Iterator[tuple[str, bool]]:
    """Ask each segment; `(name, whether the player came or left)` for those whose answer changed.

    One that raises leaves the player where they are and is added to `failures`: a mistake must not empty a segment.
    """
    for segment in segments:
        try:
            belongs, changes_at = segment.evaluate(player, now)
        except Exception as error:  # noqa: BLE001 - whatever a designer's function raises
            failures.append(RuleFailure(segment.name, "segment", error))
            continue
        key = f"segment:{segment.name}"
        if changes_at is None:
            player.moments.pop(key, None)
        else:
            player.moments[key] = changes_at
        if belongs != (segment.name in player.segments):
            if belongs:
                player.segments[segment.name] = now
            else:
                del player.segments[segment.name]
            yield segment.name, belongs


def judge_days(
    player: PlayerProjection, rule: DayStreakRule, now: datetime, failures: list[RuleFailure]
) -> Iterator[tuple[int, datetime]]:
    """Judge the days that ended and were not judged yet; each time it fires, how long it is and since when."""
    held = player.series.get(rule.measure.series, {})
    present = player.present(now - LATENESS)
    length, judged = player.day_streaks.get(rule.key, (0, date.min))
    days = sorted({date.fromisoformat(key.partition("/")[0]) for key in held})
    for day in days:
        if not judged < day < present.today:
            continue
        if rule.idle == "breaks" and length and day - judged > timedelta(days=1):
            length = 0
        holds = _holds(rule, value(held, rule.measure, present, day.isoformat()), failures)
        length = length + 1 if holds else 0
        judged = day
        if length and length % rule.length == 0:
            yield length, present.begin(day + timedelta(days=1)) + LATENESS
    player.day_streaks[rule.key] = (length, judged)
    if days and days[-1] >= present.today:
        _await_end_of_day(player, rule, now)


def _await_end_of_day(player: PlayerProjection, rule: DayStreakRule, now: datetime) -> None:
    present = player.present(now - LATENESS)
    player.moments[rule.key] = present.begin(present.today + timedelta(days=1)) + LATENESS


def _holds(rule: DayStreakRule, day: int, failures: list[RuleFailure]) -> bool:
    try:
        return bool(rule.where(day))
    except Exception as error:  # noqa: BLE001 - whatever a designer's function raises
        failures.append(RuleFailure(rule.key, "day", error))
        return False


def _extend(player: PlayerProjection, rule: Streak, event: Event, failures: list[RuleFailure]) -> int:
    """Count the event in a streak; its length when that fires the rule, else 0."""
    streak = player.streaks.get(rule.key)
    if streak is None:
        streak = player.streaks[rule.key] = StreakState()
    if not (isinstance(event, rule.kind) and passes(rule.where, event, failures)):
        streak.miss(event.occurred_at)
        return 0
    length = streak.hit(event.occurred_at, rule.within)
    return length if length % rule.length == 0 else 0


def _measure(
    player: PlayerProjection, event: Event, rules: RuleIndex, now: datetime, failures: list[RuleFailure]
) -> Iterator[str]:
    """Add the event to its series; the keys of the thresholds it crosses."""
    series = rules.series.get(event.type)
    if series is None:
        return
    present = player.present(now)
    for one in series:
        held = player.series.setdefault(one.key, {})
        before = dict(held) if one.key in rules.thresholds else None
        try:
            bucket = one.add(held, event, present, failures)
        except Exception as error:  # noqa: BLE001 - whatever a designer's function raises
            failures.append(RuleFailure(one.key, "measure", error, event.type))
            continue
        if bucket is None or before is None:
            continue
        for rule in rules.thresholds[one.key]:
            was, is_ = (value(then, rule.measure, present, bucket) for then in (before, held))
            if was < rule.at_least <= is_ and not is_withheld(player, rule.measure):
                yield rule.key
    for days in rules.day_streaks.get(event.type, ()):
        if days.key not in player.moments:
            _await_end_of_day(player, days, now)
