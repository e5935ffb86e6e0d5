"""What a player may be told: every reason, in every language, and no word that only we understand."""

import pytest

from workflows.channels import CHANNELS
from workflows.gate.reason_sentences import GIVEN, LANGUAGES, NECESSARY_SENT, REFUSED, SENT, told_of
from workflows.gate.reasons import Reason


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_can_be_told_in_every_language(reason: Reason) -> None:
    told = told_of(str(reason), "email", necessary=False)
    assert told is REFUSED[reason]
    assert tuple(told) == LANGUAGES
    for sentence in told.values():
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert "_" not in sentence


def test_the_languages_of_one_sentence_are_different_ones() -> None:
    for told in (*REFUSED.values(), SENT, GIVEN, NECESSARY_SENT):
        assert len(set(told.values())) == len(LANGUAGES)


@pytest.mark.parametrize("channel", CHANNELS)
def test_what_was_sent_is_explained_by_consent_or_by_need(channel: str) -> None:
    assert told_of(None, channel, necessary=False) is SENT
    assert told_of(None, channel, necessary=True) is NECESSARY_SENT
    assert told_of(None, "free_spins", necessary=False) is GIVEN


def test_a_reason_of_another_release_is_told_by_nobody() -> None:
    assert told_of("a reason of tomorrow", "email", necessary=False) is None
