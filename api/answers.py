"""The answer link of a survey: one tap, no log-in."""

import hashlib
from collections.abc import Iterable
from html import escape
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response
from sqlalchemy import select

from activities.answer_links import AnswerLinks, SurveyLink
from activities.erased_texts import was_erased_since
from activities.tables import players
from api.dependencies import ApiEngine, EngineOf
from api.problems import documented, missing
from api.templates import catalogue_of
from api.unsubscribe import page
from content.survey_questions import SurveyQuestion, in_language
from workflows.events import FeedbackAnswered
from workflows.json_object import JsonObject

router = APIRouter(prefix="/v1/answers", tags=["answers"])

#: Under which source answers by a link are kept. Nobody posts under it.
SOURCE: Final = "api:answer"
_RESPONSES: dict[int | str, JsonObject] = {
    200: {"description": "A page for the player.", "content": {"text/html": {"schema": {"type": "string"}}}},
    **documented(400, 404, 413, 422, 503),
}
_THANKS: Final = {
    "en": "Thank you, that helps.",
    "ru": "Спасибо, это помогает.",
    "uk": "Дякуємо, це допомагає.",
}
_CLOSED: Final = {
    "en": "This question is closed. Thank you all the same.",
    "ru": "Этот опрос закрыт. Всё равно спасибо.",
    "uk": "Це опитування закрите. Однак дякуємо.",
}
Answer = Annotated[str, Path(pattern="^[a-z0-9_-]{1,64}$", description="One of those on the page.")]


@router.get("/{token}", response_class=Response, responses=_RESPONSES)
async def show_question(token: str, request: Request, engine: EngineOf) -> Response:
    """Ask. Reading the page answers nothing, because mail scanners open every link."""
    asked, question, language = await _asked(token, request, engine)
    if not asked.is_open(engine.clock()):
        return page(f"<p>{escape(in_language(_CLOSED, language))}</p>")
    return page(f"<p>{escape(question.words(language))}</p>{''.join(_buttons(token, question, language))}")


@router.post("/{token}/{answer}", response_class=Response, responses=_RESPONSES)
async def answer_question(token: str, answer: Answer, request: Request, engine: EngineOf) -> Response:
    """Answer once: of several answers to one question the first counts, and each is thanked for."""
    asked, question, language = await _asked(token, request, engine)
    now = engine.clock()
    said = question.read(answer)
    if said is None:
        raise missing("answer")
    async with engine.database.reading() as connection:
        forgotten = await was_erased_since(connection, asked.brand, asked.player_id, asked.asked_at)
    if forgotten or not asked.is_open(now):
        return page(f"<p>{escape(in_language(_CLOSED, language))}</p>")
    told = FeedbackAnswered.model_validate(
        {
            "event_id": hashlib.sha256(asked.question_id.encode()).hexdigest(),
            "event_source": SOURCE,
            "occurred_at": now,
            "survey_id": asked.template,
            "kind": question.kind,
            "subject_ref": asked.about,
            "question_id": asked.question_id,
            **said,
        }
    )
    await engine.intake.ingest(asked.brand, [(asked.player_id, told)], now)
    return page(f"<p>{escape(in_language(_THANKS, language))}</p>")


async def _asked(token: str, request: Request, engine: ApiEngine) -> tuple[SurveyLink, SurveyQuestion, str]:
    """Whom the link asks what, and in which language. Raises the `Problem` of a link that is none."""
    asked = AnswerLinks(engine.settings.link_secrets).read(token)
    catalogue = None if asked is None else await catalogue_of(request, engine)
    known = catalogue is not None and asked is not None and asked.template in catalogue
    question = catalogue[asked.template].question if known and catalogue and asked else None
    if asked is None or question is None:
        raise missing("link")
    async with engine.database.reading() as connection:
        mine = (players.c.brand == asked.brand, players.c.id == asked.player_id)
        told = await connection.execute(select(players.c.state["facts"]["language"].astext).where(*mine))
    return asked, question, told.scalar_one_or_none() or "en"


def _buttons(token: str, question: SurveyQuestion, language: str) -> Iterable[str]:
    for name, words in question.answers.items():
        action = escape(f"/v1/answers/{token}/{name}", quote=True)
        yield f'<form method="post" action="{action}"><button>{escape(in_language(words, language))}</button></form>'
