"""What the page of scores says is there in every language, and every sentence that is kept has a shape of its own."""

import pytest

from api.console import score_texts
from api.console.rendering import LANGUAGES, speech_of, translations
from api.console.score_texts import FIGURES, SUBJECTS, feature_text, why_text
from learning import churn_features, value_features
from learning.churn import learn_churn
from learning.differences import NoNumber
from learning.score_kinds import SCORE_KINDS
from learning.value import learn_value
from learning.vip import learn_vip
from tests.support.kept_models import FEW, WORSE, learned_value
from tests.support.scored_nights import NIGHT, learned

OTHERS = [language for language in LANGUAGES if language != "en"]
TABLES = ("SAYS", "ESTIMATED", "KINDS", "STATES", "BECAME", "SUBJECTS", "WORTHS")


def kept() -> list[str]:
    """Sentences as the code that keeps them says them."""
    none = [learn({}, NIGHT) for learn in (learn_churn, learn_value, learn_vip)]
    few = [one.reason for one in none if isinstance(one, NoNumber)]
    assert len(few) == len(none)
    worths = [learned().worth, learned_value().worth, learned().quality.in_words]
    below = [f"below the floors: {one}" for one in worths]
    others = ["players have become others: drift 0.31", "The log of the worker says why.", WORSE, FEW]
    return [*few, *worths, *below, *others]


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_is_there_in_every_language(language: str) -> None:
    words = translations(language)
    said = [text for name in TABLES for text in getattr(score_texts, name).values()]
    said += [text for pair in FIGURES.values() for text in pair]
    assert [text for text in said if words.gettext(text) == text] == []


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("sentence", kept())
def test_a_sentence_that_is_kept_is_read_in_each_language(language: str, sentence: str) -> None:
    assert why_text(sentence, speech_of("en"))[:12] == sentence[:12]
    said = why_text(sentence, speech_of(language))
    assert not [word for word in ("calibration", "money", "rows", "needed", "worse", "below", "others") if word in said]


def test_a_sentence_of_no_known_shape_is_shown_as_it_was_kept() -> None:
    assert why_text("made", speech_of("uk")) == "made"


def test_every_feature_has_a_subject_that_is_said() -> None:
    assert SUBJECTS.keys() == churn_features.REASONS.keys() | value_features.REASONS.keys()
    assert feature_text("idle.days * days.last_30", speech_of("en")) == (
        "Time since the last deposit \N{MULTIPLICATION SIGN} Days with a deposit"
    )
    assert feature_text("idle.days * idle.days", speech_of("en")) == "Time since the last deposit"


def test_every_score_and_every_figure_of_its_models_has_words() -> None:
    assert score_texts.SAYS.keys() == {kind.name for kind in SCORE_KINDS}
    figures = {one.figure for model in (learned(), learned_value()) for one in model.floors}
    assert figures == FIGURES.keys()
