"""What the page of scores calls things, and what became of models, in the language of the page.

Why a model is used or not is kept in English with it; here it is recognised by its shape, as of figures.
"""

import re
from typing import Final

from api.console.speech import Speech

#: What each score says.
SAYS: Final = {
    "churn": "Of a hundred such players, how many will not deposit in the next 30 days.",
    "value": "Of a hundred players, how many are expected to deposit less in the next 90 days.",
    "vip": "Of a hundred such players, how many will be among the tenth that deposits most in the next 90 days.",
}
#: Why it is an estimate.
ESTIMATED: Final = {
    "unread": "No journey and no segment that is deployed reads it, so nothing is learned and nobody is scored.",
    "no_model": "No model is good enough yet, or its players have become others.",
    "other_release": "The model in use is of another release and cannot be read here.",
    "not_scored": "Nobody was scored by the model for a week.",
}
#: Figures of a model, and what each says.
FIGURES: Final = {
    "auc": ("Ranks rightly (AUC)", "Of two players, one to whom it happened: how often that one has the higher score."),
    "brier": ("Error of the chances (Brier)", "The mean squared error of the chances; less is better."),
    "calibration_error": ("Calibration (ECE)", "By how much chances are off, less what chance alone makes of it."),
    "gini": ("Ranks the money (Gini)", "How well money is ranked, by what hindsight would give."),
    "captured": ("In the highest tenth", "Which part of all the money came of the tenth ranked highest."),
    "total_off": ("Sum of all, off by", "By which part of what came the sum of all that was expected is off."),
}
KINDS: Final = {"logistic": "Logistic regression", "trees": "Boosted trees", "poisson": "Poisson regression"}
STATES: Final = {"champion": "In use", "shadow": "Not used", "retired": "Was used"}
BECAME: Final = {
    "champion": "A model came of it that is used.",
    "shadow": "A model came of it that is not used.",
    "none": "No model came of it.",
    "failed": "It broke off.",
}
#: What a feature is about, by the part of its name before the dot.
SUBJECTS: Final = {
    "idle": "Time since the last deposit",
    "pace": "Silence against the usual gap",
    "gaps": "Gaps between deposits",
    "days": "Days with a deposit",
    "count": "Number of deposits",
    "trend": "Lately against before",
    "tenure": "How long they have been here",
    "amount": "Amounts deposited",
}
_KINDS_IN_WORDS: Final = {"boosted trees": KINDS["trees"], "logistic regression": KINDS["logistic"]}
#: What is kept of a model, and what it is called in the catalogues; a hole is what its group holds.
WORTHS: Final = {
    r"AUC (?P<auc>[\d.]+), Brier (?P<brier>[\d.]+), calibration off by (?P<off>[\d.]+)": (
        "AUC %(auc)s, Brier %(brier)s, calibration off by %(off)s"
    ),
    r"Gini (?P<gini>-?[\d.]+), (?P<part>\d+) % of the money in the highest tenth, the sum off by (?P<off>[+-]\d+) %": (
        "Gini %(gini)s, %(part)s %% of the money in the highest tenth, the sum off by %(off)s %%"
    ),
    r"players have become others: drift (?P<drift>[\d.]+)": "players have become others: drift %(drift)s",
    r"(?P<rows>\d+) rows to learn from and (?P<judged>\d+) to judge on; (?P<least>\d+) and (?P<few>\d+) are needed, "
    r"with some who left and some who stayed": (
        "%(rows)s rows to learn from and %(judged)s to judge on; %(least)s and %(few)s are needed, "
        "with some who left and some who stayed"
    ),
    r"(?P<rows>\d+) rows to learn from and (?P<judged>\d+) players to judge on; (?P<least>\d+) and (?P<few>\d+) are "
    r"needed, with some who deposited": (
        "%(rows)s rows to learn from and %(judged)s players to judge on; %(least)s and %(few)s are needed, "
        "with some who deposited"
    ),
    r"The log of the worker says why\.": "The log of the worker says why.",
}
_SHAPES: Final = [(re.compile(shape), said) for shape, said in WORTHS.items()]
_BELOW: Final = re.compile(r"below the floors: (?P<worth>.+)")
_WORSE: Final = re.compile(r"worse than v(?P<version>\d+): (?P<worth>.+)")
_BY: Final = re.compile(r"(?P<worth>.+), by (?P<kind>boosted trees|logistic regression)")


def why_text(kept: str, speech: Speech) -> str:
    """Why a model is used or not, or what it was worth; as it was kept where its shape is unknown."""
    if (found := _BELOW.fullmatch(kept)) is not None:
        return speech.say("below the floors: %(worth)s", worth=why_text(found["worth"], speech))
    if (found := _WORSE.fullmatch(kept)) is not None:
        worth = why_text(found["worth"], speech)
        return speech.say("worse than v%(version)s: %(worth)s", version=found["version"], worth=worth)
    if (found := _BY.fullmatch(kept)) is not None:
        return f"{why_text(found['worth'], speech)} ({speech.translated(_KINDS_IN_WORDS[found['kind']]).lower()})"
    for shape, said in _SHAPES:
        if (found := shape.fullmatch(kept)) is not None:
            return speech.say(said, **found.groupdict())
    return kept


def feature_text(name: str, speech: Speech) -> str:
    """What a feature, or two that count together, is about; each subject once."""
    subjects = dict.fromkeys(one.partition(".")[0] for one in name.split(" * "))
    said = [speech.translated(SUBJECTS[one]) if one in SUBJECTS else one for one in subjects]
    return " \N{MULTIPLICATION SIGN} ".join(said)
