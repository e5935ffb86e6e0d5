"""A message that is too old to be meant is not sent, and what comes for many at once comes for each a little later."""

from datetime import datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.gate import FREE, HOUSE, NOON, TICK, message, reason
from workflows import hours, minutes
from workflows.effects import Send
from workflows.events import MessageClass
from workflows.gate.decide import may_send
from workflows.gate.decision import Allowed, Wait
from workflows.gate.reasons import Reason
from workflows.local_time import JITTER, jitter

NIGHT = NOON.replace(hour=23)
MORNING = NOON.replace(hour=8) + timedelta(days=1)
LIVES = {"marketing": timedelta(hours=12), "survey": timedelta(hours=12), "service": timedelta(days=3)}


@pytest.mark.parametrize("kind", get_args(MessageClass))
def test_each_class_has_an_age_and_what_protects_is_never_too_old(kind: MessageClass) -> None:
    age = LIVES.get(kind)
    assert (age is None) is (kind in {"rg", "security"})
    asked_at = NOON - (age or timedelta(days=365))
    assert isinstance(may_send(FREE, message(kind=kind, asked_at=asked_at), HOUSE, NOON), Allowed)
    older = may_send(FREE, message(kind=kind, asked_at=asked_at - TICK), HOUSE, NOON)
    assert reason(older) == (None if age is None else Reason.TOO_LATE)


@pytest.mark.parametrize("kind", get_args(MessageClass))
def test_what_the_designer_says_goes_before_the_class(kind: MessageClass) -> None:
    asked = message(kind=kind, asked_at=NOON - timedelta(days=300), by=NOON)
    assert isinstance(may_send(FREE, asked, HOUSE, NOON), Allowed)
    assert reason(may_send(FREE, asked, HOUSE, NOON + TICK)) == Reason.TOO_LATE


def test_what_an_older_release_has_asked_for_without_a_time_is_never_too_late() -> None:
    assert isinstance(may_send(FREE, message(), HOUSE, NOON), Allowed)


def test_what_would_wait_for_a_morning_that_is_too_late_is_told_at_once() -> None:
    assert reason(may_send(FREE, message(asked_at=NIGHT, by=MORNING - TICK), HOUSE, NIGHT)) == Reason.TOO_LATE
    assert isinstance(may_send(FREE, message(asked_at=NIGHT, by=MORNING), HOUSE, NIGHT), Wait)


def goes_at(delay: timedelta, by: datetime | None = None) -> datetime:
    decision = may_send(FREE, message(asked_at=NIGHT, by=by, delay=delay), HOUSE, NIGHT)
    assert isinstance(decision, Wait)
    return decision.until


def test_a_run_goes_a_little_after_the_morning_and_never_because_of_that_too_late() -> None:
    assert goes_at(minutes(7)) == MORNING + minutes(7)
    assert goes_at(minutes(7), by=MORNING + minutes(3)) == MORNING + minutes(3)
    assert goes_at(minutes(7), by=MORNING) == MORNING


@given(st.text(), st.timedeltas(timedelta(0), timedelta(days=1)))
def test_a_delay_is_the_runs_own_and_never_longer_than_it_may_be(run_id: str, most: timedelta) -> None:
    delay = jitter(run_id, most)
    assert delay == jitter(run_id, most)
    assert timedelta(0) <= delay <= most


def test_many_runs_are_spread_over_the_whole_of_it() -> None:
    delays = [jitter(f"welcome:acme:p-{number}:1", JITTER) for number in range(3_000)]
    for quarter in range(4):
        inside = sum(quarter * JITTER / 4 <= delay < (quarter + 1) * JITTER / 4 for delay in delays)
        assert 600 < inside < 900


def test_a_designer_can_ask_for_the_very_minute() -> None:
    given = {"brand": "acme", "player_id": "p", "journey": "j", "run_id": "j:acme:p:1", "step": "send:x#1"}
    asked = Send.model_validate(given | {"template": "x", "via": ["email"]})
    assert asked.delay == timedelta(0)
    assert asked.model_copy(update={"jitter": hours(1)}).delay == jitter("j:acme:p:1", hours(1))
