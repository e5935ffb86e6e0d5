"""How far a reward has come, from the bonus engine's events."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows import (
    DepositApproved,
    Event,
    RewardClaimed,
    RewardCompleted,
    RewardExpired,
    RewardOffered,
    RewardWageringProgress,
    RoundCompleted,
)
from workflows.player_state.grant_progress import PROGRESS, STAGES, TAKEN, grant_progress_of, is_further
from workflows.rules.tied_to_run import about_grant
from workflows.verb_results import Grant

NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)
GIVEN = Grant("confirmed", "welcome:acme:p:1/grant:free_spins#1", provider_ref="be-7")


def event(kind: type[Event], **data: Any) -> Event:
    return kind.from_wire(
        {"type": kind.wire_type, "id": "e", "source": "/engine", "time": NOON, "data": {**kind.example_data, **data}}
    )


@pytest.mark.parametrize("kind", STAGES, ids=lambda kind: kind.type)
def test_every_word_of_the_engine_is_a_stage(kind: type[Event]) -> None:
    (reached,) = grant_progress_of(event(kind, grant_id="g-9"))
    assert (reached.grant_id, reached.stage, reached.at) == ("g-9", STAGES[kind], NOON)


def test_other_events_say_nothing_of_a_reward() -> None:
    assert grant_progress_of(DepositApproved.example()) == []


def test_an_opening_says_what_it_is_worth_and_an_end_what_was_won() -> None:
    (offered,) = grant_progress_of(event(RewardOffered, value_minor=250, wager_required_minor=2500, currency="EUR"))
    assert (offered.worth_minor, offered.wager_required_minor, offered.told_currency) == (250, 2500, "EUR")
    assert offered.converted_minor is None
    (completed,) = grant_progress_of(event(RewardCompleted, converted_minor=0))
    assert (completed.converted_minor, completed.worth_minor) == (0, None)


def test_a_value_of_nothing_was_not_told() -> None:
    (claimed,) = grant_progress_of(event(RewardClaimed, value_minor=0))
    assert claimed.worth_minor is None


def test_wagering_says_how_much_is_done() -> None:
    (reached,) = grant_progress_of(event(RewardWageringProgress, wagered_minor=30, required_minor=100))
    assert (reached.wagered_minor, reached.wager_required_minor) == (30, 100)


@given(
    st.lists(st.sampled_from(PROGRESS), min_size=1).flatmap(lambda told: st.permutations(told).map(lambda p: (told, p)))
)
def test_in_whatever_order_it_is_told_the_furthest_counts(drawn: tuple[list[Any], list[Any]]) -> None:
    furthest = []
    for told in drawn:
        known = None
        for stage in told:
            known = stage if is_further(stage, known) else known
        furthest.append(known)
    assert furthest[0] == furthest[1]


def test_what_expired_can_be_taken_back_and_what_was_lost_cannot() -> None:
    assert STAGES[RewardExpired] not in TAKEN
    assert {"claimed", "wagering", "lost", "completed"} <= TAKEN


@pytest.mark.parametrize("grant_id", [GIVEN.grant_id, "be-7"])
def test_a_wait_about_a_reward_knows_it_by_both_names(grant_id: str) -> None:
    takes = about_grant(None, GIVEN)
    assert takes is not None
    assert takes(event(RewardClaimed, grant_id=grant_id))
    assert takes(event(RoundCompleted, grant_id=grant_id))
    assert not takes(event(RewardClaimed, grant_id="another"))
    assert not takes(DepositApproved.example())


def test_what_the_designer_asks_for_besides_is_asked_too() -> None:
    takes = about_grant(lambda claimed: claimed.value_minor > 100, GIVEN)
    assert takes is not None
    assert not takes(event(RewardClaimed, grant_id="be-7", value_minor=100))
    assert takes(event(RewardClaimed, grant_id="be-7", value_minor=101))
