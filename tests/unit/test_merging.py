"""Accounts of one person: what protects one protects all of them, from the merge on, and nothing else is shared."""

from datetime import timedelta
from typing import Any

import pytest

from tests.support.player_events import NOON, Life, declared, only, stored
from workflows import (
    AffordabilityChanged,
    ConsentChanged,
    DepositApproved,
    Event,
    ExclusionEnded,
    ExclusionSet,
    HarmSignal,
    KycChanged,
    LimitReached,
    MessageStatus,
    PlayerMerged,
    PlayerRegistered,
    StatusChanged,
    days,
    on,
)
from workflows.player_state.decisions import RevokeOffers, Stop
from workflows.player_state.limits_and_checks import open_checks
from workflows.player_state.merging import accounts_needed, accounts_of, is_shared, join, merge, share
from workflows.player_state.state import Mode, PlayerState

SECOND = timedelta(seconds=1)
PROTECTING: list[tuple[type[Event], dict[str, Any]]] = [
    (ExclusionSet, {"kind": "self_exclusion", "until": None}),
    (ExclusionSet, {"kind": "time_out", "until": NOON + days(1)}),
    (ConsentChanged, {"channel": "email", "opted_in": False}),
    (MessageStatus, {"channel": "email", "status": "complained"}),
    (StatusChanged, {"to": "closed", "until": None, "from_status": None, "reason": "asked for it"}),
    (StatusChanged, {"to": "self_excluded", "until": NOON + days(9), "from_status": None}),
    (HarmSignal, {"strength": "strong"}),
]


def account(player_id: str) -> Life:
    life = Life(declared("thanks", on(DepositApproved)), player_id=player_id)
    life.happens(PlayerRegistered, ago=days(30), opted_in=["email", "sms"])
    return life


def merged(*lives: Life) -> None:
    join([life.state for life in lives], NOON)
    for life in lives:
        life.state = stored(life.state)


def left_alone(state: PlayerState) -> tuple[str | None, bool, list[str]]:
    return state.protected(NOON), state.consents["email"][0], sorted(state.watch.signs)


RESTRAINING: list[tuple[type[Event], dict[str, Any]]] = [
    (LimitReached, {"kind": "loss", "period": "week"}),
    (KycChanged, {"status": "expired"}),
    (AffordabilityChanged, {"stage": "enhanced", "result": "fail", "valid_until": None}),
]


@pytest.mark.parametrize(("kind", "data"), RESTRAINING)
@pytest.mark.parametrize("when", ["before the merge", "after it"])
@pytest.mark.parametrize("first", [True, False])
def test_a_limit_and_an_open_check_of_one_account_stand_against_both(
    kind: type[Event], data: dict[str, Any], when: str, *, first: bool
) -> None:
    one, other = account("a"), account("b")
    told, untold = (one, other) if first else (other, one)
    if when == "after it":
        merged(one, other)
    event = told.event(kind, **data)
    told.happens(kind, **data)
    assert is_shared(event)
    if when == "after it":
        share(event, told.state, untold.state, NOON, mode="live")
    else:
        merged(one, other)
    assert told.state.limits == untold.state.limits
    assert open_checks(told.state.checks, NOON) == open_checks(untold.state.checks, NOON)
    assert told.state.limits or told.state.checks


def test_a_check_that_was_passed_is_told_for_each_account() -> None:
    one, other = account("a"), account("b")
    one.happens(KycChanged, status="expired")
    other.happens(KycChanged, status="approved")
    merged(one, other)
    assert open_checks(other.state.checks, NOON) == ("kyc expired",)
    assert not is_shared(one.event(KycChanged, status="approved"))


TAKING_BACK: list[tuple[type[Event], dict[str, Any], str | None]] = [
    (ExclusionSet, {"kind": "self_exclusion", "until": None}, "player_protected"),
    (ExclusionSet, {"kind": "register", "until": NOON + days(9)}, "player_protected"),
    (StatusChanged, {"to": "self_excluded", "until": None, "from_status": None}, "player_protected"),
    (StatusChanged, {"to": "closed", "until": None, "from_status": None, "reason": "asked for it"}, "player_protected"),
    (StatusChanged, {"to": "deceased", "until": None, "from_status": None}, "player_protected"),
    (HarmSignal, {"strength": "strong"}, "harm_signal"),
    (HarmSignal, {"strength": "medium"}, None),
    (ExclusionSet, {"kind": "time_out", "until": NOON + days(1)}, None),
    (StatusChanged, {"to": "closed", "until": None, "from_status": None, "reason": "duplicate"}, None),
    (StatusChanged, {"to": "suspended", "until": None, "from_status": None}, None),
]


