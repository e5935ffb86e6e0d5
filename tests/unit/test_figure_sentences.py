"""What figures keep in English is read in the language of the page."""

from datetime import date

import pytest

from activities.figures.figure_taking import missing_part
from api.console.figure_sentences import SENTENCES, in_language
from api.console.rendering import LANGUAGES, translations
from workflows.figures.definitions import FIGURES, Taken, too_few
from workflows.figures.targets import judge, target

OTHERS = [language for language in LANGUAGES if language != "en"]
DAY = date(2026, 2, 15)
NOW, BEFORE = (Taken("registered", "quarter", date(2026, 1, 1), 9, value) for value in (9.0, 10.0))


def kept() -> list[str]:
    """Sentences as the code that keeps them says them."""
    share, more = target("churn_30", at_most=0.4), target("registered", +20)
    late = target("retention_d30", at_least=0.32, by="2026-Q4")
    low, high = (Taken("churn_30", "week", DAY, 9, value) for value in (0.3, 0.5))
    judged = [judge(share, None, None, DAY), judge(share, low, None, DAY), judge(share, high, None, DAY)]
    judged += [
        judge(more, NOW, BEFORE, DAY),
        judge(more, NOW, None, DAY),
        judge(more, NOW, NOW, DAY),
        judge(late, low, None, DAY),
    ]
    reasons = [too_few(FIGURES["churn_30"], 0), missing_part(games=0, granted=0, ended=0)]
    reasons.append(missing_part(games=1, granted=3, ended=0))
    return [*(one.why for one in judged), *(one.target.words for one in judged), *(one for one in reasons if one)]


@pytest.mark.parametrize("language", OTHERS)
def test_no_sentence_of_a_figure_stays_in_english(language: str) -> None:
    translated = translations(language).gettext
    assert [one for one in kept() if in_language(one, translated) == one] == []
    assert [said for said in SENTENCES.values() if translated(said) == said] == []


def test_in_english_it_is_what_was_kept() -> None:
    assert [in_language(one, str) for one in kept()] == kept()


def test_a_sentence_of_no_known_shape_is_shown_as_it_was_kept() -> None:
    assert in_language("something else", translations("uk").gettext) == "something else"
