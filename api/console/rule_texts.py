"""What lets players into a journey, how often, and what counts as success, in the language of the page."""

from typing import Final

from babel.dates import get_day_names

from api.console.measure_texts import is_money, measure_text
from api.console.speech import Speech
from content.readable_names import words
from workflows.declaration import Entry, Goal, Journey
from workflows.local_time import WEEKDAYS
from workflows.rules.calendar_rules import AnniversaryRule, BirthdayRule, ScheduleRule
from workflows.rules.triggers import (
    DayStreakRule,
    InactiveRule,
    MilestoneRule,
    OfSegment,
    On,
    Streak,
    ThresholdRule,
    Trigger,
)

_YEAR: Final = 12


def triggers_text(journey: Journey, speech: Speech) -> str:
    """Everything that lets players in; without any only people do."""
    said = [trigger_text(one, speech) for one in journey.triggers]
    return "; ".join(said) or speech.translated("only people let players in")


def trigger_text(trigger: Trigger, speech: Speech) -> str:  # noqa: PLR0911 - one line a kind of trigger
    """A rule that lets players in, as a few words that begin small letters or a name."""
    match trigger:
        case On(kind, where):
            return _narrowed(speech.event(kind.type), where, speech)
        case MilestoneRule(kind, count):
            return speech.say("%(event)s, number %(n)s of the player", event=speech.event(kind.type), n=count)
        case Streak():
            return _streak(trigger, speech)
        case InactiveRule():
            return _silence(trigger, speech)
        case ThresholdRule(measure, at_least):
            # Minor units of whatever the player's currency is: nobody can say which from here.
            amount = speech.number(at_least / 100, "#,##0.00") if is_money(measure.key) else speech.number(at_least)
            said = measure_text(measure.key, speech)
            return speech.say("%(measure)s, has come to %(n)s", measure=said, n=amount)
        case DayStreakRule(measure, length):
            days = speech.several("%(num)s day in a row", "%(num)s days in a row", length) % {"num": length}
            return speech.say("%(days)s by a rule on this: %(of)s", days=days, of=measure_text(measure.key, speech))
        case BirthdayRule(at):
            return speech.say("birthday of the player, at %(at)s", at=at)
        case AnniversaryRule():
            return _anniversary(trigger, speech)
        case ScheduleRule():
            return _schedule(trigger, speech)


def entry_text(entry: Entry, speech: Speech) -> str:
    """How often one player may enter."""
    if entry.period is not None:
        return speech.say("once in %(time)s at most", time=speech.time(entry.period))
    if entry.field is not None:
        return speech.say("once for each %(field)s", field=speech.quoted(words(entry.field)))
    return speech.translated(
        "once in a player's life" if entry.kind == "once" else "each time, and never twice at a time"
    )


def goal_text(goal: Goal, speech: Speech) -> str:
    """What success is, and how soon."""
    event = _narrowed(speech.event(goal.kind.type), goal.where, speech)
    return speech.say("%(event)s, within %(time)s", event=event, time=speech.time(goal.within))


def _narrowed(event: str, where: object, speech: Speech) -> str:
    if isinstance(where, OfSegment):
        return speech.say("%(event)s: %(name)s", event=event, name=speech.quoted(words(where.segment)))
    return event if where is None else speech.say("%(event)s, on a condition of the journey", event=event)


def _streak(rule: Streak, speech: Speech) -> str:
    times = speech.several("%(num)s time in a row", "%(num)s times in a row", rule.length) % {"num": rule.length}
    said = f"{_narrowed(speech.event(rule.kind.type), rule.where, speech)}, {times}"
    if rule.within is None:
        return said
    return speech.say("%(event)s, within %(time)s", event=said, time=speech.time(rule.within))


def _silence(rule: InactiveRule, speech: Speech) -> str:
    event = speech.quoted(speech.event(rule.kind.type))
    if rule.pace is None:
        return speech.say("%(time)s without this: %(event)s", time=speech.time(rule.duration), event=event)
    return speech.say(
        "longer without this than usual for the player: %(event)s (%(n)s times, from %(least)s to %(most)s)",
        event=event,
        n=rule.pace.times,
        least=speech.time(rule.pace.least),
        most=speech.time(rule.duration),
    )


def _anniversary(rule: AnniversaryRule, speech: Speech) -> str:
    if rule.repeats and rule.months == _YEAR:
        return speech.say("each year after registration, at %(at)s", at=rule.at)
    if rule.repeats:
        text = speech.several(
            "every %(num)s year after registration, at %(at)s",
            "every %(num)s years after registration, at %(at)s",
            rule.months // _YEAR,
        )
        return text % {"num": rule.months // _YEAR, "at": rule.at}
    text = speech.several(
        "%(num)s month after registration, at %(at)s", "%(num)s months after registration, at %(at)s", rule.months
    )
    return text % {"num": rule.months, "at": rule.at}


def _schedule(rule: ScheduleRule, speech: Speech) -> str:
    if rule.weekday is not None:
        days = get_day_names("wide", locale=speech.language)
        when = speech.say("%(day)s, at %(at)s", day=days[WEEKDAYS.index(rule.weekday)], at=rule.at)
    elif rule.day is not None:
        when = speech.say("day %(day)s of each month, at %(at)s", day=rule.day, at=rule.at)
    else:
        when = speech.say("every day, at %(at)s", at=rule.at)
    if rule.segment is None:
        return when
    return speech.say("%(when)s, for %(segment)s", when=when, segment=speech.quoted(words(rule.segment.name)))
