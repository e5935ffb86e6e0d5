"""What a survey's template asks, and how it may be answered."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

QuestionKind = Literal["thumb", "yes_no", "nps", "choice"]
MOST_CHOICES: Final = 10
_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}")
#: Answers that mean the same in every survey of a kind: their names, and what stands on the button by language.
ANSWERS: Final[Mapping[QuestionKind, Mapping[str, Mapping[str, str]]]] = MappingProxyType(
    {
        "thumb": {"1": {"en": "👍"}, "0": {"en": "👎"}},
        "yes_no": {
            "1": {"en": "Yes", "ru": "Да", "uk": "Так"},
            "0": {"en": "No", "ru": "Нет", "uk": "Ні"},  # noqa: RUF001 - Ukrainian
        },
        "nps": {str(mark): {"en": str(mark)} for mark in range(11)},
        "choice": {},
    }
)


@dataclass(frozen=True)
class SurveyQuestion:
    """One question: its words and, of a choice, the answers, each by language."""

    kind: QuestionKind
    asks: Mapping[str, str]
    choices: Mapping[str, Mapping[str, str]]

    @property
    def answers(self) -> Mapping[str, Mapping[str, str]]:
        """The names of the answers, in the order in which they are shown, and their words."""
        return self.choices or ANSWERS[self.kind]

    def words(self, language: str) -> str:
        """The question in a language, in its base language, or in English."""
        return in_language(self.asks, language)

    def read(self, answer: str) -> dict[str, int | str] | None:
        """An answer as `feedback.answered` says it, None for one that was not offered."""
        if answer not in self.answers:
            return None
        return {"choice": answer} if self.kind == "choice" else {"score": int(answer)}


def question_mistakes(question: SurveyQuestion | None, message_class: str, languages: Sequence[str]) -> Iterator[str]:
    """What is wrong with what a template asks, a sentence each."""
    if question is None:
        return
    if message_class != "survey":
        yield 'asks something; write class = "survey"'
    missing = [one for one in languages if not question.asks.get(one)]
    if missing:
        yield f"lacks the question itself in {', '.join(missing)}; write [asks] with one for each language"
    if (question.kind == "choice") != bool(question.choices):
        yield 'has [answers] exactly if question = "choice"'
    if question.choices and not 2 <= len(question.choices) <= MOST_CHOICES:
        yield f"offers {len(question.choices)} answers; offer 2 to {MOST_CHOICES}"
    for name, words in question.choices.items():
        if not _NAME.fullmatch(name):
            yield f"{name} is no name of an answer; use small letters, digits, '_' and '-'"
        if missing := [one for one in languages if not words.get(one)]:
            yield f"lacks the answer {name} in {', '.join(missing)}"


def in_language(words: Mapping[str, str], language: str) -> str:
    """The words in a language, in its base language, or in English."""
    return words.get(language) or words.get(language.partition("-")[0].lower()) or words["en"]
