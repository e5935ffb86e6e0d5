"""Ids of runs and of what they hear: the same cause, the same id, whatever was counted before."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.player_events import BRAND, Life, declared, started, stored
from workflows import DepositApproved, SessionLogin, always, days, on, per
from workflows.player_state.identities import WINDOW, delivery_id_of, run_id_of
from workflows.player_state.state import PlayerState

CAUSE = {"type": "session.login", "source": "/test", "id": "e-1"}
PARTS = st.text(alphabet=st.characters(exclude_characters="\0", codec="utf-8"), max_size=9)


def payer() -> Life:
    return Life(declared("paid", on(DepositApproved), entry=per("payment_id")))


def test_the_same_event_begins_the_same_run_after_the_row_was_set_back_and_another_one_another() -> None:
    life = payer()
    before = stored(life.state)
    lost = life.event(DepositApproved, payment_id="d-1")
    (first,) = started(life.state.advance(lost, life.rules, life.now, life.failures))
    life.state = before
    other = life.event(DepositApproved, payment_id="d-2")
    (second,) = started(life.state.advance(other, life.rules, life.now, life.failures))
    (again,) = started(life.state.advance(lost, life.rules, life.now + days(1), life.failures))
    assert again == first != second


def test_a_player_who_was_removed_gets_runs_of_their_own_even_for_the_same_event() -> None:
    life = payer()
    event = life.event(DepositApproved, payment_id="d-1")
    (first,) = started(life.state.advance(event, life.rules, life.now, life.failures))
    life.state = PlayerState(BRAND, life.state.player_id, taken={"paid": 1})
    (second,) = started(life.state.advance(event, life.rules, life.now, life.failures))
    assert first != second


def test_an_event_that_is_taken_for_new_after_its_identity_was_forgotten_begins_a_run_of_its_own() -> None:
    life = Life(declared("hello", on(SessionLogin), entry=always, late_after=days(400)))
    event = life.event(SessionLogin)
    (first,) = started(life.state.advance(event, life.rules, life.now, life.failures))
    life.run_ends(first)
    (second,) = started(life.state.advance(event, life.rules, life.now + WINDOW, life.failures))
    assert first != second


def test_runs_that_nothing_caused_are_told_apart_by_their_number() -> None:
    life = Life(declared("hello", entry=always))
    entered = []
    for _ in range(2):
        (run_id,) = started(life.state.enter(life.rules.journeys["hello"], None, life.now))
        entered.append(run_id)
        life.run_ends(run_id)
    assert len({*entered}) == 2


def test_a_future_event_begins_the_run_it_begins_when_it_is_sent_again_later() -> None:
    assert run_id_of("j", BRAND, "p", CAUSE, timedelta(0), 0) == run_id_of("j", BRAND, "p", CAUSE, days(2), 0)


@given(st.lists(st.tuples(PARTS, PARTS, PARTS, st.integers(0, 3)), unique=True, min_size=2, max_size=20))
def test_no_two_causes_share_a_run(causes: list[tuple[str, str, str, int]]) -> None:
    found = {
        run_id_of("j", BRAND, "p", {"type": kind, "source": source, "id": identity}, timedelta(0), taken)
        for kind, source, identity, taken in causes
    }
    assert len(found) == len(causes)


@pytest.mark.parametrize(
    "other",
    [
        {"event_id": "e-2"},
        {"event_source": "/another"},
    ],
)
def test_a_run_knows_an_event_again_and_takes_no_other_for_it(other: dict[str, object]) -> None:
    event = payer().event(SessionLogin)
    later = event.model_copy(update={"occurred_at": event.occurred_at + timedelta(seconds=1)})
    assert delivery_id_of("r", event) == delivery_id_of("r", later)
    assert delivery_id_of("r", event) != delivery_id_of("r", event.model_copy(update=other))
    assert delivery_id_of("r", event) != delivery_id_of("another", event)
