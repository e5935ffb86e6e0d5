"""What figures keep in English is read in the language of the page."""

import ast
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from activities.figures import effect_parts, figure_taking, journey_effects
from activities.figures.figure_taking import missing_part
from api.console.figure_sentences import SENTENCES, in_language
from api.console.rendering import LANGUAGES, translations
from learning import experiment_money
from learning.differences import (
    Conversion,
    Moments,
    NoNumber,
    cost_per_incremental,
    difference_of_shares,
    difference_over,
    mean_interval,
    nps_interval,
)
from learning.money import money_difference
from workflows.figures.definitions import FIGURES, Taken, too_few
from workflows.figures.targets import judge, target

OTHERS = [language for language in LANGUAGES if language != "en"]
DAY = date(2026, 2, 15)
NOW, BEFORE = (Taken("registered", "quarter", date(2026, 1, 1), 9, value) for value in (9.0, 10.0))


def written_in(module: Any) -> list[str]:
    """The sentences that stand in a module as they are kept, each hole filled with a number."""
    tree = ast.parse(Path(module.__file__).read_text())
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    texts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (str(one.value) if isinstance(one, ast.Constant) else "7" for one in node.values)
            texts.append("".join(parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | inside:
            texts.append(node.value)
    return [text for text in texts if text[:1].islower() and text.count(" ") > 1 and "\n" not in text]


def kept() -> list[str]:
    """Sentences as the code that keeps them says them."""
    share, more = target("churn_30", at_most=0.4), target("registered", +20)
    late, much = target("retention_d30", at_least=0.32, by="2026-Q4"), target("deposited", at_least=25_000_000)
    low, high = (Taken("churn_30", "week", DAY, 9, value) for value in (0.3, 0.5))
    judged = [judge(share, None, None, DAY), judge(share, low, None, DAY), judge(share, high, None, DAY)]
    judged += [
        judge(more, NOW, BEFORE, DAY),
        judge(more, NOW, BEFORE, date(2026, 3, 31)),
        judge(more, NOW, None, DAY),
        judge(more, NOW, NOW, DAY),
        judge(late, low, None, DAY),
        judge(much, low, None, DAY),
    ]
    judged += [judge(replace(more, per="week"), NOW, None, DAY), judge(replace(more, per="month"), NOW, None, DAY)]
    reasons = [too_few(FIGURES["churn_30"], 0), missing_part(games=0, granted=0, ended=0)]
    reasons.append(missing_part(games=1, granted=3, ended=0))
    few, some, same, all_of_them = Conversion(5, 100), Conversion(40, 100), Conversion(40, 100), Conversion(90, 90)
    none = Conversion(0, 100)
    pairs = [(none, some), (some, none), (all_of_them, some), (some, all_of_them), (few, some), (some, few)]
    unknown: list[object] = [difference_over({"weekly": pair}) for pair in pairs]
    unknown += [difference_of_shares(few, some), cost_per_incremental(9.0, some, same), nps_interval(1, 1, 3)]
    unknown += [mean_interval(Moments(1, 1.0, 0.0)), money_difference([1.0], [0.0], seed="any")]
    reasons += [one.reason for one in unknown if isinstance(one, NoNumber)]
    assert len(reasons) == len(unknown) + 3
    modules = (figure_taking, journey_effects, effect_parts, experiment_money)
    written = [text for module in modules for text in written_in(module)]
    assert len(written) > 15, "They are really read."
    return [*(one.why for one in judged), *(one.target.words for one in judged), *filter(None, reasons), *written]


@pytest.mark.parametrize("language", OTHERS)
def test_no_sentence_of_a_figure_stays_in_english(language: str) -> None:
    translated = translations(language).gettext
    assert [one for one in kept() if in_language(one, translated) == one] == []
    assert [said for said in SENTENCES.values() if translated(said) == said] == []


def test_in_english_it_is_what_was_kept() -> None:
    assert [in_language(one, str) for one in kept()] == kept()


def test_a_sentence_of_no_known_shape_is_shown_as_it_was_kept() -> None:
    assert in_language("something else", translations("uk").gettext) == "something else"
