"""A provider that hangs is left alone, and asked again by one attempt at a time."""

from datetime import timedelta
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from activities.providers.breaker import (
    FAILURES,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    LONGEST_WAIT,
    PROBE_LIMIT,
    Breaker,
    BreakerState,
    wait_for,
)
from tests.support.engine import HeldTimer
from workflows.channels import CHANNELS, ExternalChannel
from workflows.effect_queues import PROVIDERS, queue_of


def broken(time: HeldTimer) -> Breaker:
    breaker = Breaker("email", timer=time)
    for _ in range(FAILURES):
        assert breaker.pause() is None
        breaker.failed()
    return breaker


def is_open() -> float | None:
    return REGISTRY.get_sample_value("journeys_provider_open", {"provider": "email"})


def test_some_failures_in_a_row_leave_the_provider_alone() -> None:
    breaker = broken(HeldTimer())
    assert breaker.pause() == FIRST_PAUSE
    assert is_open() == 1


def test_an_answer_in_between_counts_them_anew() -> None:
    breaker = Breaker("email", timer=HeldTimer())
    for number in range(3 * FAILURES):
        breaker.failed()
        if number % 2:
            breaker.answered()
    assert breaker.pause() is None
    assert is_open() == 0


def test_after_the_pause_one_attempt_asks_for_all() -> None:
    time = HeldTimer()
    breaker = broken(time)
    time.now += FIRST_PAUSE.total_seconds()
    assert breaker.pause() is None
    assert breaker.pause() == PROBE_LIMIT
    breaker.answered()
    assert [breaker.pause() for _ in range(3)] == [None] * 3


def test_a_probe_that_fails_makes_the_pause_longer_and_never_endless() -> None:
    time = HeldTimer()
    breaker = broken(time)
    pauses = []
    for _ in range(8):
        left = breaker.left()
        assert left is not None
        pauses.append(left)
        time.now += left.total_seconds()
        assert breaker.pause() is None
        breaker.failed()
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE


def test_a_probe_that_was_cut_off_does_not_close_it_for_ever() -> None:
    time = HeldTimer()
    breaker = broken(time)
    time.now += FIRST_PAUSE.total_seconds()
    assert breaker.pause() is None
    time.now += PROBE_LIMIT.total_seconds()
    assert breaker.pause() is None


def test_calls_that_were_under_way_when_it_opened_say_nothing_new() -> None:
    breaker = broken(HeldTimer())
    for _ in range(20):
        breaker.failed()
    assert breaker.left() == FIRST_PAUSE


@given(st.lists(st.sampled_from(["call", "answered", "failed", "wait"]), max_size=60))
def test_whatever_happens_the_provider_is_asked_again_within_its_longest_pause(happenings: list[str]) -> None:
    time = HeldTimer()
    breaker = Breaker("email", timer=time)
    for happening in happenings:
        match happening:
            case "call":
                breaker.pause()
            case "answered":
                breaker.answered()
                assert breaker.state is BreakerState.CLOSED
            case "failed":
                breaker.failed()
            case _:
                time.now += 7
    time.now += max(LONGEST_PAUSE, PROBE_LIMIT).total_seconds()
    assert breaker.pause() is None


@given(st.floats(0, 60), st.integers(1, 100_000))
def test_an_effect_that_finds_it_open_comes_again_after_the_pause_and_soon_enough(seconds: float, attempt: int) -> None:
    pause = timedelta(seconds=seconds)
    assert pause <= wait_for(pause, attempt) <= 1.5 * max(pause, LONGEST_WAIT)


def test_every_way_out_of_the_house_has_a_queue_of_its_own() -> None:
    assert {spec.provider for spec in CHANNELS.values()} - {None} == set(get_args(ExternalChannel))
    queues = [queue_of("journeys", provider) for provider in (None, *PROVIDERS)]
    beside = ("email", "sms", "push", "whatsapp", "telegram", "viber", "bonus-engine")
    assert queues == ["journeys", *(f"journeys-{one}" for one in beside)]
