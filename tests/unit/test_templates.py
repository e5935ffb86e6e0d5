# ruff: noqa: RUF001 - Russian and Ukrainian letters are meant
"""Message templates are checked when they are loaded and render in the player's language."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.previews import preview
from content.templates import (
    Catalogue,
    TemplateTooLong,
    TemplateUnknown,
    TemplateVariableInvalid,
    TemplateVariableMissing,
)
from workflows.channels import Channel

SHIPPED = Path(__file__).parent.parent.parent / "templates"
CATALOGUE = Catalogue.load(SHIPPED)
TEXTS = [
    pytest.param(name, channel, language, id=f"{name}-{channel}-{language}")
    for name in CATALOGUE
    for channel in CATALOGUE[name].channels
    for language in ("en", "ru", "uk")
]


def barest(name: str, channel: Channel) -> dict[str, object]:
    """The example without everything that has words to fall back on or may go unsaid."""
    template = CATALOGUE[name]
    return {k: v for k, v in template.example.items() if k in template.required(channel)}


def declared(kind: str, text: str, folder: Path) -> Catalogue:
    """A catalogue whose only template says `text` of a variable `x`, the same in each language."""
    template = folder / "one"
    template.mkdir()
    (template / "template.toml").write_text(
        f'class = "service"\nchannels = ["sms"]\n[variables]\nx = {{ type = "{kind}" }}\n'
        f"[example]\nx = {EXAMPLES[kind]}\n",
        encoding="utf-8",
    )
    for language in ("en", "ru", "uk"):
        (template / f"sms.{language}.j2").write_text(f"{{% block body %}}{text}{{% endblock %}}", encoding="utf-8")
    return Catalogue.load(folder)


EXAMPLES = {
    "money": '[500, "EUR"]',
    "percent": "50",
    "number": "1",
    "date": "2026-07-05",
    "datetime": "2026-07-05T18:00:00Z",
    "text": '"a"',
    "url": '"https://a.example"',
}


# ---- what is shipped ------------------------------------------------------------------------------------------


def test_every_message_the_journeys_send_is_there_with_its_class_and_channels() -> None:
    assert {name: (CATALOGUE[name].message_class, set(CATALOGUE[name].channels)) for name in CATALOGUE} == {
        "welcome": ("service", {"email", "in_app"}),
        "verify-email": ("service", {"email"}),
        "guide": ("marketing", {"email"}),
        "comeback-sms": ("marketing", {"sms"}),
        "deposit-thanks": ("service", {"email", "in_app"}),
        "reload-offer": ("marketing", {"email", "push", "in_app"}),
        "favourite-tip": ("marketing", {"email", "in_app"}),
        "mission-for-you": ("marketing", {"email", "in_app"}),
        "wheel-turn": ("marketing", {"in_app", "push"}),
        "double-points": ("marketing", {"in_app", "push"}),
        "last-call": ("marketing", {"email", "in_app"}),
        "tier-gold": ("service", {"email", "in_app", "push"}),
        "content-news": ("marketing", {"email", "push"}),
        "spins-offer": ("marketing", {"email", "push", "in_app"}),
        "other-channel": ("marketing", {"sms", "push"}),
        "final-offer": ("marketing", {"email", "sms"}),
        "vip-letter": ("service", {"email"}),
        "vip-declined": ("service", {"email"}),
        "deposit-help": ("service", {"in_app", "push"}),
        "deposit-help-email": ("service", {"email"}),
        "limit-info": ("rg", {"in_app", "email"}),
        "account-at-rest": ("service", {"email"}),
        "big-win": ("service", {"in_app"}),
        "cashier-help": ("service", {"in_app", "push"}),
        "fault-note": ("service", {"in_app", "email"}),
        "first-deposit-last-day": ("marketing", {"sms", "in_app"}),
        "first-deposit-offer": ("marketing", {"email", "in_app"}),
        "how-to-deposit": ("marketing", {"in_app", "push"}),
        "kyc-checklist": ("service", {"in_app", "email"}),
        "kyc-last-days": ("service", {"email", "in_app"}),
        "kyc-reminder": ("service", {"email", "in_app"}),
        "kyc-resubmit": ("service", {"email", "in_app"}),
        "kyc-thanks": ("service", {"in_app", "email"}),
        "loss-back-ready": ("marketing", {"in_app", "email"}),
        "loss-back-reminder": ("service", {"in_app"}),
        "new-in-your-kind": ("marketing", {"in_app", "email"}),
        "nps": ("survey", {"in_app", "email"}),
        **dict.fromkeys(("recommend", "reward-thumb"), ("survey", {"in_app", "email", "push"})),
        "occasion-gift": ("marketing", {"in_app", "email"}),
        "occasion-points": ("marketing", {"in_app", "email"}),
        "occasion-greeting": ("marketing", {"in_app", "email"}),
        "quick-question": ("survey", {"in_app"}),
        "review-ask": ("survey", {"in_app"}),
        "safer-play": ("rg", {"in_app", "email"}),
        "still-interested": ("marketing", {"email", "push"}),
        "what-stopped-you": ("survey", {"in_app", "email"}),
        "withdrawal-delayed": ("service", {"email", "in_app"}),
        "withdrawal-on-its-way": ("service", {"in_app", "push"}),
        "withdrawal-paid": ("service", {"email", "in_app"}),
        "withdrawal-received": ("service", {"in_app", "email"}),
        "withdrawal-rejected": ("service", {"email", "in_app"}),
    }


@pytest.mark.parametrize(("name", "channel", "language"), TEXTS)
def test_a_shipped_text_renders_whole(name: str, channel: Channel, language: str) -> None:
    for variables in (CATALOGUE[name].example, barest(name, channel)):
        rendered = CATALOGUE.render(name, channel, language, variables)
        assert rendered.language == language
        assert rendered.body
        assert bool(rendered.title) == (channel != "sms")
        for text in (rendered.title, rendered.body):
            assert not re.search(r"\{\{|\{%|%\}|\}\}|None|Undefined|Money\(", text)
            assert not re.search(r"  | [,.;:!?]| \n|\n\n\n", text), "a gap where something was left out"


@pytest.mark.parametrize(("name", "channel", "language"), TEXTS)
def test_a_shipped_text_is_written_in_its_own_language(name: str, channel: Channel, language: str) -> None:
    rendered = CATALOGUE.render(name, channel, language, barest(name, channel))
    text = f"{rendered.title} {rendered.body}"
    foreign = {"en": "[а-яёіїєґ]", "ru": "[іїєґ]", "uk": "[ыэъё]"}[language]
    assert not re.search(foreign, text, re.IGNORECASE)
    if language != "en":
        assert len(re.findall("[а-яёіїєґ]", text, re.IGNORECASE)) > 20


@pytest.mark.parametrize(("name", "channel", "language"), TEXTS)
def test_marketing_shows_the_way_out_and_an_offer_its_terms(name: str, channel: Channel, language: str) -> None:
    template = CATALOGUE[name]
    body = CATALOGUE.render(name, channel, language, template.example).body
    if template.message_class == "marketing" and channel in {"email", "sms"}:
        assert template.example["unsubscribe_url"] in body
    assert (template.example.get("terms", "no terms") in body) == template.terms


def test_only_marketing_carries_an_offer_and_only_marketing_is_held_back_from_the_active() -> None:
    assert {name for name in CATALOGUE if CATALOGUE[name].terms} == {
        "reload-offer",
        "last-call",
        "spins-offer",
        "final-offer",
        "first-deposit-last-day",
        "first-deposit-offer",
        "loss-back-ready",
        "occasion-gift",
        "occasion-points",
        "mission-for-you",
        "wheel-turn",
        "double-points",
    }
    assert {name for name in CATALOGUE if CATALOGUE[name].suppress_if_active_today} == {
        "comeback-sms",
        "content-news",
        "double-points",
        "spins-offer",
        "other-channel",
        "final-offer",
        "still-interested",
    }
    assert {CATALOGUE[name].message_class for name in CATALOGUE if CATALOGUE[name].terms} == {"marketing"}


@pytest.mark.parametrize(("name", "channel", "language"), [t for t in TEXTS if "sms" in str(t.id)])
def test_a_shipped_sms_is_three_parts_at_most(name: str, channel: Channel, language: str) -> None:
    body = CATALOGUE.render(name, channel, language, CATALOGUE[name].example).body
    assert len(body) <= (459 if body.isascii() else 201)


def test_the_guide_speaks_of_the_players_favourite_game() -> None:
    titles = {
        about: CATALOGUE.render("guide", "email", "en", {**CATALOGUE["guide"].example, "about": about}).title
        for about in ("slot", "table", "live", "crash", "bingo", "lottery", "poker", "virtual", None, "new-thing")
    }
    assert titles["slot"].startswith("Slots")
    assert len(set(titles.values())) == 9
    assert titles[None] == titles["new-thing"]


def test_the_guide_gives_three_tips_for_every_category_in_every_language() -> None:
    for language in ("en", "ru", "uk"):
        for about in ("slot", "table", "live", "crash", "bingo", "lottery", "poker", "virtual", None):
            body = CATALOGUE.render("guide", "email", language, {**CATALOGUE["guide"].example, "about": about}).body
            assert len(re.findall("^- ", body, re.MULTILINE)) == 3


# ---- names and languages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Anna", "Anne-Marie", "O’Brien", "Олена", "Мар'яна", "अनन्या", "J. R.", "Ли"])
def test_a_player_is_greeted_by_name(name: str) -> None:
    rendered = CATALOGUE.render("welcome", "email", "en", {"first_name": name, "brand_name": "B"})
    assert rendered.body.startswith(f"Hello, {name}!")


@pytest.mark.parametrize(
    "name",
    [None, "", "  ", "[FIRST_NAME]", "null", "N/A", "http://evil.example", "evil.example", "x" * 41, "{{ key }}", "7"],
)
def test_what_is_no_name_is_left_unsaid(name: str | None) -> None:
    for language, greeting in (("en", "Hello!"), ("ru", "Здравствуйте!"), ("uk", "Вітаємо!")):
        rendered = CATALOGUE.render("welcome", "email", language, {"first_name": name, "brand_name": "B"})
        assert rendered.body.startswith(greeting + "\n")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("uk", "uk"),
        ("uk-UA", "uk"),
        ("ru_RU", "ru"),
        ("RU", "ru"),
        ("en-GB", "en"),
        ("de", "en"),
        ("pt-BR", "en"),
        ("", "en"),
        ("no such tag!", "en"),
    ],
)
def test_the_text_is_in_the_language_else_its_base_else_english(wanted: str, found: str) -> None:
    assert CATALOGUE.render("welcome", "in_app", wanted, CATALOGUE["welcome"].example).language == found


# ---- money, numbers, times ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("money", "language", "written"),
    [
        ([123450, "EUR"], "en", "€1,234.50"),
        ([123450, "EUR"], "ru", "1 234,50 €"),
        ([123450, "UAH"], "uk", "1 234,50 ₴"),
        ({"minor": 500, "currency": "USD"}, "en", "$5.00"),
        ([1234, "JPY"], "en", "¥1,234"),
        ([1234, "KWD"], "en", "KWD1.234"),
        ([10000, "RSD"], "en", "RSD100"),
        ([10050, "RSD"], "en", "RSD100.50"),
        ([-500, "EUR"], "en", "-€5.00"),
        (750, "en", "£7.50"),
    ],
)
def test_money_is_written_as_the_language_writes_it(money: object, language: str, written: str, tmp_path: Path) -> None:
    catalogue = declared("money", "{{ x | money }}", tmp_path)
    body = catalogue.render("one", "sms", language, {"x": money}, currency="GBP").body
    assert re.sub(r"\s", " ", body) == written


@pytest.mark.parametrize(
    ("language", "written"),
    [
        ("en", {1: "1 free spin", 2: "2 free spins", 5: "5 free spins", 21: "21 free spins"}),
        (
            "ru",
            {
                1: "1 бесплатное вращение",
                2: "2 бесплатных вращения",
                5: "5 бесплатных вращений",
                11: "11 бесплатных вращений",
                21: "21 бесплатное вращение",
                111: "111 бесплатных вращений",
            },
        ),
        (
            "uk",
            {
                1: "1 безкоштовне обертання",
                3: "3 безкоштовні обертання",
                5: "5 безкоштовних обертань",
                12: "12 безкоштовних обертань",
                22: "22 безкоштовні обертання",
            },
        ),
    ],
)
def test_spins_are_counted_as_the_language_counts(language: str, written: dict[int, str]) -> None:
    example = CATALOGUE["spins-offer"].example
    for spins, words in written.items():
        assert words in CATALOGUE.render("spins-offer", "email", language, {**example, "spins": spins}).title


def test_a_fraction_takes_the_form_it_is_declined_with(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "template.toml").write_text(
        'class = "service"\nchannels = ["sms"]\nvariables.x.type = "number"\nexample.x = 1.5', encoding="utf-8"
    )
    words = {"en": 'one="hour", other="hours"'} | dict.fromkeys(("ru", "uk"), 'one="час", few="часа", many="часов"')
    for language, forms in words.items():
        text = f"{{% block body %}}{{{{ x | plural({forms}) }}}}{{% endblock %}}"
        (tmp_path / "one" / f"sms.{language}.j2").write_text(text, encoding="utf-8")
    catalogue = Catalogue.load(tmp_path)
    assert catalogue.render("one", "sms", "en", {"x": 1.5}).body == "1.5 hours"
    assert catalogue.render("one", "sms", "ru", {"x": 1.5}).body == "1,5 часа"


@pytest.mark.parametrize(
    ("language", "spins", "words"),
    [
        ("en", 1.0, "1 free spin"),
        ("en", Decimal("1.00"), "1 free spin"),
        ("en", 10 / 2, "5 free spins"),
        ("ru", 5.0, "5 бесплатных вращений"),
        ("uk", 1.0, "1 безкоштовне обертання"),
        ("en", Decimal("1e2"), "100 free spins"),
    ],
)
def test_a_number_is_counted_as_it_is_written_whatever_it_was_reckoned_with(
    language: str, spins: object, words: str
) -> None:
    example = CATALOGUE["spins-offer"].example
    title = CATALOGUE.render("spins-offer", "email", language, {**example, "spins": spins}).title
    assert re.search(rf"\b{words}\b", title)


@pytest.mark.parametrize(("kind", "written"), [("number", "1"), ("percent", "1%"), ("money", "£0.01")])
def test_a_float_that_is_whole_is_written_whole(kind: str, written: str, tmp_path: Path) -> None:
    catalogue = declared(kind, f"{{{{ x | {kind} }}}}", tmp_path)
    assert catalogue.render("one", "sms", "en", {"x": 1.0}, currency="GBP").body == written


@pytest.mark.parametrize("kind", ["number", "percent", "money"])
@pytest.mark.parametrize("value", [10**24, 10**28, 10**5_000, 1e300, Decimal("1e999999")], ids=range(5))
def test_a_sum_too_long_to_be_written_is_refused_and_never_an_error_of_arithmetic(
    kind: str, value: object, tmp_path: Path
) -> None:
    catalogue = declared(kind, f"{{{{ x | {kind} }}}}", tmp_path)
    with pytest.raises(TemplateVariableInvalid):
        catalogue.render("one", "sms", "en", {"x": value}, currency="GBP")


@pytest.mark.parametrize("language", ["en", "ru", "uk"])
@pytest.mark.parametrize("value", [10**24 - 1, 1 - 10**24, 1e-300, 0.1 + 0.2, Decimal("1e-30"), Decimal(1) / 3])
def test_whatever_is_not_refused_can_be_written(language: str, value: Any, tmp_path: Path) -> None:
    for kind in ("number", "percent"):
        (tmp_path / kind).mkdir()
        catalogue = declared(kind, f"{{{{ x | {kind} }}}}", tmp_path / kind)
        assert catalogue.render("one", "sms", language, {"x": value}).body


@pytest.mark.parametrize(
    ("kind", "value", "language", "written"),
    [
        ("percent", 50, "en", "50%"),
        ("percent", 12.5, "ru", "12,5 %"),
        ("number", 12345.5, "uk", "12 345,5"),
        ("date", "2026-07-05", "en", "July 5, 2026"),
        ("date", date(2026, 7, 5), "en-GB", "5 July 2026"),
        ("date", "2026-07-05", "ru", "5 июля 2026 г."),
        ("date", "2026-07-05", "uk", "5 липня 2026 р."),
        ("datetime", "2026-07-05T22:30:00Z", "ru", "6 июля 2026 г., 01:30"),
        ("datetime", datetime(2026, 7, 5, 22, 30, tzinfo=UTC), "en", "July 6, 2026, 1:30 AM"),
    ],
)
def test_numbers_and_times_are_written_as_the_player_reads_them(
    kind: str, value: object, language: str, written: str, tmp_path: Path
) -> None:
    catalogue = declared(kind, f"{{{{ x | {kind} }}}}", tmp_path)
    body = catalogue.render("one", "sms", language, {"x": value}, zone=ZoneInfo("Europe/Kyiv")).body
    assert re.sub(r"\s", " ", body) == written


# ---- what is refused before anything is sent ------------------------------------------------------------------


@pytest.mark.parametrize("absent", [{}, {"cap": None}, {"cap": ""}])
def test_a_variable_that_was_not_given_is_named_with_its_template(absent: dict[str, object]) -> None:
    given = {**CATALOGUE["reload-offer"].example}
    del given["cap"]
    with pytest.raises(TemplateVariableMissing) as caught:
        CATALOGUE.render("reload-offer", "email", "en", given | absent)
    assert (caught.value.template, caught.value.variable) == ("reload-offer", "cap")
    assert "reload-offer needs the variable cap" in str(caught.value)


def test_a_channel_asks_only_for_what_it_says() -> None:
    given = {**CATALOGUE["reload-offer"].example}
    del given["unsubscribe_url"]
    assert CATALOGUE.render("reload-offer", "push", "en", given).body
    with pytest.raises(TemplateVariableMissing, match="unsubscribe_url"):
        CATALOGUE.render("reload-offer", "email", "en", given)
    assert CATALOGUE["reload-offer"].required("push") == {"percent", "cap", "valid_hours"}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("money", 77.5),
        ("money", 77),
        ("money", [5.5, "EUR"]),
        ("money", [True, "EUR"]),
        ("money", [77, "euro"]),
        ("money", {"minor": 77}),
        ("number", "5"),
        ("number", True),
        ("number", float("nan")),
        ("percent", "50%"),
        ("date", "tomorrow"),
        ("date", datetime(2026, 7, 5, tzinfo=UTC)),
        ("datetime", "2026-07-06T18:00:00"),
        ("datetime", "0001-01-01T00:00:00+14:00"),
        ("datetime", "9999-12-31T23:59:59-14:00"),
        ("text", 5),
        ("text", "x" * 2001),
        ("url", "javascript:alert(1)"),
        ("url", "https://a.example/\r\nBcc: all@b.example"),
        ("url", "//a.example"),
        ("url", "http://[a.example"),
        ("url", "https://a.example/ b"),
    ],
)
def test_a_value_of_another_type_is_refused_without_being_repeated(kind: str, value: object, tmp_path: Path) -> None:
    filtered = f" | {kind}" if kind not in {"text", "url"} else ""
    catalogue = declared(kind, f"{{{{ x{filtered} }}}}", tmp_path)
    with pytest.raises(TemplateVariableInvalid, match="variable x of the template one must be") as caught:
        catalogue.render("one", "sms", "en", {"x": value})
    assert re.search(r"must be (text|money|at most|an? )", str(caught.value))
    assert str(value) not in str(caught.value).partition("must be")[2]


def test_a_text_longer_than_its_channel_carries_is_refused(tmp_path: Path) -> None:
    catalogue = declared("text", "{{ x }}", tmp_path)
    with pytest.raises(TemplateTooLong, match="sms text of one"):
        catalogue.render("one", "sms", "en", {"x": "x" * 671})


def test_an_unknown_template_or_channel_is_named() -> None:
    with pytest.raises(TemplateUnknown, match="no template goodbye"):
        CATALOGUE.render("goodbye", "email", "en", {})
    with pytest.raises(TemplateUnknown, match="welcome has no sms text; it has email, in_app"):
        CATALOGUE.render("welcome", "sms", "en", CATALOGUE["welcome"].example)


@given(brand=st.text(max_size=100).filter(lambda text: bool(text.strip())))
def test_no_variable_breaks_a_title_into_lines(brand: str) -> None:
    try:
        rendered = CATALOGUE.render("welcome", "email", "en", {"brand_name": brand})
    except TemplateVariableMissing:
        return
    assert len(rendered.title.splitlines()) == 1


def test_a_twin_in_html_is_escaped_and_its_page_says_language_and_direction(tmp_path: Path) -> None:
    template = tmp_path / "letter"
    template.mkdir()
    (template / "template.toml").write_text(
        'class = "service"\nchannels = ["email"]\nvariables.who.type = "text"\nexample.who = "Ann"', encoding="utf-8"
    )
    for language in ("en", "ru", "uk", "he"):
        text = "{% block subject %}Hi{% endblock %}{% block body %}Hi {{ who }}{% endblock %}"
        (template / f"email.{language}.j2").write_text(text, encoding="utf-8")
        html = "{% block body %}<p>{{ who ~ '' }}</p>{% endblock %}"
        (template / f"email.{language}.html.j2").write_text(html, encoding="utf-8")
    catalogue = Catalogue.load(tmp_path)
    rendered = catalogue.render("letter", "email", "en", {"who": "<b>Tom & Ann</b>"})
    assert rendered.body == "Hi <b>Tom & Ann</b>"
    assert rendered.html == "<p>&lt;b&gt;Tom &amp; Ann&lt;/b&gt;</p>"
    to_the_left = catalogue.render("letter", "email", "he-IL", {"who": "Ann"})
    assert to_the_left.html == "<p>Ann</p>"
    page = preview(catalogue, "letter", "email", "he-IL").html
    assert page is not None
    assert '<html lang="he" dir="rtl">' in page
    assert "<p>Ann</p>" in page


# ---- directories and the designer's check ---------------------------------------------------------------------


def test_what_journeys_name_is_checked() -> None:
    assert CATALOGUE.check({"welcome": {"email", "in_app"}, "other-channel": {"sms"}}) == []
    problems = CATALOGUE.check({"welcom": {"email"}, "welcome": {"email", "push", "sms"}})
    assert [problem.partition(";")[0] for problem in problems] == [
        "A journey sends the template welcom, which does not exist",
        "A journey sends the template welcome via push, which it has no text for",
        "A journey sends the template welcome via sms, which it has no text for",
    ]
