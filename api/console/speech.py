"""Codes, names, money and numbers as the language of a page has them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from babel.dates import format_date
from babel.numbers import format_currency, format_decimal, format_percent

from api.console.event_texts import EVENTS, OTHER_CONSENTS, REWARDS, TYPES
from api.timeline_text import REASONS
from content.readable_names import words
from workflows.channels import CHANNELS, channel_name
from workflows.minor_units import minor_units, whole_units

_DASH: Final = "\N{EN DASH}"
_DAY: Final = 86_400
_HOUR: Final = 3_600
#: Before what the reason of an end names: the event that ended it.
_EXIT_ON: Final = "exit_on:"
_CHANNELS: Final = {str(name): spec for name, spec in CHANNELS.items()}


@dataclass(frozen=True)
class Speech:
    """How a page says things in its language; what it has no words for it says as plainly as English can."""

    language: str
    translated: Callable[[str], str]
    several: Callable[[str, str, int], str]

    def say(self, text: str, **given: object) -> str:
        """A text of the catalogue with its holes filled."""
        return self.translated(text) % given

    def name(self, code: str) -> str:
        """A name of ours, translated where the catalogue knows it."""
        return self.translated(plain) if (plain := words(code)) else ""

    def event(self, name: str) -> str:
        """What a type of event is, by the type or by what journeys call it."""
        kind = TYPES.get(name, name).removeprefix("igaming.").removesuffix(".v1")
        if kind in EVENTS:
            return self.translated(EVENTS[kind])
        return self.say("Something else: %(name)s", name=words(kind.rpartition(".")[2]).lower())

    def channel(self, name: str) -> str:
        """A way to a player, or a use of their data that takes a consent."""
        known = _CHANNELS.get(channel_name(name))
        if known is not None:
            return known.label(self.language)
        return self.translated(OTHER_CONSENTS[name]) if name in OTHER_CONSENTS else self.name(name)

    def reward(self, kind: str) -> str:
        """A kind of reward."""
        return self.translated(REWARDS[kind]) if kind in REWARDS else self.name(kind)

    def subject(self, name: str) -> str:
        """What the gate was asked about: the channel of a message, or a kind of reward."""
        return self.reward(name) if name in REWARDS else self.channel(name)

    def reason(self, code: str | None) -> str:
        """Why something did not happen, or how a run ended, as it completes a sentence; nothing for no reason."""
        if not code:
            return ""
        if code.startswith(_EXIT_ON):
            return self.say("%(event)s ended it", event=self.quoted(self.event(code.removeprefix(_EXIT_ON))))
        return self.translated(REASONS[code]) if code in REASONS else words(code).lower()

    def quoted(self, text: str) -> str:
        """A name between the quotation marks of the language."""
        return f"“{text}”" if self.language == "en" else f"«{text}»"

    def money(self, minor: int | None, currency: str | None) -> str:
        """An amount in its currency, the euro where nobody told which; a dash for none."""
        if minor is None:
            return _DASH
        code = currency or "EUR"
        decimals = f".{'0' * minor_units(code)}" if minor_units(code) else ""
        pattern = f"#,##0{decimals} ¤¤"
        return str(
            format_currency(whole_units(minor, code), code, pattern, locale=self.language, currency_digits=False)
        )

    def number(self, value: float, pattern: str | None = None) -> str:
        """A number, its thousands parted."""
        return str(format_decimal(value, pattern, locale=self.language))

    def share(self, value: float) -> str:
        """A share of one, in percent."""
        return str(format_percent(value, "#,##0.0 %", locale=self.language))

    def days(self, count: int) -> str:
        """So many days."""
        return self.several("%(num)s day", "%(num)s days", count) % {"num": self.number(count)}

    def time(self, length: timedelta) -> str:
        """A length of time in days where they are whole, else in hours; below an hour in minutes."""
        seconds = round(length.total_seconds())
        if seconds >= _DAY and seconds % _DAY == 0:
            return self.days(seconds // _DAY)
        if seconds >= _HOUR:
            return self.say("%(n)s h", n=self.number(round(seconds / _HOUR, 1)))
        return self.say("%(n)s min", n=self.number(max(1, round(seconds / 60))))

    def day(self, value: object) -> str:
        """A date; what is none comes back as text."""
        return str(format_date(value, "d MMM y", locale=self.language)) if isinstance(value, date) else str(value)
