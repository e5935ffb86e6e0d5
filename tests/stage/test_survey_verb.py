"""`player.survey` on the stage: asked once, answered once, never of who has just lost or complained."""

from typing import Any

import pytest

from activities.engine import load_deployment
from activities.settings import settings_from
from stage.testing.rehearsal import Rehearsal, Rehearse, player
from tests.support.outside_packages import Write, mistakes
from workflows import (
    Answer,
    DepositApproved,
    FeedbackAnswered,
    NoAnswer,
    Player,
    RoundCompleted,
    SupportCaseOpened,
    always,
    days,
    hours,
    journey,
    on,
)
from workflows.errors import DesignError


@journey(on(DepositApproved), entry=always, ends_after=days(9), control=0)
async def asks(player: Player, _: DepositApproved) -> None:
    """Asks twice, on two days."""
    first = await player.survey("reward-thumb", about="free_spins", within=days(2))
    await player.mark("first", liked=first.liked if isinstance(first, Answer) else None, why=_why(first))
    await player.refresh()
    await player.mark("known", liked=player.liked("free_spins"), other=player.liked("cashback"))
    await player.sleep(days(1) + hours(1))
    second = await player.survey("recommend", via=["email"], fallback=["in_app"], within=days(1))
    await player.mark("second", score=second.score if isinstance(second, Answer) else None, why=_why(second))


def _why(answer: Answer | NoAnswer) -> str | None:
    return None if answer else answer.reason  # type: ignore[union-attr]


def marked(run: Rehearsal, name: str) -> dict[str, Any]:
    return next(dict(line.detail) for line in run.world.story if line.step == f"mark:{name}#1")


async def test_an_answer_is_heard_kept_and_known_afterwards(rehearse: Rehearse) -> None:
    run = await rehearse(asks, trigger=DepositApproved)
    assert run.sent_via == [("reward-thumb", "in_app")]
    await run.player_answers("thumb", score=1)
    assert marked(run, "first") == {"liked": True, "why": None}
    assert marked(run, "known") == {"liked": True, "other": None}


async def test_only_the_answer_to_its_own_question_counts(rehearse: Rehearse) -> None:
    run = await rehearse(asks, trigger=DepositApproved)
    await run.happens(FeedbackAnswered, kind="thumb", score=1)
    await run.happens(FeedbackAnswered, kind="thumb", score=1, question_id="of/another")
    await run.advance(days(2) + hours(1))
    assert marked(run, "first") == {"liked": None, "why": "no_answer"}


async def test_a_mark_of_zero_is_an_answer(rehearse: Rehearse) -> None:
    run = await rehearse(asks, trigger=DepositApproved)
    await run.player_answers("thumb", score=0)
    assert marked(run, "known") == {"liked": False, "other": None}
    await run.advance(days(1) + hours(2))
    await run.player_answers("nps", score=0)
    assert marked(run, "second") == {"score": 0, "why": None}


@pytest.mark.parametrize(
    ("happened", "data"),
    [(RoundCompleted, {"stake_minor": 500, "win_minor": 0}), (SupportCaseOpened, {"topic": "complaint"})],
)
async def test_nobody_is_asked_after_a_loss_or_a_complaint(rehearse: Rehearse, happened: Any, data: Any) -> None:
    run = await rehearse(asks, begins=False)
    await run.happens(happened, **data)
    await run.advance(days(2))
    await run.happens(DepositApproved)
    await run.advance(hours(1))
    assert (run.sent, marked(run, "first")) == ([], {"liked": None, "why": "sore"})


async def test_who_has_won_meanwhile_is_asked(rehearse: Rehearse) -> None:
    run = await rehearse(asks, begins=False)
    await run.happens(RoundCompleted, stake_minor=500, win_minor=0)
    await run.happens(RoundCompleted, stake_minor=500, win_minor=2000)
    await run.happens(DepositApproved)
    assert run.sent == ["reward-thumb"]


async def test_who_did_not_agree_is_not_asked_and_the_journey_goes_on(rehearse: Rehearse) -> None:
    run = await rehearse(asks, player(opted_in=[]), trigger=DepositApproved)
    await run.advance(days(2))
    assert marked(run, "second")["why"] == "no_consent"


SURVEYS = """
from workflows import DepositApproved, Player, days, journey, on, once

@journey(on(DepositApproved), entry=once, ends_after=days(9), control=0)
async def asks(player: Player, deposit: DepositApproved) -> None:
    \"\"\"Asks.\"\"\"
    {call}
"""


def test_a_survey_without_an_end_is_refused(package: Write) -> None:
    assert mistakes(package(asks=SURVEYS.format(call='await player.survey("reward-thumb")'))) == [
        "Journey asks, line 7: player.survey(...) waits without an end; add within=, such as within=days(1)."
    ]


@pytest.mark.parametrize(
    ("call", "mend"),
    [
        ('await player.survey("nps", within=days(1))', "nps asks nothing; use player.send"),
        ('await player.send("recommend", via=["in_app"])', "recommend asks something; use player.survey"),
    ],
)
def test_what_asks_is_asked_and_what_tells_is_sent(package: Write, call: str, mend: str) -> None:
    name = package(asks=SURVEYS.format(call=call))
    given = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "JOURNEYS": name, "SHIPPED_JOURNEYS": "none"}
    with pytest.raises(DesignError, match=mend):
        load_deployment(settings_from(given))
