"""What lets players in, how often and what counts is said in the language of the page, for every kind of rule."""

import re
from typing import get_args

import pytest

from api.console.rendering import LANGUAGES, speech_of
from api.console.rule_texts import entry_text, goal_text, trigger_text, triggers_text
from tests.support import api_journeys
from tests.support.api_journeys import api_depositor
from workflows import (
    DepositApproved,
    DepositFailed,
    RoundCompleted,
    SessionLogin,
    always,
    count,
    days,
    entered,
    every,
    goal,
    hours,
    inactive,
    left,
    milestone,
    minutes,
    on,
    once,
    per,
    streak,
    streak_of_days,
    threshold,
    total,
)
from workflows.rules.calendar_rules import AnniversaryRule, BirthdayRule, ScheduleRule
from workflows.rules.measures import day, week
from workflows.rules.triggers import Trigger
from workflows.source.journey_loading import load

JOURNEYS = load((api_journeys.__name__,)).journeys
OTHERS = [language for language in LANGUAGES if language != "en"]
PER_DAY = total(RoundCompleted, "stake_minor", per=day)
TRIGGERS: list[Trigger] = [
    on(DepositFailed),
    on(DepositFailed, where=lambda _event: True),
    milestone(DepositApproved, 3),
    streak(SessionLogin, 3),
    streak(SessionLogin, 5, within=hours(36)),
    inactive(SessionLogin, days(14)),
    inactive(SessionLogin, times_usual=2, most=days(7)),
    threshold(total(DepositApproved, "amount_minor", last=days(30)), 500_000),
    threshold(count(SessionLogin, per=week), 4),
    streak_of_days(PER_DAY, 3, where=lambda value: value > 0),
    BirthdayRule("10:00"),
    AnniversaryRule(12, "10:00", repeats=True),
    AnniversaryRule(24, "10:00", repeats=True),
    AnniversaryRule(6, "10:00", repeats=False),
    ScheduleRule("09:00"),
    ScheduleRule("09:00", weekday="monday"),
    ScheduleRule("09:00", day=1),
    ScheduleRule("09:00", segment=api_depositor),
    entered(api_depositor),
    left(api_depositor),
]


def test_every_kind_of_trigger_is_there() -> None:
    assert {type(one) for one in TRIGGERS} == {*get_args(Trigger)}


@pytest.mark.parametrize("language", OTHERS)
def test_no_rule_stays_in_english(language: str) -> None:
    speech = speech_of(language)
    said = [trigger_text(one, speech) for one in TRIGGERS]
    said += [entry_text(one, speech) for one in (once, always, every(days(7)), every(minutes(30)), per("payment_id"))]
    said += [goal_text(goal(DepositApproved, within=days(7)), speech)]
    said += [triggers_text(JOURNEYS["api_offer"], speech)]
    # Names that designers chose stand between quotation marks.
    assert [one for one in said if re.search("[A-Za-z]", re.sub("«[^»]*»", "", one))] == []
    assert len({*said}) == len(said), "Two rules would read the same."


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "3 days without this: “Login”"),
        ("uk", "3 дні без події «Вхід»"),
        ("ru", "3 дня без события «Вход»"),
    ],
)
def test_a_silence_is_counted_in_days(language: str, said: str) -> None:
    assert trigger_text(inactive(SessionLogin, days(3)), speech_of(language)) == said


def test_amounts_are_told_in_units_and_not_in_cents() -> None:
    rule = threshold(total(DepositApproved, "amount_minor", last=days(30)), 500_000)
    assert "5,000.00" in trigger_text(rule, speech_of("en"))
    assert triggers_text(JOURNEYS["api_review"], speech_of("en")) == "Deposit failed"
