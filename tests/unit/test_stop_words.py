# ruff: noqa: RUF001 - letters that look like others are meant
"""What a player writes who wants no more of our messages, in whatever letters and with whatever politeness."""

import pytest

from workflows.player_state.stop_words import STOP_WORDS, is_stop_word


@pytest.mark.parametrize("word", sorted(STOP_WORDS))
def test_each_word_stops_alone_in_capitals_and_said_twice(word: str) -> None:
    for text in (word, word.upper(), f"  {word.title()}!", f"{word} {word}"):
        assert is_stop_word(text), text


@pytest.mark.parametrize(
    "text",
    [
        *("Відписатися, будь ласка", "зупинити смс", "Припинити розсилку", "Отпишите, пожалуйста", "Отписать меня"),
        *("Stop please", "STOP SMS", "stop stop STOP", "stop all messages, thank you", "opt out please", "Opt-Out"),
    ],
)
def test_a_please_changes_nothing(text: str) -> None:
    assert is_stop_word(text)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("in full width", "ＳＴＯＰ"),
        ("with an invisible space", "S\u200bTOP"),
        ("with the accent apart", "arre\u0302t"),
        ("in Cyrillic letters", "ЅТОР"),
        ("Latin in Cyrillic", "CTOП"),
        ("Cyrillic in Latin", "саnсеl"),
    ],
)
def test_letters_that_look_alike_are_alike(written: str, text: str) -> None:
    assert is_stop_word(text), written


@pytest.mark.parametrize(
    "text",
    [
        *(
            "please",
            "Thank you",
            "дякую",
            "stop losing",
            "When does the bonus end?",
            "cancel my withdrawal",
            "stopwatch",
        ),
        *("Отказ от бонуса", "Please do not stop the bonuses", "Скасувати ставку", "", "...", None),
    ],
)
def test_a_sentence_with_such_a_word_says_something_else(text: str | None) -> None:
    assert not is_stop_word(text)
