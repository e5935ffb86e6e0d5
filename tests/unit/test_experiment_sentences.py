"""What experiments found is told in the language of the page, part by part."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.console.experiment_sentences import SENTENCES, found_text
from api.console.figure_sentences import SENTENCES as REASONS
from api.console.rendering import LANGUAGES, speech_of, translations
from learning.experiment_findings import Participant, findings
from learning.lasting_effects import with_past
from learning.shrinkage import PastEffect
from workflows import DepositApproved, HarmSignal, days, experiment, goal, looks, no_more
from workflows.experiments import Experiment

OTHERS = [language for language in LANGUAGES if language != "en"]
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = looks(days(7), base=20, detect=5)
PLAYERS = 3_000
PAST = (-2.0, -1.0, 0.5, 1.0, 2.0, 3.0) * 5


def tried(**given: Any) -> Experiment:
    arms = {"win-back": 50, "control": 50}
    return experiment("any", arms=arms, goal=goal(DepositApproved, within=days(30)), **{"plan": PLAN, **given})


def sentence(
    rate: float, *, players: int = PLAYERS, harm: float = 0, share: float = 0.5, past: bool = False, **given: Any
) -> str:
    """What is said of an experiment whose treated players reach the goal at this rate, and others at 0.2."""
    drawn, plan = random.Random(7), given.pop("plan", PLAN)
    one = tried(guardrails=[no_more(HarmSignal)] if harm else [], plan=plan)
    people = []
    for _ in range(players):
        arm = "win-back" if drawn.random() < share else "control"
        met = frozenset({HarmSignal.type}) if arm == "win-back" and drawn.random() < harm else frozenset[str]()
        reached = drawn.random() < (rate if arm == "win-back" else 0.2)
        people.append(Participant(arm, one.arms, BEGAN, reached, met))
    found = findings(
        one, people, looks=given.pop("looks", [1.0]), stopped=given.pop("stopped", []), as_of=BEGAN + timedelta(days=90)
    )
    return (with_past(found, [PastEffect(one, 1.0) for one in PAST]) if past else found).sentence


def sentences() -> list[str]:
    """At least one of every kind."""
    return [
        sentence(0.3),
        sentence(0.3, past=True),
        sentence(0.1),
        sentence(0.2),
        sentence(0.22, looks=[0.5]),
        sentence(0.2, looks=[]),
        sentence(0.2, players=40),
        sentence(0.2, players=400, plan=None, looks=[]),
        sentence(0.2, harm=0.4),
        sentence(0.2, stopped=["win-back"]),
        sentence(0.2, share=0.8),
        sentence(0.2, share=0.8, harm=0.4),
    ]


@pytest.mark.parametrize("language", OTHERS)
def test_no_word_of_what_was_found_stays_in_english(language: str) -> None:
    speech = speech_of(language)
    for kept in sentences():
        said = found_text(kept, speech).replace("win-back", "")
        assert not any(letter.isascii() and letter.isalpha() for letter in said), said


def test_every_shape_is_met_and_is_in_every_catalogue() -> None:
    met = set[str]()

    def noted(text: str) -> str:
        met.add(text)
        return text

    for kept in sentences():
        found_text(kept, replace(speech_of("en"), translated=noted))
    assert set(SENTENCES.values()) <= met
    for language in OTHERS:
        translated = translations(language).gettext
        assert [one for one in (*SENTENCES.values(), *REASONS.values()) if translated(one) == one] == []


def test_numbers_are_written_as_the_language_writes_them() -> None:
    shares = "win-back: 29.9 % reached payment.deposit_approved, 20.1 % in control"
    said = found_text(f"{shares}: it brings more, between +6.7 and +12.9 points.", speech_of("ru"))
    assert said.startswith("«win-back»: цели (депозит поступил) достигли 29,9 %, в контроле 20,1 %: ")
    assert said.endswith("приносит больше, от +6,7 до +12,9 п. п.")
    assert "1\N{NO-BREAK SPACE}200 " in found_text("30 of 1,200 planned players have been counted.", speech_of("uk"))


def test_a_sentence_of_no_known_shape_is_shown_as_it_was_kept() -> None:
    assert found_text("push was stopped. Something else.", speech_of("uk")) == "push was stopped. Something else."
