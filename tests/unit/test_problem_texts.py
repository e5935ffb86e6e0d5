"""What stands against something is told in the language of the page."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from api import task_actions
from api.console import rendering
from api.console.problem_texts import SENTENCES, problem_text
from api.console.rendering import LANGUAGES, speech_of, translations
from api.problems import KINDS, Problem, missing, undeclared
from workflows.task_rights import Signature, refusal

OTHERS = [language for language in LANGUAGES if language != "en"]
#: Kinds that only programs meet: a page never gets such an answer.
OF_PROGRAMS = {
    *("unauthenticated", "method", "if-match-required", "head-too-large", "wrong-channel", "not-lost", "shadowed"),
    *("enrolment-ended", "stop-ended", "migration-ended", "not-deployed", "unknown-step"),
}
#: Where somebody cannot sign in yet, whoever sets it up is told which settings are missing.
OF_OPERATORS = re.compile(r"OIDC_ISSUER|application/x-www-form-urlencoded")


def raised_in(path: Path) -> list[str]:
    """What the problems say that a module raises, each hole filled with a word."""
    told = []
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Name(id="Problem" | "away"), args=[*_, ast.Constant(value=str(text))]):
                told.append(text)
            case ast.Call(func=ast.Name(id="Problem"), args=[_, ast.JoinedStr(values=parts)]):
                told.append("".join(str(one.value) if isinstance(one, ast.Constant) else "word" for one in parts))
    return [text for text in told if " " in text and not OF_OPERATORS.search(text)]


def told() -> list[str]:
    """What people meet in the console."""
    found = [text for path in rendering.HERE.glob("*.py") for text in raised_in(path)]
    assert len(found) > 12, "They are really read."
    who: dict[str, Any] = {"name": "a@example.com", "signer_id": "p", "teams": [], "skills": []}
    for kind in ({}, {"teams": ["vip"]}, {"teams": None, "skills": ["aml"]}):
        for step in (None, "ask:Review#1"):
            signed = [Signature("p", "a@example.com", step=step)]
            refused = refusal("vip", "aml", **(who | kind), signatures=signed)
            assert refused is not None
            found += [refused.sentence, f"{refused.sentence} It can be answered by b@example.com, c@example.com."]
    found += [one.detail for one in (missing("task"), missing("person in this brand"))]
    found.append(undeclared("journey", "welcom", ["welcome"]).detail)
    found.append(undeclared("journey", "x", []).detail)
    return [*map(str, found), *(text for text in raised_in(Path(task_actions.__file__)) if text[:4] == "The ")]


@pytest.mark.parametrize("language", OTHERS)
def test_no_refusal_stays_in_english(language: str) -> None:
    speech = speech_of(language)
    assert [one for one in told() if problem_text(one, speech) == one] == []
    assert [one for one in SENTENCES.values() if speech.translated(one) == one] == []


@pytest.mark.parametrize("language", OTHERS)
def test_every_problem_that_a_page_may_show_has_a_title(language: str) -> None:
    translated = translations(language).gettext
    assert {kind for kind, (_, title) in KINDS.items() if translated(title) == title} <= OF_PROGRAMS


def test_in_english_it_is_as_the_api_says_it_and_what_is_not_known_stays() -> None:
    assert [problem_text(one, speech_of("en")) for one in told()] == told()
    assert problem_text(str(Problem("invalid", "Something new.").detail), speech_of("uk")) == "Something new."
