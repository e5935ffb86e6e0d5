"""Who comes with wrong keys again and again is told late; nobody is remembered for ever."""

from api import key_lookup
from api.key_lookup import DELAY, FREE_FAILURES, LONGEST_DELAY, FailedKeys


class HeldTimer:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_first_refusals_are_told_at_once_and_those_beyond_them_late() -> None:
    failures = FailedKeys(HeldTimer())
    assert {failures.delay("192.0.2.1") for _ in range(FREE_FAILURES)} == {0.0}
    assert [failures.delay("192.0.2.1") for _ in range(3)] == [DELAY, 2 * DELAY, 3 * DELAY]
    assert max(failures.delay("192.0.2.1") for _ in range(1_000)) == LONGEST_DELAY
    assert failures.delay("192.0.2.2") == 0.0


def test_an_address_is_forgiven_as_time_goes_by() -> None:
    timer = HeldTimer()
    failures = FailedKeys(timer)
    for _ in range(1_000):
        failures.delay("192.0.2.1")
    timer.now += 10
    assert 0 < failures.delay("192.0.2.1") < LONGEST_DELAY
    timer.now += FREE_FAILURES
    assert failures.delay("192.0.2.1") == 0.0


def test_all_addresses_of_an_ipv6_network_are_one_caller() -> None:
    failures = FailedKeys(HeldTimer())
    for host in range(FREE_FAILURES):
        failures.delay(f"2001:db8::{host:x}")
    assert failures.delay("2001:db8::ffff") == DELAY
    assert failures.delay("2001:db8:0:1::ffff") == 0.0


def test_a_caller_without_an_address_is_one_of_those_without_an_address() -> None:
    failures = FailedKeys(HeldTimer())
    for address in ("", "a socket") * (FREE_FAILURES // 2):
        assert failures.delay(address) == 0.0
    assert failures.delay(None) == DELAY


def test_no_more_addresses_are_remembered_than_there_is_room_for() -> None:
    failures = FailedKeys(HeldTimer())
    for number in range(key_lookup.MOST + 100):
        failures.delay(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(failures._levels) == key_lookup.MOST
