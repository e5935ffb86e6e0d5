"""A worker's collector of garbage: settled objects are walked only when the process has grown."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from activities.gc_tuning import LOOKS, MARGIN, NEVER, SettledHeap, resident_bytes

MIB = 2**20


class Circle:
    """What only a collector frees."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_a_circle_that_had_settled_is_found_when_the_process_has_grown_and_not_before() -> None:
    memory = [100 * MIB]
    heap = SettledHeap(lambda: memory[0])
    heap.begin()
    circle = Circle()
    left = weakref.ref(circle)
    heap.look()
    del circle
    heap.look()
    assert left() is not None, "It had settled, and nothing has grown."
    memory[0] += 25 * MIB + MARGIN + 1
    heap.look()
    assert left() is None
    settled = Circle()
    left = weakref.ref(settled)
    heap.look()
    del settled
    heap.look()
    assert left() is not None, "The process has not grown again."


def test_and_it_is_found_within_the_hour_although_nothing_grows() -> None:
    heap = SettledHeap(lambda: 100 * MIB)
    heap.begin()
    circle = Circle()
    left = weakref.ref(circle)
    heap.look()
    del circle
    for _ in range(LOOKS):
        heap.look()
    assert left() is None


def test_a_young_circle_is_found_at_once() -> None:
    heap = SettledHeap(lambda: 100 * MIB)
    heap.begin()
    left = weakref.ref(Circle())
    heap.look()
    assert left() is None


def test_python_itself_walks_everything_no_more() -> None:
    SettledHeap(lambda: 100 * MIB).begin()
    assert gc.get_threshold()[2] in {NEVER, 0}, "Of Python 3.14 there is no third."


def test_where_nobody_knows_the_memory_everything_stays_as_it_was() -> None:
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()
    heap = SettledHeap(lambda: None)
    heap.begin()
    heap.look()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (thresholds, frozen)


def test_this_process_has_some_memory() -> None:
    resident = resident_bytes()
    assert resident is None or resident > 10 * MIB
