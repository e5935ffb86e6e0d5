"""A self-exclusion that is told as the status of the account: what ends it, what does not, and what follows its end."""

from datetime import timedelta
from typing import Any

import pytest

from tests.support.gate import DAY, FREE, NOON, message
from workflows import ExclusionSet, ProfileUpdated, StatusChanged
from workflows.events import Event, parse_event
from workflows.gate.decide import may_send
from workflows.gate.decision import Allowed
from workflows.gate.facts import facts_of
from workflows.gate.policy_book import PolicyBook
from workflows.player_state.exclusion_blocks import ACCOUNT, Block, TimedStatus
from workflows.player_state.merging import join, share
from workflows.player_state.state import PlayerState

BOOK = PolicyBook()
BEGAN = NOON - 100 * DAY
HOUR = timedelta(hours=1)


def account(player_id: str = "p-1", country: str | None = "GB") -> PlayerState:
    facts = {"timezone": "UTC", "registered_at": "2020-01-01T00:00:00+00:00"}
    state = PlayerState("acme", player_id, status="active", facts=facts)
    if country is not None:
        state.facts["country"] = country
    state.consents = {name: (said, BEGAN) for name, said in (FREE.consents or {}).items()}
    return state


def happens(state: PlayerState, kind: type[Event], ago: timedelta, /, **data: Any) -> None:
    at = NOON - ago
    event = parse_event(kind.wire_type, data, event_id="e", event_source="/t", occurred_at=at)
    state.learn(event, state.word_of(event, at, live=True))


def status(state: PlayerState, to: str, ago: timedelta, **data: Any) -> None:
    happens(state, StatusChanged, ago, to=to, **data)


def stored(state: PlayerState) -> PlayerState:
    return PlayerState.from_json(state.brand, state.player_id, state.to_json())


def refused_by(state: PlayerState, ahead: timedelta = timedelta(0)) -> str | None:
    now = NOON + ahead
    known = facts_of(stored(state), addresses=["email"], contacts=(), now=now)
    decision = may_send(known, message(), BOOK.of("acme", known, now), now)
    return None if isinstance(decision, Allowed) else decision.rule


@pytest.mark.parametrize(("country", "wait"), [("GB", DAY), ("MT", 7 * DAY)])
@pytest.mark.parametrize("until", [None, NOON + 9 * DAY, NOON - 30 * DAY])
def test_whose_account_is_active_again_waits_as_after_any_exclusion(country: str, wait: timedelta, until: Any) -> None:
    state = account(country=country)
    status(state, "self_excluded", 90 * DAY, until=until)
    status(state, "active", HOUR)
    assert refused_by(state) == "cooling-off"
    assert refused_by(state, wait - HOUR - timedelta(seconds=1)) == "cooling-off"
    assert refused_by(state, wait - HOUR) is None
    assert state.exclusions == []


@pytest.mark.parametrize("country", ["GB", "MT"])
@pytest.mark.parametrize("timed", [False, True])
def test_a_row_of_before_that_kept_the_status_alone_waits_too(country: str, *, timed: bool) -> None:
    state = account(country=country)
    if timed:
        state.timed_status = TimedStatus("self_excluded", NOON + DAY, BEGAN)
    else:
        state.status, state.status_since = "self_excluded", BEGAN
    assert refused_by(state) == "self-exclusion"
    status(state, "active", HOUR)
    assert refused_by(state) == "cooling-off"


@pytest.mark.parametrize("country", ["GB", "MT"])
def test_who_was_never_excluded_waits_for_nothing(country: str) -> None:
    state = account(country=country)
    status(state, "suspended", 2 * DAY)
    status(state, "active", HOUR)
    assert refused_by(state) is None


@pytest.mark.parametrize("between", ["suspended", "closed"])
def test_another_status_in_between_ends_no_exclusion(between: str) -> None:
    state = account(country="UA")
    status(state, "self_excluded", 9 * DAY)
    status(state, between, 8 * DAY)
    assert state.status == between
    assert state.protected(NOON) == "self_excluded"
    assert [(one.scope, one.since) for one in state.exclusions] == [(ACCOUNT, NOON - 9 * DAY)]
    status(state, "active", 7 * DAY)
    assert state.protected(NOON) is None
    assert refused_by(state) is None


def test_a_suspension_with_an_end_leaves_the_exclusion_behind_it() -> None:
    state = account()
    status(state, "self_excluded", 9 * DAY, until=NOON + 90 * DAY)
    status(state, "suspended", 8 * DAY, until=NOON - 7 * DAY)
    assert state.status_at(NOON) == "active"
    assert state.protected(NOON) == "self_excluded"
    assert refused_by(state) == "self-exclusion"


