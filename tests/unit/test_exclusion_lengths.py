"""What lengths of exclusions the law knows, and that every other one holds all the same."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.gate import DAY, FREE, NOON, SPINS, TICK, message
from workflows.events import ExclusionSet
from workflows.field_types import ExclusionKind
from workflows.gate.decide import may_grant, may_send
from workflows.gate.decision import Allowed, Refusal
from workflows.gate.exclusion_lengths import outside_lengths
from workflows.gate.policy import Policy
from workflows.gate.policy_book import PolicyBook
from workflows.player_state.exclusion_blocks import Block

BOOK = PolicyBook()
GB = BOOK.at("acme", "GB", NOON)
SIX_WEEKS, SIX_MONTHS = timedelta(weeks=6), timedelta(days=184)


def exclusion(kind: ExclusionKind, length: timedelta | None) -> ExclusionSet:
    until = None if length is None else NOON + length
    return ExclusionSet(event_id="e", event_source="/test", occurred_at=NOON, kind=kind, until=until)


@pytest.mark.parametrize("length", [DAY, 7 * DAY, 31 * DAY, SIX_WEEKS])
def test_g5_gb_sr_3_3_4_a_time_out_of_up_to_six_weeks_is_one(length: timedelta) -> None:
    assert outside_lengths(exclusion("time_out", length), GB) is None


@pytest.mark.parametrize("length", [SIX_WEEKS + TICK, 365 * DAY, None])
def test_g5_gb_sr_3_3_4_a_longer_one_is_told_and_holds(length: timedelta | None) -> None:
    told = outside_lengths(exclusion("time_out", length), GB)
    assert told is not None
    assert "It holds as it was told. A time-out lasts 42 days at most" in told
    until = None if length is None else NOON + length
    facts = replace(FREE, jurisdiction="GB", exclusions=[Block("time_out", "brand", until, NOON)])
    answer = may_send(facts, message(), GB, NOON + SIX_WEEKS)
    assert isinstance(answer, Refusal)
    assert answer.rule == "time-out"


@pytest.mark.parametrize(("length", "is_told"), [(SIX_MONTHS, False), (None, False), (SIX_MONTHS - TICK, True)])
def test_g3_gb_a_self_exclusion_of_less_than_six_months_is_told(length: timedelta | None, *, is_told: bool) -> None:
    assert (outside_lengths(exclusion("self_exclusion", length), GB) is not None) == is_told


@pytest.mark.parametrize("kind", ["self_exclusion", "time_out", "register", "operator"])
def test_where_no_law_says_a_length_nothing_is_told(kind: ExclusionKind) -> None:
    for length in (TICK, 10_000 * DAY, None):
        assert outside_lengths(exclusion(kind, length), BOOK.at("acme", "UA", NOON)) is None


@pytest.mark.parametrize(("after", "allowed"), [(SIX_MONTHS - TICK, False), (SIX_MONTHS, True)])
def test_a_self_exclusion_holds_for_its_minimum_although_its_time_is_over(after: timedelta, *, allowed: bool) -> None:
    policy = Policy(self_exclusion_least=SIX_MONTHS)
    facts = replace(FREE, exclusions=[Block("self_exclusion", "brand", NOON + DAY, NOON)])
    assert isinstance(may_grant(facts, SPINS, policy, NOON + after), Allowed) == allowed


def test_the_minimum_is_for_self_exclusions_alone() -> None:
    policy = Policy(self_exclusion_least=SIX_MONTHS)
    facts = replace(FREE, exclusions=[Block("operator", "brand", NOON + DAY, NOON)])
    assert isinstance(may_grant(facts, SPINS, policy, NOON + DAY), Allowed)