@pytest.mark.parametrize(("kind", "data", "why"), TAKING_BACK)
@pytest.mark.parametrize("first", [True, False])
def test_a_merge_takes_back_what_the_other_account_was_offered_and_may_not_have_any_more(
    kind: type[Event], data: dict[str, Any], why: str | None, *, first: bool
) -> None:
    told, offered = account("a"), account("b")
    told.happens(kind, **data)
    survivor, absorbed = ("a", "b") if first else ("b", "a")
    event = told.event(PlayerMerged, survivor_id=survivor, absorbed_id=absorbed)
    assert isinstance(event, PlayerMerged)
    modes: list[Mode] = ["history", "live"]
    for mode in modes:
        states = {one.state.player_id: stored(one.state) for one in (told, offered)}
        decided = merge(event, states, told.rules, NOON, [], mode=mode)
        back = [(one, what.reason) for one, what in decided if isinstance(what, RevokeOffers)]
        assert dict(back).get("b") == (why if mode == "live" else None)


@pytest.mark.parametrize(("kind", "data"), PROTECTING)
@pytest.mark.parametrize("first", [True, False])
def test_what_protected_one_account_protects_both_from_the_merge_on(
    kind: type[Event], data: dict[str, Any], *, first: bool
) -> None:
    one, other = account("a"), account("b")
    (one if first else other).happens(kind, **data)
    assert left_alone(one.state) != left_alone(other.state)
    merged(one, other)
    assert left_alone(one.state) == left_alone(other.state)
    assert left_alone(one.state) != left_alone(account("c").state)
    assert (one.state.accounts, other.state.accounts) == (["b"], ["a"])


@pytest.mark.parametrize(("kind", "data"), PROTECTING)
def test_what_protects_one_account_later_protects_the_other_and_stops_its_runs(
    kind: type[Event], data: dict[str, Any]
) -> None:
    one, other = account("a"), account("b")
    merged(one, other)
    other.happens(DepositApproved)
    event = one.event(kind, **data)
    one.happens(kind, **data)
    assert is_shared(event)
    decisions = share(event, one.state, other.state, NOON, mode="live")
    assert left_alone(one.state) == left_alone(other.state)
    stops = other.state.protected(NOON) is not None
    assert [stop.run_id for stop in only(Stop, decisions)] == ([other.run_of("thanks")] if stops else [])


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (ExclusionEnded, {"kind": "self_exclusion"}),
        (ConsentChanged, {"channel": "email", "opted_in": True}),
        (StatusChanged, {"to": "active", "until": None}),
        (StatusChanged, {"to": "suspended", "until": None}),
        (MessageStatus, {"status": "bounced"}),
        (StatusChanged, {"to": "closed", "until": None, "reason": "merged"}),
        (DepositApproved, {}),
    ],
)
def test_what_lifts_or_means_one_account_only_is_not_shared(kind: type[Event], data: dict[str, Any]) -> None:
    assert not is_shared(account("a").event(kind, **data))


def test_an_account_that_is_closed_because_it_was_merged_leaves_the_other_open() -> None:
    one, other = account("a"), account("b")
    other.happens(StatusChanged, to="closed", until=None, from_status=None, reason="merged")
    merged(one, other)
    assert one.state.protected(NOON) is None
    assert other.state.protected(NOON) == "account_not_active"
    # The person says goodbye afterwards.
    other.happens(StatusChanged, after=SECOND, to="closed", until=None, from_status=None, reason="asked for it")
    merged(one, other)
    assert one.state.protected(other.now) == "account_not_active"


def test_a_third_account_joins_those_joined_before() -> None:
    one, other, third = account("a"), account("b"), account("c")
    merged(one, other)
    event = PlayerMerged(event_id="1", event_source="/t", occurred_at=NOON, survivor_id="b", absorbed_id="c")
    states = {"b": other.state, "c": third.state}
    assert accounts_needed([("b", event)], states) == {"a": "b"}
    states |= {"a": one.state}
    assert accounts_needed([("b", event)], states) == {}
    assert accounts_of(event, states) == ["a", "b", "c"]
    merged(one, other, third)
    assert third.state.accounts == ["a", "b"]
    excluded = third.event(ExclusionSet)
    assert accounts_needed([("c", excluded), ("c", third.event(DepositApproved))], {"c": third.state}) == {
        "a": "c",
        "b": "c",
    }
    assert accounts_needed([("c", third.event(DepositApproved))], {"c": third.state}) == {}


def test_a_person_of_very_many_accounts_is_protected_and_not_joined_further() -> None:
    lives = [account(f"p-{number}") for number in range(60)]
    lives[0].happens(ExclusionSet, kind="self_exclusion", until=None)
    merged(*lives)
    assert {life.state.protected(NOON) for life in lives} == {"self_excluded"}
    assert not any(life.state.accounts for life in lives)
