"""The kinds of task of the house: each can be read, answered and spoken in every language of the console."""

import re

import pytest

from api.console.form_fields import fields_of
from api.console.rendering import LANGUAGES, translations
from content.readable_names import words
from content.scripts import load_scripts
from content.settings import SHIPPED_SCRIPTS
from workflows.field_types import BRAND
from workflows.protection_forms import PROTECTION_FORMS
from workflows.source.journey_loading import load
from workflows.task_kinds import HOUSE_FORMS, TASK_KINDS, minutes_of
from workflows.task_rights import GIVEN

KINDS = pytest.mark.parametrize("name", TASK_KINDS)


def test_there_are_twenty_each_with_a_form_of_its_own() -> None:
    assert len(TASK_KINDS) == len(HOUSE_FORMS) == 20
    assert not HOUSE_FORMS.keys() & PROTECTION_FORMS.keys()


def test_no_journey_asks_a_form_of_the_same_name() -> None:
    asked = {form for forms in load(("workflows.journeys",)).forms.values() for form in forms}
    assert not asked & HOUSE_FORMS.keys(), "A script belongs to a form by its name."


@KINDS
def test_a_kind_can_be_shown_and_answered_in_a_browser(name: str) -> None:
    kind = TASK_KINDS[name]
    fields = fields_of(kind.form.model_json_schema())
    assert fields
    assert {field.kind for field in fields} <= {"choice", "yes_no", "long_text", "text", "money"}
    assert kind.question.endswith((".", "?"))
    assert re.fullmatch(GIVEN, kind.team)
    assert kind.due.total_seconds() > 0
    assert minutes_of(kind.form.__name__) == kind.minutes
    assert re.fullmatch(BRAND, name.replace("_", "-")), "It travels in addresses."


@KINDS
def test_a_kind_has_a_script_in_every_language(name: str) -> None:
    assert load_scripts(SHIPPED_SCRIPTS)[TASK_KINDS[name].form.__name__].keys() == set(LANGUAGES)


@pytest.mark.parametrize("language", [one for one in LANGUAGES if one != "en"])
@KINDS
def test_a_kind_speaks_the_language_of_its_reader(name: str, language: str) -> None:
    kind, told = TASK_KINDS[name], translations(language)
    said = [kind.question, words(kind.form.__name__)]
    for field in fields_of(kind.form.model_json_schema()):
        said += [words(field.name), *(words(str(option)) for option in field.options)]
    assert [one for one in said if told.gettext(one) == one] == []
