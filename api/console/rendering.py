"""How a page is made: templates, the words of the reader's language, times in their zone, what browsers may do."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache, lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

from babel.core import negotiate_locale
from babel.dates import format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.support import NullTranslations, Translations
from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from api.console.code_texts import (
    ACTIONS,
    ACTORS,
    IDS,
    SOURCES,
    TROUBLES,
    detail_name,
    detail_text,
    known,
    moment_in,
    nowhere_text,
    term_text,
)
from api.console.experiment_sentences import found_text
from api.console.figure_sentences import in_language
from api.console.happenings import happening, outcome_text, step_text
from api.console.measure_texts import measure_text, measured_text
from api.console.problem_texts import problem_text
from api.console.rule_texts import entry_text, goal_text, triggers_text
from api.console.speech import Speech
from api.console.task_reasons import task_reason
from api.console.visitor import Visitor
from api.problems import Problem
from content.readable_names import words
from workflows.local_time import known_zone

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"
ASSETS: Final = "/console-assets"
#: Languages the console speaks, the first where no other is wanted.
LANGUAGES: Final = ("en", "uk", "ru")

#: Nothing from elsewhere, nothing inline, in no frame; `{issuer}` is where signing out leads.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; "
    "form-action 'self'{issuer}; base-uri 'none'; frame-ancestors 'none'"
)


def render(request: Request, visitor: Visitor, name: str, *, status: int = 200, **given: object) -> HTMLResponse:
    """A page for somebody who is signed in."""
    language = language_of(request, visitor)
    context = {
        "visitor": visitor,
        "now": visitor.now,
        "zone": visitor.zone,
        "csrf": visitor.csrf,
        "brand": visitor.brand,
        "here": request.url.path,
        "query": request.url.query,
        "plain": False,
    }
    return _answer(request, name, language, context | given, status)


def if_changed(request: Request, answer: HTMLResponse, *, mark: str = "") -> Response:
    """The answer, or 304 where the browser has the same already, whatever `mark` its ETag began with."""
    digest = hashlib.sha256(answer.body).hexdigest()[:20]
    etag = f'"{mark}{digest}"'
    answer.headers["ETag"] = etag
    if request.headers.get("if-none-match", "").endswith(f'{digest}"'):
        return Response(status_code=304, headers={"ETag": etag})
    return answer


def plain_page(request: Request, what: str, *, status: int = 200, **given: object) -> HTMLResponse:
    """A page for anybody: it says one thing and shows nothing of ours."""
    defaults: dict[str, object] = {"detail": "", "name": "", "title": "", "what": what, "plain": True}
    language = language_of(request, getattr(request.state, "visitor", None))
    return _answer(request, "plain.html", language, defaults | given, status)


def problem_page(request: Request, problem: Problem) -> HTMLResponse:
    """A problem, as a page."""
    speech = speech_of(language_of(request, getattr(request.state, "visitor", None)))
    title, detail = speech.translated(problem.title), problem_text(str(problem.detail), speech)
    answer = plain_page(request, "problem", status=problem.status_code, title=title, detail=detail)
    answer.headers.update(problem.headers or {})
    return answer


def language_of(request: Request, visitor: Visitor | None) -> str:
    """The language of a page: the person's own, else what their browser asks for."""
    wanted = [visitor.person.locale] if visitor is not None and visitor.person.locale else []
    wanted += [part.partition(";")[0].strip() for part in request.headers.get("accept-language", "").split(",")]
    return negotiate_locale([one for one in wanted if one], LANGUAGES, sep="-") or LANGUAGES[0]


def path(*parts: object, **query: object) -> str:
    """An address of the console, each part escaped whole; of the query what is not None."""
    given = {name: value for name, value in query.items() if value is not None and value != ""}
    return f"/console/{'/'.join(quote(str(part), safe='') for part in parts)}" + (
        f"?{urlencode(given)}" if given else ""
    )


def _answer(request: Request, name: str, language: str, context: Mapping[str, object], status: int) -> HTMLResponse:
    settings = request.app.state.engine.settings
    body = _environment(language).get_template(name).render(language=language, **context)
    issuer = f" {settings.oidc_issuer}" if settings.oidc_issuer else ""
    headers = {"Content-Security-Policy": _POLICY.format(issuer=issuer)}
    return HTMLResponse(body, status, headers)


@lru_cache(maxsize=len(LANGUAGES))
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]  # of the extension
    environment.globals |= {"path": path, "asset": asset}
    environment.filters |= _filters(speech_of(language))
    return environment


