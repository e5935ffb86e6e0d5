"""Why there is no number, and how a target stands, in the language of the page.

Figures are taken once for everybody and keep their sentence in English; here it is recognised by its shape. One of no
known shape is shown as it was kept.
"""

import re
from collections.abc import Callable
from typing import Final

#: What is kept, and what it is called in the catalogues; a hole is what its group holds.
SENTENCES: Final = {
    r"(?P<n>\d+) where at least (?P<least>\d+) are needed": "%(n)s where at least %(least)s are needed",
    r"nobody who registered moved money": "nobody who registered moved money",
    r"of (?P<n>\d+) rewards nobody told until when they can be taken": (
        "of %(n)s rewards nobody told until when they can be taken"
    ),
    r"no rounds or bets are told, so nobody knows what was won and lost; deposits stand beside": (
        "no rounds or bets are told, so nobody knows what was won and lost; deposits stand beside"
    ),
    r"(?P<n>\d+) rewards were granted and the end of none was told, so bonuses would cost nothing": (
        "%(n)s rewards were granted and the end of none was told, so bonuses would cost nothing"
    ),
    r"nothing was taken yet": "nothing was taken yet",
    r"the newest figure reaches it": "the newest figure reaches it",
    r"the newest figure does not reach it": "the newest figure does not reach it",
    r"the sum is there": "the sum is there",
    r"nothing is known of the quarter before": "nothing is known of the quarter before",
    r"(?P<part>\d+) % of it after (?P<time>\d+) % of the time": "%(part)s %% of it after %(time)s %% of the time",
    r"(?P<change>[+-][\d.]+) % against the quarter before": "%(change)s %% against the quarter before",
    r"at least (?P<value>[\d.]+(?: %)?)": "at least %(value)s",
    r"at most (?P<value>[\d.]+(?: %)?)": "at most %(value)s",
    r"at least (?P<value>[\d.]+(?: %)?) by (?P<quarter>\d{4}-Q\d)": "at least %(value)s by %(quarter)s",
    r"at most (?P<value>[\d.]+(?: %)?) by (?P<quarter>\d{4}-Q\d)": "at most %(value)s by %(quarter)s",
}
_SHAPES: Final = [(re.compile(shape), said) for shape, said in SENTENCES.items()]


def in_language(kept: str, translated: Callable[[str], str]) -> str:
    """The sentence in a language of the console, by its catalogue; as it was kept where its shape is unknown."""
    for shape, said in _SHAPES:
        if (found := shape.fullmatch(kept)) is not None:
            return translated(said) % found.groupdict()
    return kept
