"""The words of the console: every text a template says is there in every language, with the same holes."""

import re
from collections import Counter
from functools import cache

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from api.console.rendering import HERE, LANGUAGES, translations

OTHERS = [language for language in LANGUAGES if language != "en"]
HOLE = re.compile(r"%\((\w+)\)s")


@cache
def texts() -> frozenset[str | tuple[str, ...]]:
    """What the templates and the filters say, in English."""
    options = {"**.html": {"extensions": "jinja2.ext.i18n", "encoding": "utf-8"}}
    found = extract_from_dir(str(HERE / "templates"), method_map=[("**.html", "jinja2")], options_map=options)
    said = {text if isinstance(text, str) else tuple(text[:2]) for _, _, text, _, _ in found}
    filters = re.findall(r'gettext\(context, "([^"]+)"', (HERE / "rendering.py").read_text())
    return frozenset({*said, *filters})


def catalogue(language: str) -> Catalog:
    with (HERE / "texts" / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


def test_the_templates_are_really_read() -> None:
    assert len(texts()) > 200


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_is_there_in_every_language(language: str) -> None:
    known = catalogue(language)
    missing = [text for text in texts() if not (found := known.get(text)) or not found.string]
    assert missing == []


@pytest.mark.parametrize("language", OTHERS)
def test_no_text_stands_twice_in_a_catalogue(language: str) -> None:
    # Whoever reads a catalogue takes one of two without a word.
    named = re.findall(r'^msgid (".+")$', (HERE / "texts" / f"{language}.po").read_text(), re.MULTILINE)
    assert [text for text, times in Counter(named).items() if times > 1] == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_holes_of_its_text(language: str) -> None:
    for message in catalogue(language):
        if not message.id:
            continue
        asked = message.id if isinstance(message.id, str) else message.id[0]
        for form in [message.string] if isinstance(message.string, str) else message.string or ():
            assert set(HOLE.findall(form)) == set(HOLE.findall(asked)), form


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("uk", {1: "1 день", 2: "2 дні", 5: "5 днів", 21: "21 день", 0: "0 днів"}),
        ("ru", {1: "1 день", 2: "2 дня", 5: "5 дней", 21: "21 день", 0: "0 дней"}),
    ],
)
def test_numbers_are_declined(language: str, said: dict[int, str]) -> None:
    words = translations(language)
    for number, expected in said.items():
        assert words.ngettext("%(num)s day", "%(num)s days", number) % {"num": number} == expected


def test_no_number_is_written_past_the_language_of_the_page() -> None:
    # `format` writes 12.5 where Ukrainian and Russian have 12,5.
    said = {path.name: re.findall(r'"[^"]*%\.\df[^"]*" \| format', path.read_text()) for path in HERE.rglob("*.html")}
    assert {name: found for name, found in said.items() if found} == {}


def test_a_card_has_no_line_for_what_is_not_there() -> None:
    # A cell is left out of a card where it is empty, and with an element in it no cell is.
    wrapped = re.compile(r'<td data-label=[^>]*>\s*<(\w+)[^>]*>\{\{[^}]* or ""\s*\}\}</\1></td>')
    said = {path.name for path in HERE.rglob("*.html") if wrapped.search(path.read_text())}
    assert said == set()
