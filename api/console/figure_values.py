"""Figures in their units, in the language of the page."""

from api.console.speech import Speech
from content.figure_words import DRAWN
from workflows.figures.definitions import FIGURES


def figure_value(name: str, value: float | None, currency: str, speech: Speech) -> str:
    """A value in its unit; a dash where there is none. The same precision as `content.figure_words.figure_text`."""
    if value is None:
        return "\N{EN DASH}"
    unit = FIGURES[name].unit
    if unit == "share":
        points = speech.number(100 * value, "+#,##0.0;-#,##0.0")
        return speech.say("%(n)s points", n=points) if name in DRAWN else speech.share(value)
    if unit == "money":
        # Of several currencies together nobody says which: the number stands alone.
        return speech.money(round(value), currency) if currency else speech.number(value / 100, "#,##0.00")
    if unit == "seconds":
        return _duration(value, speech)
    if unit == "minutes":
        return speech.say("%(n)s min", n=speech.number(value, "#,##0"))
    return speech.number(value, {"score": "+#,##0;-#,##0", "days": "#,##0.0"}.get(unit, "#,##0"))


def _duration(seconds: float, speech: Speech) -> str:
    if seconds < 120:
        return speech.say("%(n)s s", n=speech.number(seconds, "#,##0.0"))
    if seconds < 7_200:
        return speech.say("%(n)s min", n=speech.number(seconds / 60, "#,##0"))
    return speech.say("%(n)s h", n=speech.number(seconds / 3_600, "#,##0.0"))
