"""Surveys: what a template may ask, who is not asked, what is known afterwards, and the link to answer by."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.answer_links import AnswerLinks, SurveyLink
from content.survey_questions import ANSWERS, SurveyQuestion, question_mistakes
from tests.support.gate import FREE, HOUSE, NOON, message, reason
from workflows import FeedbackAnswered, RoundCompleted, SupportCaseOpened, days
from workflows.events import BetPlaced, BetSettled, Event, RoundVoided
from workflows.gate.decide import may_send
from workflows.gate.reasons import Reason
from workflows.player_state.likings import LIKED, MOST, liked_by
from workflows.player_state.ordering import Word
from workflows.player_state.projection import PlayerProjection
from workflows.rules.failures import RuleFailure
from workflows.rules.measures import Present
from workflows.rules.series import Series
from workflows.rules.sore_players import SORE_MEASURES, soreness
from workflows.verb_results import Answer, NoAnswer

WORDS = {"en": "Which?", "ru": "Что?", "uk": "Що?"}
SECRETS = ("a secret of twenty-four bytes", "another one of twenty-four bytes")


class TestWhatATemplateAsks:
    @pytest.mark.parametrize("kind", ["thumb", "yes_no", "nps"])
    def test_a_kind_has_its_own_answers_and_reads_no_other(self, kind: Any) -> None:
        question = SurveyQuestion(kind, WORDS, {})
        assert list(question_mistakes(question, "survey", ("en", "ru", "uk"))) == []
        for name in ANSWERS[kind]:
            assert question.read(name) == {"score": int(name)}
        assert question.read("11") is None
        assert question.read("") is None

    def test_a_choice_is_of_those_offered(self) -> None:
        question = SurveyQuestion("choice", WORDS, {"slots": WORDS, "tables": WORDS})
        assert list(question_mistakes(question, "survey", ("en", "ru", "uk"))) == []
        assert question.read("slots") == {"choice": "slots"}
        assert question.read("bingo") is None

    @pytest.mark.parametrize(
        ("question", "mistake"),
        [
            (SurveyQuestion("thumb", {"en": "Well?"}, {}), "lacks the question itself in ru, uk"),
            (SurveyQuestion("choice", WORDS, {}), "has [answers] exactly if"),
            (SurveyQuestion("thumb", WORDS, {"a": WORDS, "b": WORDS}), "has [answers] exactly if"),
            (SurveyQuestion("choice", WORDS, {"a": WORDS}), "offers 1 answers"),
            (SurveyQuestion("choice", WORDS, {"A b": WORDS, "b": WORDS}), "A b is no name of an answer"),
            (SurveyQuestion("choice", WORDS, {"a": WORDS, "b": {"en": "B"}}), "lacks the answer b in ru, uk"),
        ],
    )
    def test_what_is_wrong_is_told(self, question: SurveyQuestion, mistake: str) -> None:
        assert any(one.startswith(mistake) for one in question_mistakes(question, "survey", ("en", "ru", "uk")))

    def test_only_a_survey_asks(self) -> None:
        (mistake,) = question_mistakes(SurveyQuestion("thumb", WORDS, {}), "marketing", ("en", "ru", "uk"))
        assert mistake.startswith("asks something")


class TestWhoIsNotAsked:
    def kept(self, *events: Any) -> dict[str, dict[str, int]]:
        series: dict[str, dict[str, int]] = {}
        failures: list[RuleFailure] = []
        for measure in SORE_MEASURES:
            for event in events:
                if isinstance(event, measure.kind):
                    kept = Series(measure, measure.last)
                    kept.add(series.setdefault(measure.series, {}), event, Present.at(NOON, None, "p"), failures)
        return series

    def test_who_lost_more_than_they_won_within_three_days_is_sore(self) -> None:
        lost = RoundCompleted.example().model_copy(update={"stake_minor": 500, "win_minor": 0, "occurred_at": NOON})
        series = self.kept(lost)
        assert soreness(series, Present.at(NOON, None, "p")) == "loss"
        assert soreness(series, Present.at(NOON + days(4), None, "p")) == "none"

    @pytest.mark.parametrize(
        ("happened", "sore"),
        [
            ([(BetPlaced, {"stake_minor": 500})], "loss"),
            ([(BetPlaced, {"stake_minor": 500}), (BetSettled, {"outcome": "lost", "payout_minor": 0})], "loss"),
            ([(BetPlaced, {"stake_minor": 500}), (BetSettled, {"outcome": "won", "payout_minor": 900})], "none"),
            ([(BetPlaced, {"stake_minor": 500, "freebet_grant_id": "g-1"})], "none"),
            ([(RoundCompleted, {"stake_minor": 500}), (BetSettled, {"outcome": "won", "payout_minor": 900})], "none"),
            ([(RoundCompleted, {"stake_minor": 500}), (RoundVoided, {"stake_minor": 500})], "none"),
            ([(RoundCompleted, {"stake_minor": 500}), (RoundVoided, {"stake_minor": 400})], "loss"),
            (
                [
                    (RoundCompleted, {"stake_minor": 500}),
                    (RoundVoided, {"stake_minor": 500, "played_at": NOON - days(9)}),
                ],
                "loss",
            ),
        ],
    )
    def test_what_bets_lost_counts_and_what_was_voided_does_not(
        self, happened: list[tuple[type[Event], dict[str, Any]]], sore: str
    ) -> None:
        usual = {"win_minor": 0, "played_at": NOON, "occurred_at": NOON}
        events = [
            kind.example().model_copy(update={k: v for k, v in (usual | data).items() if k in kind.model_fields})
            for kind, data in happened
        ]
        assert soreness(self.kept(*events), Present.at(NOON, None, "p")) == sore

    def test_who_complained_is_sore(self) -> None:
        about = {"topic": "complaint", "occurred_at": NOON}
        assert soreness(self.kept(SupportCaseOpened.example().model_copy(update=about)), Present.at(NOON, None, "p"))
        other = {"topic": "payment", "occurred_at": NOON}
        series = self.kept(SupportCaseOpened.example().model_copy(update=other))
        assert soreness(series, Present.at(NOON, None, "p")) == "none"

    @pytest.mark.parametrize(("sore", "why"), [("loss", Reason.SORE), ("complaint", Reason.SORE), ("none", None)])
    def test_the_gate_refuses_to_ask_and_nothing_else(self, sore: str, why: Reason | None) -> None:
        facts = replace(FREE, sore=sore)
        assert reason(may_send(facts, message(kind="survey", asks=True), HOUSE, NOON)) == why
        assert reason(may_send(facts, message(kind="survey"), HOUSE, NOON)) is None


class TestWhatIsKnownAfterwards:
    def learned(self, *answers: tuple[str, str, int]) -> PlayerProjection:
        player = PlayerProjection("acme", "p")
        for number, (about, kind, score) in enumerate(answers):
            at = NOON + timedelta(minutes=number)
            told = {"subject_ref": about, "kind": kind, "score": score, "occurred_at": at}
            answer = FeedbackAnswered.example().model_copy(update=told)
            player.learn(answer, Word.of(answer, at, live=True))
        return player

    def test_the_newest_thumb_counts(self) -> None:
        known = self.learned(("free_spins", "thumb", 0), ("cashback", "yes_no", 1), ("free_spins", "thumb", 1))
        assert liked_by(known.facts) == {"free_spins": True, "cashback": True}

    def test_a_mark_says_nothing_of_liking(self) -> None:
        assert liked_by(self.learned(("the-house", "nps", 9)).facts) == {}

    @given(st.lists(st.integers(0, 2 * MOST), max_size=3 * MOST))
    def test_the_newest_are_kept_and_no_more(self, abouts: list[int]) -> None:
        known = self.learned(*((f"game-{about}", "thumb", 1) for about in abouts))
        newest = list(dict.fromkeys(f"game-{about}" for about in reversed(abouts)))[:MOST]
        assert set(liked_by(known.facts)) == set(newest)
        assert sum(name.startswith(LIKED) for name in known.told) == len(newest)


class TestLinks:
    ASKED = SurveyLink("acme", "p-1", "j:acme:p-1:6f/survey:nps#1", "recommend", None, int(NOON.timestamp()))

    def test_a_token_says_whom_it_asks_under_old_secrets_too(self) -> None:
        token = AnswerLinks(SECRETS[1:]).token(self.ASKED)
        assert AnswerLinks(SECRETS).read(token) == self.ASKED

    def test_no_other_text_is_one(self) -> None:
        token = AnswerLinks(SECRETS).token(self.ASKED)
        for forged in ("", "x", token[:-1], token.replace(".", "_", 1), token + "x"):
            assert AnswerLinks(SECRETS).read(forged) is None
        assert AnswerLinks(("a third one, twenty-four bytes",)).read(token) is None

    def test_it_closes(self) -> None:
        assert self.ASKED.is_open(NOON)
        assert not self.ASKED.is_open(NOON + timedelta(seconds=1))


def test_an_answer_is_something_and_none_is_not() -> None:
    assert Answer.read({"kind": "thumb", "score": 0, "choice": None})
    assert Answer.read({"kind": "choice", "score": None, "choice": "slots"}) == Answer("choice", None, "slots")
    assert not Answer.read(None)
    assert Answer.read({}) == NoAnswer()
    refused = Answer.read({"reasons": {"in_app": "sore", "email": "no_consent"}})
    assert isinstance(refused, NoAnswer)
    assert (refused.reason, NoAnswer().reason) == ("sore", "no_answer")
