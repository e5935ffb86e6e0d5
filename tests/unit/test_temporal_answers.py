"""Which of Temporal's answers are about one run, and which about everybody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.service import RPCError, RPCStatusCode

from activities.run_delivery.delivery_breaker import (
    FEWEST_RUNS,
    LONGEST_PASS,
    MOST_RUNS,
    DeliveryBrake,
    DeliveryBreaker,
)
from activities.run_delivery.temporal_answers import DeliveryRefused, NotRunning, Outcome, RetryLater, outcome_of

OF_ITS_OWN = DeliveryRefused("too long", by_temporal=True)
NO_KEY = RetryLater("PERMISSION_DENIED", refuses_us=True)
AWAY = RetryLater("UNAVAILABLE")
FULL = RetryLater("RESOURCE_EXHAUSTED", is_full=True)
UNREADABLE = DeliveryRefused("cannot be read")
ANSWERS = st.sampled_from([None, NotRunning(), OF_ITS_OWN, NO_KEY, AWAY, FULL, UNREADABLE])


@pytest.mark.parametrize("status", [status for status in RPCStatusCode if status is not RPCStatusCode.OK])
def test_only_an_argument_can_be_wrong_for_good(status: RPCStatusCode) -> None:
    outcome = outcome_of(RPCError("no", status, b""))
    assert isinstance(outcome, DeliveryRefused) == (status is RPCStatusCode.INVALID_ARGUMENT)


def test_one_that_is_refused_while_others_are_taken_is_refused_for_good() -> None:
    assert DeliveryBreaker().judge({"a": OF_ITS_OWN, "b": None}) == {"a": OF_ITS_OWN, "b": None}


def test_the_second_in_a_row_that_is_refused_is_nobodys_own_fault() -> None:
    breaker = DeliveryBreaker()
    assert breaker.judge({"a": OF_ITS_OWN}) == {"a": OF_ITS_OWN}
    assert breaker.why is None
    assert isinstance(breaker.judge({"b": OF_ITS_OWN})["b"], RetryLater)
    assert breaker.why is not None
    breaker.judge({"c": None})
    assert breaker.why is None
    assert breaker.judge({"b": OF_ITS_OWN}) == {"b": OF_ITS_OWN}


def test_a_server_that_is_away_neither_opens_nor_closes_it() -> None:
    breaker = DeliveryBreaker()
    breaker.judge({"a": AWAY, "b": AWAY})
    assert breaker.why is None
    breaker.judge({"a": NO_KEY})
    breaker.judge({"a": AWAY})
    assert breaker.why == NO_KEY


@given(st.lists(st.dictionaries(st.sampled_from("abcdef"), ANSWERS, min_size=1), max_size=8))
def test_in_a_pass_that_takes_nothing_at_most_one_run_is_given_up_by_temporals_word(
    passes: list[dict[str, Outcome]],
) -> None:
    breaker, given_up = DeliveryBreaker(), set[str]()
    for answers in passes:
        outcomes = breaker.judge(answers)
        assert outcomes.keys() == answers.keys()
        if any(answer is None or isinstance(answer, NotRunning) for answer in answers.values()):
            given_up.clear()
            assert outcomes == answers
            continue
        given_up |= {run for run, outcome in outcomes.items() if outcome == OF_ITS_OWN}
        assert len(given_up) <= 1
        assert all(outcomes[run] == UNREADABLE for run, answer in answers.items() if answer == UNREADABLE)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, MOST_RUNS)), max_size=30))
def test_the_brake_always_lets_one_through_and_never_more_than_a_pass_claims(seen: list[tuple[bool, int]]) -> None:
    brake = DeliveryBrake()
    for full, count in seen:
        brake.judge(
            {str(number): FULL if full and number == 0 else None for number in range(min(count, brake.allowance))}
        )
        assert 1 <= brake.allowance <= MOST_RUNS
        assert (brake.pause > 0) == full


@given(st.floats(0.001, 0.2), st.integers(30, 500))
def test_a_pass_is_short_where_calls_stand_in_line(call: float, waiting: int) -> None:
    brake, told = DeliveryBrake(), 0
    for _ in range(30):
        told = min(waiting, brake.allowance)
        brake.judge(dict.fromkeys(map(str, range(told))), [call * (place + 1) for place in range(told)])
    assert told * call <= 1.2 * LONGEST_PASS or told <= 3 * FEWEST_RUNS
    assert told == min(waiting, MOST_RUNS) or told * call > LONGEST_PASS / 8


@given(st.floats(0.001, 2.0), st.floats(0.0, 10.0), st.integers(30, 500))
def test_a_server_that_is_only_far_away_is_told_all_that_a_pass_claims(far: float, hitch: float, waiting: int) -> None:
    """One call of each pass is late, and before that everything was."""
    brake, told = DeliveryBrake(), 0
    brake.judge(dict.fromkeys(map(str, range(64))), [10.0 * place for place in range(64)])
    assert brake.allowance == FEWEST_RUNS
    for _ in range(10):
        told = min(waiting, brake.allowance)
        brake.judge(dict.fromkeys(map(str, range(told))), [*[far] * (told - 1), far + hitch])
    assert told == min(waiting, MOST_RUNS)
