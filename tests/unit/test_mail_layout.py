"""Mails in HTML: made of the same text, escaped, readable on dark screens and in every direction."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from content.mail_layout import LONGEST_PREHEADER, MailText, mail_html, preheader
from content.previews import TextPreview, previews
from content.settings import SHIPPED_TEMPLATES
from content.templates import Catalogue
from tests.support.examples import examples

PREVIEWS = [*previews(Catalogue.load(SHIPPED_TEMPLATES))]
BODY = """\
Hello Olena,

Your gift is under Bonuses: https://casino.example/bonuses?a=1&b=2. It asks nothing of you.

Three things:
- Look around.
- Choose limits: https://casino.example/limits

Stop these letters: https://casino.example/v1/unsubscribe/abc
"""


def page(body: str = BODY, **more: str | None) -> str:
    given = {"title": "A gift", "language": "en", "brand_name": "Northlight"} | more
    return mail_html(MailText(body=body, **given))  # type: ignore[arg-type]  # texts, all of them


class Reading(HTMLParser):
    """What a mail program makes of a page: the words it shows, the elements that are open, and the links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.elements: set[str] = set()
        self.unstyled: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.elements.add(tag)
        if tag not in {"meta", "br"}:
            self.open.append(tag)
        if tag in {"p", "a", "li", "ul", "td", "body"} and "style" not in given:
            self.unstyled.add(tag)
        if tag == "a":
            self.links.append(given["href"] or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & {*self.open}:
            self.words.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_words_of_the_text_are_the_words_of_the_page() -> None:
    read = Reading(page())
    for word in BODY.replace("- ", "").split():
        assert word.rstrip(".") in read.said
    assert read.open == []
    assert read.unstyled == set()


def test_links_lead_where_they_say_and_end_where_the_sentence_goes_on() -> None:
    assert Reading(page()).links == [
        "https://casino.example/bonuses?a=1&b=2",
        "https://casino.example/limits",
        "https://casino.example/v1/unsubscribe/abc",
    ]


def test_the_way_out_stands_below_smaller_and_is_a_link() -> None:
    out = "https://casino.example/v1/unsubscribe/abc"
    assert re.search(rf'<p class="small"[^>]*>[^<]*<a class="link" href="{out}"', page(unsubscribe_url=out))


def test_a_page_turns_dark_and_knows_its_direction() -> None:
    assert "prefers-color-scheme: dark" in page()
    assert '<html lang="he" dir="rtl">' in page(language="he")
    assert 'align="right"' in page(language="he")


def test_a_twin_takes_the_place_of_the_text_and_the_line_beside_the_subject_stays() -> None:
    shown = page(twin="<p>Drawn by hand</p>")
    assert "<p>Drawn by hand</p>" in shown
    assert "Look around" not in shown
    assert "Your gift is under Bonuses" in shown


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (BODY, "Your gift is under Bonuses: https://casino.example/bonuses?a=1&b=2. It asks nothing of you."),
        ("Hi.\n\nShort.", "Hi. Short."),
        ("Hello,\n\n" + "a word " * 40, "a word " * 15 + "a…"),
    ],
)
def test_the_line_beside_the_subject_is_the_first_that_says_something(body: str, line: str) -> None:
    assert preheader(body) == line
    assert len(preheader(body)) <= LONGEST_PREHEADER


@settings(max_examples=examples(50))
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=200), st.text(max_size=50))
def test_whatever_a_player_is_called_no_element_comes_of_it(text: str, name: str) -> None:
    shown = page(f"{text}\n\n<script>alert('{name}')</script> <img src=x onerror=1>")
    assert Reading(shown).elements <= {*Reading(page()).elements, "br"}


@pytest.mark.parametrize("shown", PREVIEWS, ids=lambda one: f"{one.template}.{one.channel}.{one.language}")
def test_every_shipped_text_has_a_preview_and_every_mail_a_page(shown: TextPreview) -> None:
    assert shown.text.body
    assert (shown.html is not None) == (shown.channel == "email")
    if shown.html is not None:
        read = Reading(shown.html)
        assert read.open == []
        assert all(word in read.said for word in shown.text.body.replace("- ", "").split() if "http" not in word)