def test_an_account_that_was_open_in_between_was_not_excluded_since() -> None:
    state = account(country="UA")
    status(state, "active", 5 * DAY)
    late = parse_event(
        StatusChanged.wire_type, {"to": "self_excluded"}, event_id="e", event_source="/t", occurred_at=NOON - 9 * DAY
    )
    state.learn(late, state.word_of(late, NOON, live=False))
    assert (state.status, state.exclusions) == ("active", [])
    state.learn(late, state.word_of(late, NOON, live=True))
    assert (state.status, state.protected(NOON)) == ("self_excluded", "self_excluded")


@pytest.mark.parametrize("set_in", ["GB", "DE"])
def test_an_exclusion_goes_with_a_player_who_moves_to_where_exclusions_lapse(set_in: str) -> None:
    state = account(country=set_in)
    happens(state, ExclusionSet, 9 * DAY, kind="self_exclusion", until=NOON - DAY)
    happens(state, ProfileUpdated, 8 * DAY, changed={"country": "UA"})
    assert refused_by(state) == "self-exclusion"
    elsewhere = account(country="UA")
    happens(elsewhere, ExclusionSet, 9 * DAY, kind="self_exclusion", until=NOON - DAY)
    assert refused_by(elsewhere) is None
    happens(elsewhere, ProfileUpdated, HOUR, changed={"country": set_in})
    assert refused_by(elsewhere) == "self-exclusion"


def joined(one: PlayerState, other: PlayerState, *, turned: bool) -> None:
    join([other, one] if turned else [one, other], NOON)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("until", [None, NOON + DAY, NOON - DAY])
def test_a_merge_hands_over_an_exclusion_that_was_a_status(until: Any, *, turned: bool) -> None:
    one, other = account("a"), account("b")
    status(one, "self_excluded", 9 * DAY, until=until)
    if until is not None:
        status(other, "self_excluded", 20 * DAY, until=NOON + HOUR)
    joined(one, other, turned=turned)
    assert refused_by(one) == refused_by(other) == "self-exclusion"
    ends = {block.until for state in (one, other) for block in state.exclusions}
    assert ends == {None if until is None else max(until, NOON + HOUR)}, "the later end holds in both"
    assert {block.since for state in (one, other) for block in state.exclusions} == {NOON - 9 * DAY}


@pytest.mark.parametrize("turned", [False, True])
def test_a_merge_hands_over_the_cooling_off(*, turned: bool) -> None:
    one, other = account("a"), account("b")
    status(one, "self_excluded", 9 * DAY)
    status(one, "active", HOUR)
    joined(one, other, turned=turned)
    assert refused_by(one) == refused_by(other) == "cooling-off"
    assert refused_by(one, DAY) is None
    assert refused_by(other, DAY) is None


@pytest.mark.parametrize("turned", [False, True])
def test_a_merge_hands_over_where_an_exclusion_was_set(*, turned: bool) -> None:
    one, other = account("a"), account("b", "UA")
    happens(one, ExclusionSet, 9 * DAY, kind="operator", until=NOON - DAY)
    joined(one, other, turned=turned)
    assert refused_by(other) == "self-exclusion"


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_closures_with_an_end_the_later_one_holds_after_a_merge(*, turned: bool) -> None:
    one, other = account("a"), account("b")
    status(one, "closed", 9 * DAY, until=NOON + DAY)
    status(other, "closed", 8 * DAY, until=NOON + 3 * DAY)
    joined(one, other, turned=turned)
    for state in (one, other):
        assert state.status_at(NOON + 2 * DAY) == "closed"


def test_the_block_of_a_status_is_stored_and_read_as_others_are() -> None:
    state = account()
    status(state, "self_excluded", DAY, until=NOON + DAY)
    assert stored(state).exclusions == [Block("self_exclusion", ACCOUNT, NOON + DAY, NOON - DAY)]
    assert stored(state).excluded_in == ["GB"]


def test_an_account_that_shares_an_exclusion_knows_where_it_was_set() -> None:
    one, other = account("a"), account("b", "UA")
    joined(one, other, turned=False)
    given = {"kind": "self_exclusion", "scope": "brand", "until": NOON + DAY}
    event = parse_event(ExclusionSet.wire_type, given, event_id="e", event_source="/t", occurred_at=NOON - DAY)
    one.learn(event, one.word_of(event, NOON, live=True))
    share(event, one, other, NOON, mode="live")
    assert other.excluded_in == ["GB", "UA"]
    assert refused_by(other, 200 * DAY) == "self-exclusion", "as in Great Britain, where none ends by itself"
