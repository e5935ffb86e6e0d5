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
    r"nobody is of whom it could be": "nobody is of whom it could be",
    r"nobody who registered moved money": "nobody who registered moved money",
    r"fewer than two players": "fewer than two players",
    r"(?P<n>\d+) answers, and (?P<least>\d+) are needed": "%(n)s answers, and %(least)s are needed",
    r"nothing was granted": "nothing was granted",
    r"of (?P<n>\d+) rewards nobody told until when they can be taken": (
        "of %(n)s rewards nobody told until when they can be taken"
    ),
    r"nobody claimed a task before answering it, so no time is known": (
        "nobody claimed a task before answering it, so no time is known"
    ),
    r"no rounds or bets are told, so nobody knows what was won and lost; deposits stand beside": (
        "no rounds or bets are told, so nobody knows what was won and lost; deposits stand beside"
    ),
    r"(?P<n>\d+) rewards were granted and the end of none was told, so bonuses would cost nothing": (
        "%(n)s rewards were granted and the end of none was told, so bonuses would cost nothing"
    ),
    # Of journeys against their control groups.
    r"nobody entered in these weeks": "nobody entered in these weeks",
    r"nobody is in the control group": "nobody is in the control group",
    r"nobody in it moved money": "nobody in it moved money",
    r"an arm has (?P<n>\d+) players who did or did not do it, and (?P<least>\d+) of each are needed": (
        "an arm has %(n)s players who did or did not do it, and %(least)s of each are needed"
    ),
    r"(?P<n>\d+) players of the control group moved money, and (?P<least>\d+) are needed": (
        "%(n)s players of the control group moved money, and %(least)s are needed"
    ),
    r"the gain is not shown to be above zero": "the gain is not shown to be above zero",
    r"no reward of it has cost anything yet": "no reward of it has cost anything yet",
    r"its rewards cost in several currencies, which cannot be added up": (
        "its rewards cost in several currencies, which cannot be added up"
    ),
    # For whom, and with which reward.
    r"nobody entered whose segments are known": "nobody entered whose segments are known",
    r"its players were in no segment": "its players were in no segment",
    r"none of (?P<n>\d+) segments has enough players in both groups, in it and outside": (
        "none of %(n)s segments has enough players in both groups, in it and outside"
    ),
    r"no difference is shown between (?P<n>\d+) segments and the other players: what it brings holds for all": (
        "no difference is shown between %(n)s segments and the other players: what it brings holds for all"
    ),
    r"every journey that gives it gives others too, so nobody knows which of them did it": (
        "every journey that gives it gives others too, so nobody knows which of them did it"
    ),
    r"no journey that gives it alone has (?P<n>\d+) players in its control group": (
        "no journey that gives it alone has %(n)s players in its control group"
    ),
    r"of (?P<n>\d+) treated players of (?P<journey>.+) nobody did: nothing tells how far chance reaches": (
        "of %(n)s treated players of %(journey)s nobody did: nothing tells how far chance reaches"
    ),
    r"of (?P<n>\d+) treated players of (?P<journey>.+) everybody did: nothing tells how far chance reaches": (
        "of %(n)s treated players of %(journey)s everybody did: nothing tells how far chance reaches"
    ),
    r"of (?P<n>\d+) control players of (?P<journey>.+) nobody did: nothing tells how far chance reaches": (
        "of %(n)s control players of %(journey)s nobody did: nothing tells how far chance reaches"
    ),
    r"of (?P<n>\d+) control players of (?P<journey>.+) everybody did: nothing tells how far chance reaches": (
        "of %(n)s control players of %(journey)s everybody did: nothing tells how far chance reaches"
    ),
    r"each arm needs \d+ players who did and (?P<least>\d+) who did not; "
    r"treated are (?P<did>\d+) who did and (?P<rest>\d+) who did not": (
        "each arm needs %(least)s players who did and %(least)s who did not; "
        "treated are %(did)s who did and %(rest)s who did not"
    ),
    r"each arm needs \d+ players who did and (?P<least>\d+) who did not; "
    r"control are (?P<did>\d+) who did and (?P<rest>\d+) who did not": (
        "each arm needs %(least)s players who did and %(least)s who did not; "
        "control are %(did)s who did and %(rest)s who did not"
    ),
    # Of experiments, and of money in them.
    r"(?P<n>\d+) players, and (?P<least>\d+) are needed": "%(n)s players, and %(least)s are needed",
    r"each arm needs (?P<least>\d+) players who reached the goal and as many who did not before it is compared": (
        "each arm needs %(least)s players who reached the goal and as many who did not before it is compared"
    ),
    **{
        same: same
        for same in (
            "the first look at the goal is still to come",
            "an experiment without a plan has no moment at which money is judged",
            "the arms did not get the players they were to have",
            "money is judged once, when all planned players have been counted",
            "no bonus has cost anything yet",
            "fewer than two players in an arm",
            "nobody has what it is divided by",
            "what it is divided by is not shown to be above zero",
            "the effect it is divided by is not shown to differ from zero",
        )
    },
    # How a target stands, and what is wanted.
    r"nothing was taken yet": "nothing was taken yet",
    r"the newest figure reaches it": "the newest figure reaches it",
    r"the newest figure does not reach it": "the newest figure does not reach it",
    r"the sum is there": "the sum is there",
    r"the period is over": "the period is over",
    r"nothing is known of the week before": "nothing is known of the week before",
    r"nothing is known of the month before": "nothing is known of the month before",
    r"nothing is known of the quarter before": "nothing is known of the quarter before",
    r"(?P<part>-?\d+) % of it after (?P<time>\d+) % of the time": "%(part)s %% of it after %(time)s %% of the time",
    r"(?P<change>[+-][\d.e+-]+) % against the week before": "%(change)s %% against the week before",
    r"(?P<change>[+-][\d.e+-]+) % against the month before": "%(change)s %% against the month before",
    r"(?P<change>[+-][\d.e+-]+) % against the quarter before": "%(change)s %% against the quarter before",
    r"at least (?P<value>[\d.e+-]+(?: %)?)": "at least %(value)s",
    r"at most (?P<value>[\d.e+-]+(?: %)?)": "at most %(value)s",
    r"at least (?P<value>[\d.e+-]+(?: %)?) by (?P<quarter>\d{4}-Q\d)": "at least %(value)s by %(quarter)s",
    r"at most (?P<value>[\d.e+-]+(?: %)?) by (?P<quarter>\d{4}-Q\d)": "at most %(value)s by %(quarter)s",
}
_SHAPES: Final = [(re.compile(shape), said) for shape, said in SENTENCES.items()]


def in_language(kept: str, translated: Callable[[str], str]) -> str:
    """The sentence in a language of the console, by its catalogue; as it was kept where its shape is unknown."""
    for shape, said in _SHAPES:
        if (found := shape.fullmatch(kept)) is not None:
            return translated(said) % found.groupdict()
    return kept
