"""Bounds on what is read as JSON: each is named when it is broken, and asking costs little whatever the document."""

import json
import tracemalloc
from typing import Any

import pytest

from api.bounds import ITEM, LEEWAY, Bounds, batch_bounds
from api.json_types import find_unkept

SMALL = Bounds(size=100, nodes=10, depth=3, key=5)


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [None, "x" * 100, {}, [], [0] * 10, {"12345": {"a": 1}}, nested(3), {"a": "x" * 99}],
    ids=repr,
)
def test_what_keeps_every_bound_has_no_excess(value: object) -> None:
    assert SMALL.excess(value) is None


@pytest.mark.parametrize(
    ("value", "bound"),
    [
        ([0] * 11, "10 values"),
        ([[0] * 5, [0] * 5], "10 values"),
        (nested(4), "3 deep"),
        ({"a": {"b": {"c": {}}}}, "3 deep"),
        ({"123456": 1}, "5 characters"),
        ([{"a": {"123456": 1}}], "5 characters"),
        ("x" * 101, "100 bytes"),
        (["x" * 50, {"a": "x" * 50}], "100 bytes"),
    ],
)
def test_the_bound_that_is_broken_is_named(value: object, bound: str) -> None:
    assert bound in str(SMALL.excess(value))


def test_a_text_is_judged_before_it_is_parsed() -> None:
    assert ITEM.text_excess(json.dumps({"a": [1] * ITEM.nodes}).encode()) is None
    assert "bytes" in str(ITEM.text_excess(b" " * (ITEM.size + 1)))
    for tangled in (b"[" * (LEEWAY + 1), b"{" * (LEEWAY + 1), b"," * (LEEWAY + 1)):
        assert f"{LEEWAY} values" in str(ITEM.text_excess(tangled))


def test_long_prose_is_not_taken_for_many_values() -> None:
    prose = "Well, she called, we talked, and all is well. " * (ITEM.size // 50)
    assert ITEM.text_excess(json.dumps({"note": prose}).encode()) is None
    assert ITEM.excess({"note": prose}) is None


def test_a_batch_may_hold_what_its_items_may() -> None:
    bounds = batch_bounds(4 * 1024 * 1024, 1_000)
    event = {"id": "1", "source": "/cashier", "type": "t", "data": {f"field_{number}": number for number in range(30)}}
    assert bounds.text_excess(json.dumps([event] * 1_000).encode()) is None


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ("\x00", ""),
        ({"a": {"b/c": ["x", "\x00"]}}, "/a/b~1c/1"),
        ({"a": {"\x00": 1}}, "/a"),
        ([[], [{"~": "\x00"}]], "/1/0/~0"),
        ({"a": ["b"]}, None),
    ],
)
def test_a_nul_is_pointed_at(value: object, where: str | None) -> None:
    found = find_unkept(value)
    assert (found and found[0]) == where


def test_looking_for_a_nul_under_a_long_name_costs_no_more_than_under_a_short_one() -> None:
    value = {"k" * 100_000: [1] * 20_000}
    tracemalloc.start()
    try:
        assert find_unkept(value) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000
