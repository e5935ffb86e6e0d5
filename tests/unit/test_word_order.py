"""What a player says last counts, whatever the clocks of those who pass it on: consent, account, exclusion, profile."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.player_events import NOON, Life
from tests.support.told import SKEW, SUBJECTS, Told
from workflows import (
    ConsentChanged,
    PlayerRegistered,
    ProfileUpdated,
    SessionLogin,
    days,
    hours,
    minutes,
)
from workflows.player_state.journey_facts import journey_facts
from workflows.player_state.ordering import MOST_AHEAD
from workflows.player_state.state import PlayerState

SECOND = timedelta(seconds=1)
#: Whether it is a No, how many minutes ago it was said, how wrong the sender's clock is, and seconds until the next.
WORDS = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(0, 90),
        st.integers(-SKEW * 60, SKEW * 60),
        st.integers(0, 400),
        # Which of those before is sent again instead, if there is one.
        st.none() | st.integers(0, 20),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("subject", SUBJECTS)
@given(WORDS)
@settings(max_examples=examples(60, quick=20))
def test_the_last_no_that_was_received_holds_until_a_newer_yes(
    subject: str, words: list[tuple[bool, int, int, int, int | None]]
) -> None:
    no, yes, is_in_force = SUBJECTS[subject]
    told = Told()
    told.registers(NOON - days(60))
    said: list[tuple[bool, datetime]] = []
    first: dict[tuple[bool, datetime], datetime] = {}
    last_no: datetime | None = None
    for is_no, ago, skew, gap, again in words:
        told.now += timedelta(seconds=gap)
        word = (is_no, told.now - minutes(ago) + timedelta(seconds=skew))
        if again is not None and said:
            word = said[again % len(said)]
        said.append(word)
        no_again, claimed = word
        # Said again, a word of a clock that runs ahead is no later one.
        before, order = is_in_force(told), min(claimed, first.setdefault(word, told.now))
        kind, data = no if no_again else yes
        told.hears(kind, claimed, **data)
        if no_again:
            assert is_in_force(told)
            last_no = order
        elif before and last_no is not None and order <= last_no:
            assert is_in_force(told)
        before = is_in_force(told)
        # What registered the player, sent again under whatever time, gives nothing back.
        told.registers(claimed if again is None else NOON - days(60))
        assert is_in_force(told) or not before
    # At a moment that nobody has claimed before.
    told.now += SECOND + timedelta.resolution
    kind, data = yes
    told.hears(kind, told.now, **data)
    assert not is_in_force(told)


@pytest.mark.parametrize("subject", SUBJECTS)
@given(WORDS, st.randoms(use_true_random=False))
@settings(max_examples=examples(30, quick=10))
def test_a_history_says_the_same_in_whatever_order_and_however_often_it_is_imported(
    subject: str, words: list[tuple[bool, int, int, int, int | None]], chance: Any
) -> None:
    no, yes, _ = SUBJECTS[subject]
    sayings = [((no if is_no else yes), NOON - minutes(ago)) for is_no, ago, *_ in words]
    lives = Told(), Told()
    for told, order in zip(lives, (sayings, chance.sample(sayings * 2, len(sayings) * 2)), strict=True):
        told.registers(NOON - days(60))
        for (kind, data), at in order:
            told.hears(kind, at, mode="history", **data)
    one, other = lives
    assert one.profile == other.profile
    for part in ("consents", "status", "status_since", "timed_status", "exclusions", "facts", "born"):
        assert getattr(one.state, part) == getattr(other.state, part), part


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_history_imported_after_going_live_undoes_neither_a_no_nor_a_yes(subject: str) -> None:
    no, yes, is_in_force = SUBJECTS[subject]
    for (kind, data), (older, what), expected in ((no, yes, True), (yes, no, False)):
        told = Told()
        told.registers(NOON - days(60))
        told.hears(kind, NOON - minutes(5), **data)
        told.hears(older, NOON - days(20), mode="history", **what)
        assert is_in_force(told) is expected


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_yes_of_a_clock_that_runs_ahead_does_not_outlive_the_no_after_it(subject: str) -> None:
    no, yes, is_in_force = SUBJECTS[subject]
    told = Told()
    told.registers(NOON + minutes(4))
    (kind, data), (denies, what) = yes, no
    told.hears(kind, NOON + minutes(SKEW), **data)
    told.now += SECOND
    told.hears(denies, told.now, **what)
    assert is_in_force(told)
    told.hears(kind, NOON + minutes(SKEW), **data)
    assert is_in_force(told)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_no_of_a_clock_that_runs_hours_behind_counts_when_it_comes(subject: str) -> None:
    no, yes, is_in_force = SUBJECTS[subject]
    told = Told()
    told.registers(NOON - days(60))
    (kind, data), (denies, what) = yes, no
    told.hears(kind, NOON, **data)
    told.now += minutes(1)
    told.hears(denies, told.now - hours(3), **what)
    assert is_in_force(told)
    # Sent again, the Yes is still the one from before the No.
    told.hears(kind, NOON, **data)
    assert is_in_force(told)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_yes_of_a_clock_that_ran_ahead_is_no_later_one_when_it_is_said_again(subject: str) -> None:
    no, yes, is_in_force = SUBJECTS[subject]
    told = Told()
    told.registers(NOON - days(60))
    (kind, data), (denies, what) = yes, no
    told.hears(kind, NOON + minutes(4), **data)
    told.now += minutes(1)
    told.hears(denies, told.now, **what)
    for later in (minutes(1), hours(1), days(30)):
        told.now += later
        told.hears(kind, NOON + minutes(4), **data)
        assert is_in_force(told)
    told.hears(kind, told.now, **data)
    assert not is_in_force(told)


def test_of_words_ahead_of_our_clock_the_newest_few_are_remembered() -> None:
    told = Told()
    told.registers(NOON - days(60))
    for second in range(3 * MOST_AHEAD):
        told.now += SECOND
        told.hears(ConsentChanged, told.now + minutes(4), channel="email", product="all", opted_in=True)
        told.hears(SessionLogin, told.now + minutes(4))
        assert len(told.state.ahead) == min(second + 1, MOST_AHEAD)
    told.now += SECOND
    told.hears(ConsentChanged, told.now, channel="email", product="all", opted_in=False)
    told.now += minutes(1)
    told.hears(
        ConsentChanged, NOON + SECOND * 3 * MOST_AHEAD + minutes(4), channel="email", product="all", opted_in=True
    )
    assert told.state.consents["email"][0] is False


def test_a_registration_sent_again_consents_to_nothing_and_overwrites_nothing() -> None:
    told = Told()
    told.registers(NOON - days(2), opted_in=["email"])
    told.hears(ConsentChanged, NOON - days(1), channel="email", opted_in=False)
    told.hears(ProfileUpdated, NOON - days(1), changed={"email": "new@example.com", "timezone": "Asia/Tokyo"})
    told.registers(NOON, opted_in=["email", "sms"], email="first@example.com", phone="+380501234567")
    assert {channel: given for channel, (given, _) in told.state.consents.items()} == {"email": False}
    assert (told.profile["email"], told.state.timezone) == ("new@example.com", "Asia/Tokyo")
    assert told.state.registered_at == NOON - days(2)
    assert told.profile["phone"] == "+380501234567"


def test_a_language_that_nobody_named_is_no_word() -> None:
    life = Life()
    life.happens(ProfileUpdated, ago=hours(1), changed={"language": "uk"})
    plain = PlayerRegistered(event_id="r", event_source="/t", occurred_at=NOON)
    life.state.advance(plain, life.rules, NOON, life.failures)
    assert journey_facts(life.state).language == "uk"
    other = PlayerState("acme", "p-2")
    other.advance(plain, life.rules, NOON, life.failures)
    assert journey_facts(other).language == "en"


def test_the_newest_word_on_each_field_of_the_profile_stands() -> None:
    told = Told()
    told.registers(NOON - days(30), email="first@example.com", first_name="Alex", language="en")
    newest = {"email": "new@example.com", "first_name": "Nova", "language": "uk"}
    told.hears(ProfileUpdated, NOON - minutes(5), changed=newest)
    late = {"email": "old@example.com", "first_name": "Olda", "language": "ru", "phone": "+441632960001"}
    told.hears(ProfileUpdated, NOON - days(20), changed=late)
    assert told.profile["email"] == "new@example.com"
    assert told.profile["first_name"] == "Nova"
    assert journey_facts(told.state).language == "uk"
    # Nobody had said anything newer about this one.
    assert told.profile["phone"] == "+441632960001"


def test_of_two_values_of_one_instant_the_one_that_came_last_stands() -> None:
    told = Told()
    told.registers(NOON)
    for address in ("a@example.com", "b@example.com"):
        told.hears(ProfileUpdated, NOON, changed={"email": address})
    assert told.profile["email"] == "b@example.com"


def test_a_row_of_before_the_times_were_kept_takes_nothing_older_than_its_last_update() -> None:
    told = Told()
    told.registers(NOON - days(30))
    told.hears(ProfileUpdated, NOON - days(3), changed={"email": None})
    told.profile = {"email": None}
    for name in ("person", "email"):
        told.state.told.pop(name, None)
    told.hears(ProfileUpdated, NOON - days(20), mode="history", changed={"email": "gone@example.com"})
    assert told.profile["email"] is None
    told.hears(ProfileUpdated, NOON, changed={"email": "back@example.com"})
    assert told.profile["email"] == "back@example.com"


def test_the_times_of_a_registration_are_kept_once() -> None:
    told = Told()
    told.registers(NOON, username="anna", phone="+380501234567", first_name="Anna")
    assert sorted(told.state.told) == ["born", "country", "currency", "language", "person", "timezone"]
