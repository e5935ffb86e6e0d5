"""A mistake in a template is found when the process starts, and so is a way out of the sandbox."""

from collections.abc import Callable
from pathlib import Path

import pytest
from jinja2.exceptions import SecurityError, TemplateError

from content.template_files import sandbox
from content.templates import Catalogue, CatalogueInvalid

SHIPPED = Path(__file__).parent.parent.parent / "templates"

GOOD_TOML = """
class = "service"
channels = ["sms"]

[variables]
who = { type = "text", optional = true }
spins = { type = "number" }

[example]
who = "Ann"
spins = 3
"""
GOOD_TEXTS = {
    "en": "{% block body %}{% if who %}{{ who }}, {% endif %}"
    '{{ spins | plural(one="spin", other="spins") }}{% endblock %}',
    "ru": "{% block body %}{% if who %}{{ who }}, {% endif %}"
    '{{ spins | plural(one="вращение", few="вращения", many="вращений") }}{% endblock %}',
    "uk": "{% block body %}{% if who %}{{ who }}, {% endif %}"
    '{{ spins | plural(one="обертання", few="обертання", many="обертань") }}{% endblock %}',
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with one good template, `hello`."""
    hello = tmp_path / "hello"
    hello.mkdir()
    (hello / "template.toml").write_text(GOOD_TOML, encoding="utf-8")
    for language, text in GOOD_TEXTS.items():
        (hello / f"sms.{language}.j2").write_text(text, encoding="utf-8")
    return tmp_path


# ---- mistakes found at start-up -------------------------------------------------------------------------------


def replace(old: str, new: str, file: str = "template.toml") -> Callable[[Path], None]:
    def edit(hello: Path) -> None:
        path = hello / file
        assert old in path.read_text(encoding="utf-8")
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")

    return edit


def write(text: str, file: str) -> Callable[[Path], None]:
    def edit(hello: Path) -> None:
        (hello / file).write_text(text, encoding="utf-8")

    return edit


def say(text: str, file: str = "sms.en.j2") -> Callable[[Path], None]:
    return write(f"{{% block body %}}{text}{{% endblock %}}", file)


MISTAKES: dict[str, tuple[Callable[[Path], None], str]] = {
    "language missing": (lambda hello: (hello / "sms.uk.j2").unlink(), r"hello/sms\.uk\.j2: is missing; write it"),
    "toml missing": (lambda hello: (hello / "template.toml").unlink(), r"hello/template\.toml: is missing"),
    "no toml": (replace("[example]", "[example"), r"hello/template\.toml: is not TOML .* correct it"),
    "unknown class": (replace('"service"', '"spam"'), r"hello/template\.toml: class: Input should be 'service', "),
    "unknown channel": (replace('["sms"]', '["fax"]'), r"hello/template\.toml: channels\.0: Input should be"),
    "unknown key": (replace("channels", "terns = true\nchannels"), r"hello/template\.toml: terns: Extra inputs"),
    "unknown type": (replace('"number"', '"count"'), r"hello/template\.toml: variables\.spins\.type: Input should be"),
    "stray file": (
        write("x", "notes.txt"),
        r"hello/notes\.txt: is no template file; name it",
    ),
    "file of another channel": (
        write("x", "push.en.j2"),
        r"hello/push\.en\.j2: belongs to no declared channel; add push",
    ),
    "syntax": (say("{{ spins | }}"), r"hello/sms\.en\.j2, line 1: .*; correct the syntax"),
    "toml too deep": (
        replace("[example]", "deep = " + "[" * 2_000 + "]" * 2_000 + "\n[example]"),
        r"hello/template\.toml: is not TOML \(it is nested more than 32 deep\)",
    ),
    "expression too deep": (
        say("{{ " + "(" * 2_000 + "spins" + ")" * 2_000 + " }}"),
        r"hello/sms\.en\.j2: is nested more than 32 deep; write it flatter",
    ),
    "statements too deep": (
        say("{% if spins %}" * 101 + "{% endif %}" * 101),
        r"hello/sms\.en\.j2: is nested more than 32 deep; write it flatter",
    ),
    "undeclared": (say("{{ spinz }}"), r"\{\{ spinz \}\} is not declared; add it to \[variables\]"),
    "undeclared in a condition": (say("{% if spinz %}x{% endif %}"), r"\{\{ spinz \}\} is not declared"),
    "may be absent": (say("Hi {{ who }}"), r"\{\{ who \}\} may be absent; print it inside \{% if who %\}"),
    "may be absent in else": (
        say("{% if who %}{% else %}{{ who }}{% endif %}"),
        r"\{\{ who \}\} may be absent; print it inside",
    ),
    "printed raw": (say("{{ spins }}"), r"\{\{ spins \}\} is a number printed raw; write it as \{\{ spins \| number"),
    "wrong filter": (say("{{ spins | money }}"), r"the filter money writes money, but spins is declared as number"),
    "unknown filter": (say("{{ who | upper }}"), r"the filter upper does not exist; the filters are date, "),
    "plural form missing": (
        say('{{ spins | plural(one="вращение", other="вращений") }}', "sms.ru.j2"),
        r"hello/sms\.ru\.j2, line 1: the filter plural takes few, many, one in ru, but is given one, other",
    ),
    "plural form twice": (
        say('{{ spins | plural(one="spin", other="spins", other="turns") }}'),
        r"hello/sms\.en\.j2, line 1: the filter plural is given one of its forms twice; write each once",
    ),
    "number of too many digits": (
        say("{% if spins == " + "9" * 5_000 + " %}x{% endif %}"),
        r"hello/sms\.en\.j2: holds a number too large to be read; write a smaller one",
    ),
    "number beyond all": (
        say("{% if spins < 1e999 %}x{% endif %}"),
        r"hello/sms\.en\.j2, line 1: holds a number too large to be read; write a smaller one",
    ),
    "fact left out": (say("hello", "sms.uk.j2"), r"hello/sms\.uk\.j2: does not say spins, which sms\.en\.j2 does"),
    "no block": (
        write("hello", "sms.en.j2"),
        r"hello/sms\.en\.j2, line 1: text stands outside the blocks; move it into one",
    ),
    "wrong block": (
        replace("block body", "block text", "sms.en.j2"),
        r"hello/sms\.en\.j2: must have the blocks body, no more and no fewer",
    ),
    "unused variable": (
        replace("[variables]", '[variables]\nextra = { type = "url" }'),
        r"hello/template\.toml: no text uses extra; use it or take it out",
    ),
    "example missing": (replace("spins = 3", ""), r"hello/template\.toml: \[example\] lacks spins"),
    "example wrong": (replace("spins = 3", 'spins = "three"'), r"hello/sms\.en\.j2: its example fails\. The variable"),
    "fallback in one language": (
        replace("optional = true", 'fallback = { en = "friend" }'),
        r"hello/template\.toml: who lacks a fallback in ru, uk; write one for each language",
    ),
    "fallback and optional": (
        replace("optional = true", 'optional = true, fallback = { en = "a", ru = "b", uk = "c" }'),
        r"hello/template\.toml: who is optional and has a fallback; choose one",
    ),
    "fallback of another type": (
        replace(
            'spins = { type = "number" }', 'spins = { type = "number", fallback = { en = "1", ru = "1", uk = "1" } }'
        ),
        r"hello/template\.toml: the fallback of spins must be a number",
    ),
    "offer without terms": (
        replace("channels", "terms = true\nchannels"),
        r"hello/sms\.en\.j2: carries an offer but not \{\{ terms \}\}; add them",
    ),
    "marketing without a way out": (
        replace('"service"', '"marketing"'),
        r"hello/sms\.en\.j2: is marketing without \{\{ unsubscribe_url \}\}; add the way out",
    ),
    "offer in a protective message": (
        replace('"service"\n', '"rg"\nterms = true\n'),
        r"hello/template\.toml: a message of class rg never carries an offer; drop terms",
    ),
    "name without a fallback": (
        replace("who = ", 'first_name = { type = "name" }\nwho = '),
        r"hello/template\.toml: first_name must be optional or have a fallback",
    ),
    "include of nothing": (say('{% include "_shared/no.j2" %}'), r"include names _shared/no\.j2, which does not exist"),
    "include of another template": (say('{% include "hello/sms.ru.j2" %}'), r"include may only name a shared piece"),
}


@pytest.mark.parametrize(("mistake", "sentence"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_at_start_up_with_its_mend(
    mistake: Callable[[Path], None], sentence: str, folder: Path
) -> None:
    Catalogue.load(folder)
    mistake(folder / "hello")
    with pytest.raises(CatalogueInvalid, match=sentence):
        Catalogue.load(folder)


def test_all_mistakes_are_told_at_once(folder: Path) -> None:
    (folder / "hello" / "sms.uk.j2").unlink()
    (folder / "Bad Name").mkdir()
    with pytest.raises(CatalogueInvalid) as caught:
        Catalogue.load(folder)
    assert len(caught.value.problems) == 3
    assert all(problem.endswith(".") for problem in caught.value.problems)


def test_a_directory_without_templates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueInvalid, match="There are no templates"):
        Catalogue.load(tmp_path)
    with pytest.raises(CatalogueInvalid, match="is no directory"):
        Catalogue.load(tmp_path / "nowhere")


ESCAPES = [
    "{{ ''.__class__.__mro__ }}",
    "{{ who.__class__ }}",
    "{{ who['__class__'] }}",
    "{{ '{0.__class__}'.format(who) }}",
    "{{ ['{0.__class__}']|map('format', who)|list }}",
    "{% set f = '{0.__class__}'.format %}{{ f(who) }}",
    "{{ (who|attr('format'))(who) }}",
    "{{ '{0.__class__}'|attr('format')(who) }}",
    "{{ self }}",
    "{{ self.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ lipsum }}",
    "{{ namespace() }}",
    "{{ range(10**9)|join }}",
    "{{ 'x' * 10**9 }}",
    "{% for i in range(9) %}{{ i }}{% endfor %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% extends '_shared/x.j2' %}",
    "{% import 'hello/sms.en.j2' as x %}",
    "{% include who %}",
    "{% include ['_shared/x.j2', who] %}",
    "{{ _manner }}",
    "{{ who if who is defined else 1 }}",
    "{% filter upper %}x{% endfilter %}",
    "{% block inner %}{% endblock %}",
]


@pytest.mark.parametrize("source", ESCAPES)
def test_a_way_out_of_the_sandbox_is_refused_when_the_template_is_loaded(source: str, folder: Path) -> None:
    say(source)(folder / "hello")
    with pytest.raises(CatalogueInvalid, match=r"hello/sms\.en\.j2"):
        Catalogue.load(folder)


@pytest.mark.parametrize(
    "source",
    [
        "{{ '{0.__class__.__mro__}'.format(who) }}",
        "{% set f = '{0.__class__.__mro__}'.format %}{{ f(who) }}",
        "{{ who.__class__ }}",
        "{{ who['__class__'] }}",
        "{{ things.append(1) }}",
    ],
)
def test_the_sandbox_itself_refuses_what_the_first_wall_might_let_through(source: str) -> None:
    with pytest.raises(SecurityError):
        sandbox().from_string(source).render(who="Ann", things=[])


@pytest.mark.parametrize(
    "source",
    ["{{ '{0.__class__}'|attr('format') }}", "{{ ['{0}']|map('format', 1)|list }}", "{{ lipsum() }}", "{{ range(9) }}"],
)
def test_the_sandbox_has_no_filters_and_globals_but_ours(source: str) -> None:
    with pytest.raises(TemplateError):
        sandbox().from_string(source).render()


# ---- languages and directories -------------------------------------------------------------------------------


def test_a_further_language_may_be_added_and_must_be_complete(folder: Path) -> None:
    (folder / "hello" / "sms.de.j2").write_text(GOOD_TEXTS["en"].replace('"spin', '"Spin'), encoding="utf-8")
    assert Catalogue.load(folder).render("hello", "sms", "de-AT", {"spins": 2}).body == "2 Spins"
    toml = folder / "hello" / "template.toml"
    toml.write_text(GOOD_TOML.replace('["sms"]', '["sms", "in_app"]'), encoding="utf-8")
    for language, text in GOOD_TEXTS.items():
        (folder / "hello" / f"in_app.{language}.j2").write_text("{% block title %}a{% endblock %}" + text, "utf-8")
    with pytest.raises(CatalogueInvalid, match=r"hello/in_app\.de\.j2: is missing"):
        Catalogue.load(folder)


def test_an_operators_directory_comes_before_the_shipped_one(folder: Path) -> None:
    (folder / "_shared").mkdir()
    (folder / "_shared" / "greeting.en.j2").write_text("Good day!", encoding="utf-8")
    catalogue = Catalogue.load(folder, SHIPPED)
    assert set(catalogue.names) == {"hello", *Catalogue.load(SHIPPED).names}
    welcome = catalogue.render("welcome", "email", "en", {"brand_name": "B"}).body
    assert welcome.startswith("Good day!\n\nYour account is open")
    assert catalogue.render("welcome", "email", "ru", {"brand_name": "B"}).body.startswith("Здравствуйте!")

    (folder / "hello").rename(folder / "welcome")
    replaced = Catalogue.load(folder, SHIPPED)
    assert replaced["welcome"].channels == ("sms",)
