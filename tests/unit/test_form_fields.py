"""The form of a task as fields, and the answer that comes back: whatever a form asks and whatever people type."""

from datetime import date
from typing import Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from api.console.form_fields import answer_of, fields_of, typed_of
from tests.support.examples import examples
from workflows import Form


class Everything(Form):
    """Something of each kind."""

    outcome: Literal["approve", "reject", "more_documents"]
    reached: bool
    times: int
    limit_minor: int
    day: date
    who: Annotated[str, Field(max_length=40)]
    note: str = ""
    later: date | None = None
    country: Literal["AT", "BE", "DE", "ES", "FR", "GB", "IT"] | None = None
    tags: list[str] = Field(default_factory=list)


FIELDS = fields_of(Everything.model_json_schema())
#: What somebody types who fills in everything that must be.
TYPED = {
    "answer.outcome": "approve",
    "answer.reached": "no",
    "answer.times": "3",
    "answer.limit_minor": "1 000,50",
    "answer.day": "2026-02-28",
    "answer.who": "Anna",
}
ANSWER = {
    "outcome": "approve",
    "reached": False,
    "times": 3,
    "limit_minor": 100_050,
    "day": "2026-02-28",
    "who": "Anna",
}


def test_each_kind_of_field_is_shown_as_people_fill_it_in() -> None:
    assert {field.name: field.kind for field in FIELDS} == {
        "outcome": "choice",
        "reached": "yes_no",
        "times": "integer",
        "limit_minor": "money",
        "day": "date",
        "who": "text",
        "note": "long_text",
        "later": "date",
        "country": "select",
        "tags": "unknown",
    }
    assert {field.name for field in FIELDS if field.required} == ANSWER.keys()


def test_what_must_be_chosen_comes_first() -> None:
    assert [field.name for field in FIELDS][:2] == ["outcome", "reached"]


def test_what_is_typed_becomes_an_answer_that_the_form_takes() -> None:
    answer, faults = answer_of(FIELDS, TYPED)
    assert (answer, faults) == (ANSWER, [])
    Everything.model_validate(answer)


def test_what_is_empty_and_optional_is_left_out_and_what_must_be_filled_in_is_told() -> None:
    answer, faults = answer_of(FIELDS, {"answer.note": "  ", "answer.later": ""})
    assert answer == {}
    assert {fault.name for fault in faults} == ANSWER.keys()


@pytest.mark.parametrize("typed", ["1e3", "12.5", "1,000", "ten", "--1", "9" * 19, "0x10"])
def test_what_is_no_whole_number_is_told(typed: str) -> None:
    _, faults = answer_of(FIELDS, TYPED | {"answer.times": typed})
    assert [fault.name for fault in faults] == ["times"]


@pytest.mark.parametrize(
    ("typed", "currency", "minor"),
    [
        *(("1000", "EUR", 100_000), ("1 000,50", "EUR", 100_050), ("1.000,50", "EUR", 100_050)),
        *(
            ("1,000.50", "EUR", 100_050),
            ("1'000.50", "CHF", 100_050),
            ("0,5", "EUR", 50),
            ("1.234.567", "EUR", 123_456_700),
        ),
        *(("1500", "JPY", 1_500), ("1.234", "KWD", 1_234), ("٣", "EUR", 300)),
    ],
)
def test_money_is_read_as_people_of_any_country_write_it(typed: str, currency: str, minor: int) -> None:
    answer, faults = answer_of(FIELDS, TYPED | {"answer.limit_minor": typed}, currency)
    assert faults == []
    assert answer["limit_minor"] == minor


@pytest.mark.parametrize(("typed", "currency"), [("1.000", "EUR"), ("1,000", "GBP"), ("0.001", "EUR"), ("1.5", "JPY")])
def test_money_that_may_mean_two_things_or_none_is_asked_again(typed: str, currency: str) -> None:
    _, faults = answer_of(FIELDS, TYPED | {"answer.limit_minor": typed}, currency)
    assert [fault.name for fault in faults] == ["limit_minor"]


def test_a_choice_that_was_not_offered_is_refused() -> None:
    _, faults = answer_of(FIELDS, TYPED | {"answer.outcome": "pay_them", "answer.reached": "maybe"})
    assert [fault.name for fault in faults] == ["outcome", "reached"]


def test_an_answer_is_shown_as_it_would_have_been_typed() -> None:
    typed = typed_of(FIELDS, ANSWER)
    assert typed["answer.reached"] == "no"
    assert typed["answer.outcome"] == "approve"


@given(st.dictionaries(st.sampled_from([field.key for field in FIELDS] + ["csrf", "version"]), st.text(max_size=30)))
@settings(max_examples=examples(50))
def test_whatever_is_typed_there_is_an_answer_or_a_sentence_for_each_field(typed: dict[str, str]) -> None:
    answer, faults = answer_of(FIELDS, typed)
    assert answer.keys().isdisjoint({fault.name for fault in faults})
    assert all(fault.detail.endswith((".", "?")) for fault in faults)
    assert ANSWER.keys() <= answer.keys() | {fault.name for fault in faults}
