"""An answer is held against its form in little time and space, whatever is in it, and its faults do not repeat it."""

import re
import time
from decimal import Decimal
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from activities.run_delivery.deliveries import MOST_BYTES
from api.form_validation import faults_of
from api.task_actions import ANSWER_LIMIT, Completion
from local.slowness import slowness
from workflows.forms import Form, backtracking_patterns
from workflows.json_object import JsonObject
from workflows.run_protocol import Delivery, DeliveryBatch

INNOCENT = r"^(a+)+$"
LONG = "a" * 30_000 + "!"


class Choice(Form):
    """Which one?"""

    outcome: Literal["approve", "reject"]
    code: Annotated[str, Field(pattern=INNOCENT)] = "a"
    marks: set[int | str] = Field(default_factory=set)
    by_code: dict[Annotated[str, Field(pattern=INNOCENT)], int] = Field(default_factory=dict)
    amount: Decimal = Decimal(0)


SCHEMA = Choice.model_json_schema()


@pytest.mark.parametrize(
    ("answer", "places"),
    [
        ({"outcome": "approve", "code": "aaa", "marks": [1, "1"], "by_code": {"aa": 1}, "amount": "1.50"}, []),
        ({"outcome": "approve", "code": LONG}, ["/answer/code"]),
        ({"outcome": "approve", "by_code": {LONG: 1}}, ["/answer/by_code/aaa"]),
        ({"outcome": "approve", "amount": "0" * 60_000 + "x"}, ["/answer/amount"]),
        ({"outcome": "approve", "marks": [*range(5_000), *map(str, range(5_000)), 0]}, ["/answer/marks"]),
        ({"outcome": "approve", "marks": [[]] * 15_000}, ["/answer/marks"]),
        ({f"field{number}": number for number in range(5_000)}, ["/answer"]),
        ({"outcome": LONG}, ["/answer/outcome"]),
    ],
)
@pytest.mark.parametrize("form", [Choice, None], ids=["deployed", "gone"])
def test_a_fault_is_found_at_once_and_told_briefly(
    answer: JsonObject, places: list[str], form: type[Form] | None
) -> None:
    began = time.thread_time()
    faults = faults_of(answer, SCHEMA, form)
    assert time.thread_time() - began < 2 * slowness()
    if form is not None:
        assert bool(faults) is bool(places)
        for place in places:
            assert any(fault["pointer"].startswith(place) for fault in faults), faults
    assert sum(len(part) for fault in faults for part in fault.values()) < 10_000


def test_a_pattern_is_held_against_an_answer_of_a_journey_that_is_gone() -> None:
    (fault,) = faults_of({"outcome": "approve", "code": "b"}, SCHEMA, None)
    assert fault == {"pointer": "/answer/code", "detail": "This does not match '^(a+)+$'."}


def test_a_fault_does_not_repeat_what_was_answered() -> None:
    faults = faults_of({"outcome": "Zoya Petrenko", "code": {"Zoya": "Petrenko"}}, SCHEMA, Choice)
    assert [fault["pointer"] for fault in faults] == ["/answer/code", "/answer/outcome"]
    assert faults[1]["detail"] == "This is not one of ['approve', 'reject']."
    assert "Zoya" not in str(faults)


class Compiled(Form):
    """Which one?"""

    code: Annotated[str, Field(pattern=re.compile(INNOCENT))]


class Configured(Form):
    """Which one?"""

    model_config = ConfigDict(regex_engine="python-re")
    code: Annotated[str, Field(pattern=INNOCENT)]


class Part(BaseModel):
    model_config = ConfigDict(regex_engine="python-re")
    code: Annotated[str, Field(pattern=INNOCENT)]


class Nested(Form):
    """Which ones?"""

    parts: list[Part] | None = None


@pytest.mark.parametrize(
    ("form", "found"), [(Choice, []), (Compiled, [INNOCENT]), (Configured, [INNOCENT]), (Nested, [INNOCENT])]
)
def test_a_pattern_that_would_be_run_with_backtracking_is_found(form: type[Form], found: list[str]) -> None:
    assert list(backtracking_patterns(form)) == found


@pytest.mark.parametrize("letter", ["x", "é", "\x01", '"', "🙂"])
def test_an_answer_of_the_longest_fits_what_travels_to_a_run(letter: str) -> None:
    longest = max(size for size in range(0, ANSWER_LIMIT, 64) if _taken({"note": letter * size}))
    answer: JsonObject = {"note": letter * longest}
    batch = DeliveryBatch(items=[Delivery(seq=1, kind="answer", step="ask:Choice#1", answer=answer)])
    assert len(batch.model_dump_json().encode()) < ANSWER_LIMIT + 1_000 < MOST_BYTES / 10


def _taken(answer: JsonObject) -> bool:
    try:
        Completion(answer=answer)
    except ValueError:
        return False
    return True
