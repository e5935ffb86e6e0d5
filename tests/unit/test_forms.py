"""What of an answer travels to its run: choices as they are, a reference in place of what a person wrote."""

from datetime import date
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator

from workflows import Form
from workflows.events import Pii
from workflows.forms import text_referred_to, travelling
from workflows.journeys import vip_onboarding
from workflows.json_object import JsonObject

STEP = "ask:Verdict#2"


class Verdict(Form):
    """What do you think?"""

    outcome: Literal["yes", "no"]
    since: date | None = None
    code: str = ""
    note: Annotated[str, Pii()] = ""
    contact: Annotated[str | None, Pii()] = Field(default=None, alias="reach")


class Curious(Form):
    """What do you think, at length?"""

    outcome: Literal["yes", "no"]
    note: Annotated[str, Pii()] = ""

    @model_validator(mode="after")
    def _a_no_has_two_words(self) -> "Curious":
        if self.outcome == "no" and len(self.note.split()) < 2:
            raise ValueError("say in two words why")
        return self


@pytest.mark.parametrize(
    ("answer", "hears"),
    [
        ({"outcome": "yes"}, {"outcome": "yes"}),
        ({"outcome": "yes", "note": "", "reach": None}, {"outcome": "yes", "note": "", "reach": None}),
        (
            {"outcome": "no", "since": "2026-05-17", "code": "A7", "note": "Zoya called.", "reach": "zoya@example.com"},
            {
                "outcome": "no",
                "since": "2026-05-17",
                "code": "A7",
                "note": "text-of:ask:Verdict#2/note",
                "reach": "text-of:ask:Verdict#2/reach",
            },
        ),
    ],
)
def test_choices_travel_and_texts_stay_behind_a_reference(answer: JsonObject, hears: JsonObject) -> None:
    assert travelling(answer, Verdict, STEP) == hears
    assert Verdict.model_validate(hears).outcome == answer["outcome"]


def test_a_reference_says_which_text_it_stands_for() -> None:
    hears = travelling({"outcome": "yes", "note": "Zoya called."}, Verdict, STEP)
    assert text_referred_to(hears["note"]) == (STEP, "note")


@given(st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()))
def test_nothing_else_is_a_reference(value: object) -> None:
    assert text_referred_to(value) is None


def test_what_the_form_looks_into_travels_as_it_is() -> None:
    assert travelling({"outcome": "no", "note": "Too dear."}, Curious, STEP)["note"] == "Too dear."
    assert travelling({"outcome": "yes", "note": "Zoya"}, Curious, STEP)["note"] == "text-of:ask:Verdict#2/note"


def test_an_answer_to_a_journey_that_is_gone_travels_as_it_is() -> None:
    assert travelling({"note": "Zoya called."}, None, STEP) == {"note": "Zoya called."}


def test_no_shipped_form_lets_a_text_travel() -> None:
    forms = [kind for kind in vars(vip_onboarding).values() if isinstance(kind, type) and issubclass(kind, Form)]
    for form in forms:
        free = {name for name, field in form.model_fields.items() if field.annotation is str}
        assert free <= form.pii, f"{form.__name__} lets {free - form.pii} travel."
