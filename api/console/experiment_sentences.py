"""What an experiment has found, in the language of the page.

A look keeps its sentence in English, as it was found; here each part of it is recognised by its shape and said anew. A
sentence with a part of no known shape is shown as it was kept.
"""

import re
from typing import Final

from api.console.figure_sentences import in_language
from api.console.kept_sentences import said_anew, shapes_of
from api.console.speech import Speech

_ARM: Final = r"(?P<arm>[a-z][a-z0-9-]*)"
_SHARES: Final = rf"{_ARM}: (?P<share>[\d.]+) % reached (?P<event>\S+), (?P<control>[\d.]+) % in control"
_SPAN: Final = "between (?P<low>[+\N{MINUS SIGN}][\\d.]+) and (?P<high>[+\N{MINUS SIGN}][\\d.]+) points"
_REACHED: Final = "%(arm)s: %(share)s %% reached the goal (%(event)s), %(control)s %% in control"
_BETWEEN: Final = "between %(low)s and %(high)s points"

#: The parts that sentences are made of, and what they are called in the catalogues; a hole is what its group holds.
SENTENCES: Final = {
    r"The arms did not get the players they were to have, so nothing here can be trusted; "
    r"find out why before anything else\.": (
        "The arms did not get the players they were to have, so nothing here can be trusted; "
        "find out why before anything else."
    ),
    rf"{_ARM} was stopped\.": "%(arm)s was stopped.",
    rf"{_ARM} was stopped because of harm: (?P<event>\S+) came to (?P<n>\d+) of its players and to (?P<other>\d+) "
    r"in control\.": (
        "%(arm)s was stopped because of harm (%(event)s): %(n)s of its players, and %(other)s in control."
    ),
    rf"{_ARM}: too early to tell; (?P<why>[^.]+)\.": "%(arm)s: too early to tell; %(why)s.",
    rf"{_SHARES}; (?P<why>[^.]+)\.": f"{_REACHED}; %(why)s.",
    rf"{_SHARES}: it brings more, {_SPAN}\.": f"{_REACHED}: it brings more, {_BETWEEN}.",
    rf"{_SHARES}: it brings less, {_SPAN}\.": f"{_REACHED}: it brings less, {_BETWEEN}.",
    rf"{_SHARES}: no difference is shown, it lies {_SPAN}\.": (
        f"{_REACHED}: no difference is shown, it lies {_BETWEEN}."
    ),
    rf"{_SHARES}: not decided yet, the difference lies {_SPAN}\.": (
        f"{_REACHED}: not decided yet, the difference lies {_BETWEEN}."
    ),
    r"(?P<n>[\d,]+) of (?P<of>[\d,]+) planned players have been counted\.": (
        "%(n)s of %(of)s planned players have been counted."
    ),
    rf"Of what {_ARM} brings about (?P<share>-?[\d.]+) points are likely to stay, "
    r"between (?P<low>[+-][\d.]+) and (?P<high>[+-][\d.]+)\.": (
        "Of what %(arm)s brings about %(share)s points are likely to stay, between %(low)s and %(high)s."
    ),
}
_PARTS: Final = shapes_of(SENTENCES)
#: Numbers as sentences have them, and how a page writes them.
_NUMBERS: Final = (
    (re.compile(r"[+-]\d+\.\d"), "+#,##0.0;\N{MINUS SIGN}#,##0.0"),
    (re.compile(r"\d+\.\d"), "#,##0.0"),
    (re.compile(r"\d+"), "#,##0"),
)


def found_text(kept: str, speech: Speech) -> str:
    """The sentence in a language of the console; as it was kept where a part of it is of no known shape."""
    return said_anew(
        kept,
        _PARTS,
        lambda text, held: speech.say(text, **{name: _hole(name, one, speech) for name, one in held.items()}),
    )


def _hole(name: str, held: str, speech: Speech) -> str:
    if name == "arm":
        return speech.quoted(held)
    if name == "event":
        return speech.event(held).lower()
    if name == "why":
        return in_language(held, speech.translated)
    plain = held.replace("\N{MINUS SIGN}", "-").replace(",", "")
    pattern = next((pattern for shape, pattern in _NUMBERS if shape.fullmatch(plain)), None)
    return held if pattern is None else speech.number(float(plain), pattern)
