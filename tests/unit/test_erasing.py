"""What is left of a player's row when they are erased, and what that still does."""

from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest

from tests.support.player_events import NOON, Life, declared, only, stored
from workflows import DepositApproved, Event, ExclusionSet, PlayerRegistered, StatusChanged, days, on
from workflows.events import AffordabilityChanged, ConsentChanged, HarmSignal, LimitReached
from workflows.player_state.decisions import Start, Stop
from workflows.player_state.erased_player import GOES, STAYS
from workflows.player_state.erasing import ERASED, forget
from workflows.player_state.exclusion_blocks import Block
from workflows.player_state.identity_keys import identity_keys
from workflows.player_state.state import PlayerState

SECOND = timedelta(seconds=1)


def life() -> Life:
    made = Life(declared("thanks", on(DepositApproved), ends_after=days(30)))
    made.happens(PlayerRegistered, ago=days(30), opted_in=["email", "sms"])
    made.happens(DepositApproved)
    return made


def erased(made: Life) -> PlayerState:
    forget(made.state, NOON)
    made.state = stored(made.state)
    return made.state


def test_of_every_part_of_a_row_it_is_said_whether_it_stays() -> None:
    parts = {one.name for one in fields(PlayerState)}
    assert (STAYS.keys() | GOES, STAYS.keys() & GOES) == (parts, set())


def test_runs_are_told_to_end_and_what_was_counted_is_gone() -> None:
    made = life()
    assert [one.reason for one in only(Stop, forget(made.state, NOON))] == [ERASED]
    state = stored(made.state)
    assert state.to_json().keys() == {"erased_at", "runs", "taken"}
    assert state.taken == {"thanks": 1}


@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [
        (ExclusionSet, {"kind": "self_exclusion", "until": None}, "self_excluded"),
        (ExclusionSet, {"kind": "time_out", "until": NOON + days(1)}, "time_out"),
        (StatusChanged, {"to": "self_excluded", "until": None, "from_status": None}, "self_excluded"),
        (StatusChanged, {"to": "closed", "until": None, "from_status": None}, "account_not_active"),
        (DepositApproved, {}, "account_not_active"),
    ],
)
def test_who_was_erased_is_left_alone(kind: type[Event], data: dict[str, Any], reason: str) -> None:
    made = life()
    made.happens(kind, **data)
    state = erased(made)
    assert state.protected(NOON + SECOND) == reason
    made.passes(SECOND)
    assert not [one for one in only(Start, made.happens(DepositApproved)) if one.refused is None]


@pytest.mark.parametrize("kind", ["self_exclusion", "register", "operator"])
def test_a_registration_of_later_makes_a_new_player_and_ends_no_exclusion(kind: str) -> None:
    made = life()
    made.happens(ExclusionSet, kind=kind, until=None)
    erased(made)
    made.passes(SECOND)
    made.happens(PlayerRegistered, opted_in=["email"])
    assert made.state.protected(made.now) == "self_excluded"
    assert made.state.counts == {PlayerRegistered.type: 1}


def test_refusals_and_open_checks_stay_and_consents_go() -> None:
    made = life()
    made.happens(ConsentChanged, channel="sms", opted_in=False)
    made.happens(HarmSignal, strength="strong")
    made.happens(LimitReached, kind="loss", period="week")
    made.happens(AffordabilityChanged, stage="enhanced", result="fail", valid_until=None)
    made.happens(AffordabilityChanged, stage="light", result="pass", valid_until=None)
    state = erased(made)
    assert {key: given for key, (given, _) in state.consents.items()} == {"sms": False}
    assert ([*state.watch.signs], [*state.limits], [*state.checks]) == (
        ["chasing/strong"],
        ["loss/week"],
        ["affordability/enhanced"],
    )
    assert state.facts == {}
    made.passes(SECOND)
    made.happens(PlayerRegistered, opted_in=["email", "sms"])
    assert {key: given for key, (given, _) in made.state.consents.items()} == {"email": True, "sms": True}


def test_an_inherited_exclusion_of_an_account_is_one_of_the_brand_and_ends_with_its_own_end() -> None:
    state = PlayerState("acme", "p-2")
    state.inherit(Block("self_exclusion", "account", None, NOON), ["GB"])
    assert ([one.scope for one in state.exclusions], state.excluded_in) == (["brand"], ["GB"])
    state.exclusions, state.told["end of self_exclusion/brand"] = [], 1 << 60
    state.inherit(Block("self_exclusion", "account", None, NOON), ["GB"])
    assert state.exclusions == []


@pytest.mark.parametrize(
    ("profile", "keys"),
    [
        ({"email": " Anna.B+promo@GMail.com "}, {"email": "annab@gmail.com"}),
        ({"email": "Anna.B@example.com"}, {"email": "anna.b@example.com"}),
        ({"email": "@example.com", "phone": "123"}, {}),
        ({"phone": "+380 (44) 123-45-67"}, {"phone": "380441234567"}),
        ({"phone": "00380441234567"}, {"phone": "380441234567"}),
        ({"first_name": "ZOË ", "birth_date": "1990-05-17"}, {"person": "zoe/1990-05-17"}),
        ({"first_name": "Zoë", "birth_date": "17.05.1990"}, {}),
        ({"first_name": None, "birth_date": "1990-05-17", "email": 5}, {}),
    ],
)
def test_what_identifies_a_person_is_written_one_way(profile: dict[str, object], keys: dict[str, str]) -> None:
    assert identity_keys(profile) == keys
