"""What a rule measures of a player, and how much it is, in the language of the page."""

from datetime import timedelta
from typing import Final, NamedTuple

from api.console.event_texts import FIELDS
from api.console.speech import Speech
from content.readable_names import words

#: What is counted, by how it is counted: without and with something that is looked at in each event.
COUNTED: Final = {
    "count": ("how many", "how many of %(of)s"),
    "total": ("in total", "%(of)s in total"),
    "distinct": ("how many different ones", "%(of)s, how many different ones"),
    "typical": ("what is usual", "%(of)s as it usually is"),
    "gap": ("usual gap between days with it", "usual gap between days with it: %(of)s"),
    "week_days": ("on which days of the week", "on which days of the week: %(of)s"),
    "choices": ("what is chosen", "which %(of)s is chosen"),
    "level": ("how high", "how high the %(of)s is"),
}
#: The periods of the player's calendar; what is measured is that of the present one.
PERIODS: Final = {"day": "today", "week": "this week", "month": "this month"}
#: What is measured of a pattern is whether it changed.
PATTERNS: Final = frozenset({"week_days", "choices", "level"})
#: What is money, whatever its name says.
_MONEY: Final = frozenset({"net_loss"})
_DAY: Final = 86_400


class _Key(NamedTuple):
    """The parts of a measure's key."""

    how: str
    event: str
    of: str
    grain: str
    seconds: int


def measure_text(key: str, speech: Speech) -> str:
    """What a measure is about; a key of another shape is read out as it is."""
    if (parts := _parts(key)) is None:
        return words(key)
    without, with_it = COUNTED[parts.how]
    counted = speech.say(with_it, of=_of(parts.of, speech)) if parts.of else speech.translated(without)
    said = speech.say("%(event)s: %(counted)s", event=speech.event(parts.event), counted=counted)
    if parts.seconds:
        return f"{said}, {speech.say('in the last %(time)s', time=speech.time(timedelta(seconds=parts.seconds)))}"
    return f"{said}, {speech.translated(PERIODS[parts.grain])}" if parts.grain in PERIODS else said


def is_money(key: str) -> bool:
    """Whether what a measure counts is an amount, in minor units."""
    parts = _parts(key)
    return (
        parts is not None
        and parts.how not in {"distinct", *PATTERNS}
        and (parts.of.endswith("_minor") or parts.of in _MONEY)
    )


def measured_text(key: str, value: int, *, is_known: bool, currency: str | None, speech: Speech) -> str:
    """How much it is, in its unit; a sentence where a number would say nothing."""
    parts = _parts(key)
    if parts is not None and parts.how in PATTERNS:
        return speech.translated("it has changed lately" if value else "no change is seen")
    if not is_known:
        return speech.translated("not known yet")
    if parts is not None and parts.how == "gap":
        return speech.days(round(value / _DAY))
    if is_money(key):
        return speech.money(value, currency)
    return speech.number(value)


def _parts(key: str) -> _Key | None:
    how, *rest = key.split(":")
    if how not in COUNTED or len(rest) not in {3, 4} or not all(part.isdecimal() for part in rest[3:]):
        return None
    event, of, grain = rest[:3]
    return _Key(how, event, of, grain, int(rest[3]) if rest[3:] else 0)


def _of(name: str, speech: Speech) -> str:
    return speech.translated(FIELDS[name]) if name in FIELDS else speech.quoted(words(name.removesuffix("_minor")))
