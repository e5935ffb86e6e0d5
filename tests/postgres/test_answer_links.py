"""The link of a survey: in the message, as a page that asks, and as one tap that answers."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from activities.answer_links import OPEN_FOR, AnswerLinks, SurveyLink
from activities.tables import events, messages, players
from tests.support.api_client import Api, serving
from tests.support.engine import Effects, done, effects, rows
from workflows.effects import Question, Send, SendResult
from workflows.events import PlayerRegistered

STEP = "survey:reward-thumb#1"


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url, public_url="https://crm.example") as parts:
        yield parts


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, journeys="tests.support.api_journeys") as application:
        yield application


async def asked_in(parts: Effects, player: str, **more: Any) -> tuple[SendResult, str]:
    run = await parts.enters(player)
    now = parts.casino.clock.now
    question = Question(about="free_spins")
    given = {"template": "reward-thumb", "via": ["in_app"], "survey": question, "asked_at": now, **more}
    result = done(await parts.messages.send(parts.given(Send, run, STEP, **given)))
    return result, run


async def test_the_message_carries_a_link_that_says_what_it_answers(shared: Effects) -> None:
    with shared.for_one_test():
        player = shared.casino.player()
        await shared.casino.registers(player)
        result, run = await asked_in(shared, player)
        assert result.sent == ["in_app"]
        (row,) = await rows(shared.database, messages, run_id=run)
        (token,) = re.findall(r"https://crm\.example/v1/answers/(\S+)", row["body"])
        read = AnswerLinks(shared.messages.settings.link_secrets).read(token)
        assert read is not None
        assert (read.player_id, read.question_id, read.about) == (player, f"{run}/{STEP}", "free_spins")
        assert read.is_open(shared.casino.clock.now + OPEN_FOR)
        assert not read.is_open(shared.casino.clock.now + OPEN_FOR + timedelta(seconds=1))


class Asking:
    """A player of an API's brand who was asked something."""

    def __init__(self, api: Api, player: str, template: str) -> None:
        self.api, self.player = api, player
        until = int((api.engine.clock() + OPEN_FOR).timestamp())
        self.asked = SurveyLink(
            api.brand, player, f"j:{api.brand}:{player}:1/survey:x#1", template, "free_spins", until
        )

    def path(self, **other: Any) -> str:
        token = AnswerLinks(self.api.engine.settings.link_secrets).token(self.asked._replace(**other))
        return f"/v1/answers/{token}"

    async def answered(self) -> list[dict[str, Any]]:
        kept = await rows(self.api.engine.database, events, brand=self.api.brand, type="feedback.answered")
        return [row["data"] for row in kept if row["player_id"] == self.player]


async def asking(api: Api, template: str = "reward-thumb") -> Asking:
    now = api.engine.clock()
    known = PlayerRegistered.example().model_copy(update={"event_id": template, "occurred_at": now, "language": "uk"})
    await api.engine.intake.ingest(api.brand, [("p-1", known)], now)
    return Asking(api, "p-1", template)


async def test_looking_asks_and_one_tap_answers_once(api: Api) -> None:
    asked = await asking(api)
    page = await api.anonymous.get(asked.path())
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "Чи сподобалася вам нагорода?" in page.text
    assert re.findall(r'action="(/v1/answers/[^"]+/[01])"', page.text) == [f"{asked.path()}/{n}" for n in (1, 0)]
    assert await asked.answered() == []
    for answer in ("1", "1", "0"):
        thanked = await api.anonymous.post(f"{asked.path()}/{answer}")
        assert (thanked.status_code, "Дякуємо" in thanked.text) == (200, True)
    assert await asked.answered() == [
        {
            "survey_id": "reward-thumb",
            "kind": "thumb",
            "score": 1,
            "subject_ref": "free_spins",
            "question_id": asked.asked.question_id,
        }
    ]
    (row,) = await rows(api.engine.database, players, brand=api.brand, id="p-1")
    assert row["state"]["facts"]["liked:free_spins"] is True


@pytest.mark.parametrize("answer", ["2", "up", "slots"])
async def test_what_was_not_offered_is_no_answer(api: Api, answer: str) -> None:
    asked = await asking(api)
    assert (await api.anonymous.post(f"{asked.path()}/{answer}")).status_code == 404
    assert await asked.answered() == []


async def test_every_mark_is_an_answer(api: Api) -> None:
    asked = await asking(api, "recommend")
    assert (await api.anonymous.get(asked.path())).text.count("<form") == 11
    assert (await api.anonymous.post(f"{asked.path()}/10")).status_code == 200
    assert [one["score"] for one in await asked.answered()] == [10]


async def test_a_question_closes(api: Api) -> None:
    asked = await asking(api)
    late = asked.path(until=int(api.engine.clock().timestamp()) - 1)
    for answer in (await api.anonymous.get(late), await api.anonymous.post(f"{late}/1")):
        assert (answer.status_code, "закрите" in answer.text, "<form" in answer.text) == (200, True, False)
    assert await asked.answered() == []


async def test_no_other_link_leads_anywhere(api: Api) -> None:
    asked = await asking(api)
    for forged in ("/v1/answers/x", asked.path()[:-3] + "abc", "/v1/answers/é", asked.path(template="welcome")):
        assert (await api.anonymous.get(forged)).status_code == 404
        assert (await api.anonymous.post(f"{forged}/1")).status_code == 404
    assert await asked.answered() == []