def _filters(speech: Speech) -> dict[str, Callable[..., object]]:
    """What templates say in the language of the page; those of time ask the page for its moment as well."""
    return {
        "time": _time,
        "clock": _clock,
        "left": _left,
        "money": speech.money,
        "number": speech.number,
        "figure": _figure,
        "words": words,
        "code": speech.name,
        "reason": speech.reason,
        "channel": speech.channel,
        "reward": speech.reward,
        "subject": speech.subject,
        "event": speech.event,
        "day": speech.day,
        "happening": partial(happening, speech=speech),
        "step": partial(step_text, speech=speech),
        "outcome": partial(outcome_text, speech=speech),
        "measure": partial(measure_text, speech=speech),
        "measured": partial(measured_text, speech=speech),
        "sentence": partial(in_language, translated=speech.translated),
        "found": partial(found_text, speech=speech),
        "triggers": partial(triggers_text, speech=speech),
        "entry": partial(entry_text, speech=speech),
        "goal": partial(goal_text, speech=speech),
        "source": partial(known, texts=SOURCES, speech=speech),
        "trouble": partial(known, texts=TROUBLES, speech=speech),
        "act": partial(known, texts=ACTIONS, speech=speech),
        "actor": partial(known, texts=ACTORS, speech=speech),
        "problem": partial(problem_text, speech=speech),
        "task_reason": partial(task_reason, speech=speech),
        "nowhere": partial(nowhere_text, speech=speech),
        "terms": partial(_terms, speech=speech),
        "details": _details,
        # The catalogue calls its own header by the empty text.
        "translated": lambda text: speech.translated(text) if text else "",
    }


@cache
def translations(language: str) -> NullTranslations:
    """The words of a language, from its catalogue in `texts/`; English is what the templates say."""
    source = HERE / "texts" / f"{language}.po"
    if not source.exists():
        return NullTranslations()
    with source.open("rb") as file:
        catalogue = read_po(file, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


@cache
def speech_of(language: str) -> Speech:
    """How pages say things in a language."""
    texts = translations(language)
    return Speech(language, texts.gettext, texts.ngettext)


def asset(name: str) -> str:
    """The address of a file of ours."""
    return f"{ASSETS}/{name}"


# ---- filters: what depends on the reader ------------------------------------------------------------------------


@pass_context
def _time(context: Context, at: datetime | None, length: str = "short") -> Markup:
    """A moment in the reader's zone: today the clock, this year without the year."""
    if at is None:
        return Markup("&ndash;")
    zone, language = context["zone"], context["language"]
    local, today = at.astimezone(zone), context["now"].astimezone(zone).date()
    pattern = "HH:mm" if local.date() == today else "d MMM HH:mm" if local.year == today.year else "d MMM y HH:mm"
    if length == "long":
        pattern = "d MMM y HH:mm:ss"
    shown = format_datetime(local, pattern, locale=language)
    whole = format_datetime(local, "d MMMM y HH:mm:ss ZZZZ", locale=language)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at.isoformat(), whole, shown)


def _terms(reward: Mapping[str, object], currency: str | None, speech: Speech) -> str:
    """What a reward holds, in a line; its amounts are in the currency of the wallet it is for."""
    return ", ".join(filter(None, (term_text(name, value, currency, speech) for name, value in reward.items())))


@pass_context
def _details(context: Context, detail: Mapping[str, object]) -> Markup:
    """What a step tells besides what it came to, in a line."""
    speech = speech_of(context["language"])
    said = []
    for name, value in detail.items():
        if (moment := moment_in(name, value)) is not None:
            said.append(Markup("{}: {}").format(detail_name(name, speech), _time(context, moment)))
        elif name in IDS and value:
            said.append(Markup("{}: <code>{}</code>").format(detail_name(name, speech), value))
        elif value is not None and value != [] and not isinstance(value, Mapping):
            said.append(escape(detail_text(name, value, speech)))
    return Markup(", ").join(said)


@pass_context
def _clock(context: Context, zone: str | None) -> str:
    """What the clock says where the player is; nothing where nobody told."""
    known = known_zone(zone)
    return "" if known is None else f"{context['now'].astimezone(known):%H:%M}"


@pass_context
def _left(context: Context, until: datetime) -> str:
    """How long there is until a moment, in the largest unit; what is past says how long it is late."""
    gettext = context["gettext"]
    remaining = until - context["now"]
    late, amount = remaining < timedelta(0), abs(remaining)
    if amount < timedelta(hours=1):
        text = gettext(context, "%(n)s min", n=int(amount.total_seconds() // 60))
    elif amount < timedelta(days=2):
        text = gettext(context, "%(n)s h", n=int(amount.total_seconds() // 3600))
    else:
        text = gettext(context, "%(n)s days", n=amount.days)
    return str(gettext(context, "%(time)s late", time=text) if late else text)


@pass_context
def _figure(context: Context, value: float, unit: str) -> str:
    """A figure of people at work: a share, a number, or minutes, of which many are hours."""
    gettext = context["gettext"]
    if unit == "share":
        return str(format_percent(value, "#,##0.0 %", locale=context["language"]))
    if unit == "minutes" and value >= 120:
        hours = format_decimal(value / 60, "#,##0.0", locale=context["language"])
        return str(gettext(context, "%(n)s h", n=hours))
    whole = str(format_decimal(round(value), locale=context["language"]))
    return str(gettext(context, "%(n)s min", n=whole)) if unit == "minutes" else whole


def joined(*parts: object) -> Markup:
    """Parts in a row, each escaped, those that are empty left out."""
    return Markup(" ").join(escape(part) for part in parts if part)
