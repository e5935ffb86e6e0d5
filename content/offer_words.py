"""What a reward is called, and what it is bound to, in a player's language: written from the reward itself. Pure.

A text that names a value by hand and a reward that gives another are two truths. So a message about a grant gets its
words from what was granted: the value, the conditions that count for it, and its end on the player's own clock.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any, Final

from babel import Locale

from content.variable_values import Manner, Money, write_datetime, write_money, write_percent, write_plural
from workflows.json_object import JsonObject

#: By language: the words of a value, of a condition, and of what has none of its own. `{}` is what is written there.
_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "bonus_money": "a bonus of {}",
        "cash": "{} in cash",
        "free_bet": "a free bet of {}",
        "back": "{} back on losses, up to {}",
        "match": "{} on top of a deposit, up to {}",
        "gift": "a gift",
        "wager": "wagering x{}",
        "max_win": "winnings of up to {}",
        "min_deposit": "for a deposit of {} or more",
        "until": "until {}",
    },
    "ru": {
        "bonus_money": "бонус {}",
        "cash": "{} деньгами",
        "free_bet": "бесплатная ставка {}",
        "back": "возврат {} проигрыша, до {}",
        "match": "{} к депозиту, до {}",
        "gift": "подарок",
        "wager": "вейджер x{}",
        "max_win": "выигрыш до {}",
        "min_deposit": "при депозите от {}",
        "until": "до {}",
    },
    "uk": {
        "bonus_money": "бонус {}",
        "cash": "{} грошима",
        "free_bet": "безкоштовна ставка {}",
        "back": "повернення {} програшу, до {}",
        "match": "{} до депозиту, до {}",
        "gift": "подарунок",
        "wager": "вейджер x{}",
        "max_win": "виграш до {}",
        "min_deposit": "за депозиту від {}",
        "until": "до {}",
    },
}
_SPINS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {"one": "free spin", "other": "free spins"},
    "ru": {"one": "бесплатное вращение", "few": "бесплатных вращения", "many": "бесплатных вращений"},
    "uk": {"one": "безкоштовне обертання", "few": "безкоштовні обертання", "many": "безкоштовних обертань"},
}
_POINTS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {"one": "point", "other": "points"},
    "ru": {"one": "балл", "few": "балла", "many": "баллов"},
    "uk": {"one": "бал", "few": "бали", "many": "балів"},
}


def offer_variables(
    reward: JsonObject, until: datetime, language: str, zone: tzinfo, currency: str | None
) -> dict[str, str]:
    """The shared variables `offer`, `offer_until` and `terms` of a message about this reward.

    Languages without words of ours read the English ones. An amount without a currency is left out, for nobody may
    guess one; then the value is a gift.
    """
    base = language.replace("_", "-").partition("-")[0].casefold()
    known = base if base in _WORDS else "en"
    writing = _Writing(reward, known, Manner(Locale.parse(known), zone), currency)
    conditions = [*writing.conditions(), writing.words["until"].format(write_datetime(writing.manner, until))]
    return {"offer": writing.value(), "offer_until": until.isoformat(), "terms": "; ".join(conditions)}


class _Writing:
    """One reward, being written in one language."""

    def __init__(self, reward: JsonObject, language: str, manner: Manner, currency: str | None) -> None:
        self.reward = reward
        self.language = language
        self.words = _WORDS[language]
        self.manner = manner
        self.currency = currency

    def value(self) -> str:
        kind = str(self.reward.get("kind", ""))
        writer = _VALUES.get(kind)
        return (writer(self, kind) if writer is not None else None) or self.words["gift"]

    def conditions(self) -> Iterator[str]:
        """What counts beside the value; a condition without a word here stands in the full terms."""
        if times := self.reward.get("wager_x"):
            yield self.words["wager"].format(times)
        for name in ("max_win", "min_deposit"):
            if (amount := self.money(f"{name}_minor")) is not None:
                yield self.words[name].format(amount)

    def money(self, name: str) -> str | None:
        minor = self.reward.get(name)
        return None if minor is None or not self.currency else write_money(self.manner, Money(minor, self.currency))

    def amount(self, kind: str, name: str) -> str | None:
        amount = self.money(name)
        return None if amount is None else self.words[kind].format(amount)

    def share(self, kind: str, name: str) -> str | None:
        cap = self.money("cap_minor")
        return None if cap is None else self.words[kind].format(write_percent(self.manner, self.reward[name]), cap)

    def counted(self, forms: Mapping[str, Mapping[str, str]], name: str) -> str:
        return write_plural(self.manner, self.reward[name], forms[self.language])


_VALUES: Final[Mapping[str, Callable[[_Writing, str], Any]]] = {
    "free_spins": lambda one, _: one.counted(_SPINS, "count"),
    "points": lambda one, _: one.counted(_POINTS, "points"),
    "bonus_money": lambda one, kind: one.amount(kind, "amount_minor"),
    "cash": lambda one, kind: one.amount(kind, "amount_minor"),
    "free_bet": lambda one, kind: one.amount(kind, "stake_minor"),
    "cashback": lambda one, _: one.share("back", "pct"),
    "deposit_match": lambda one, _: one.share("match", "match_pct"),
    "reload": lambda one, _: one.share("match", "match_pct"),
}
