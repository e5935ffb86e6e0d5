"""Other systems' words for what the catalogue has a name for, compared without case and marks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

_MARKS = re.compile(r"[\W_]+")


def normal(text: str) -> str:
    """The words alone: "Live-Casino " and "live_casino" are both "live casino"."""
    return _MARKS.sub(" ", text[:200]).strip().casefold()


@dataclass(frozen=True)
class Words:
    """What a deployment adds to the words known here; make it with `of`."""

    #: Event names in normal form, to short or wire types of the catalogue.
    events: Mapping[str, str] = field(default_factory=dict)
    #: Kinds of game in normal form, to categories of the catalogue.
    game_types: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Mapping[str, str], game_types: Mapping[str, str]) -> Self:
        """The words of a deployment, as its settings spell them."""
        return cls(*({normal(name): ours for name, ours in table.items()} for table in (events, game_types)))

    def category_of(self, text: object) -> object:
        """The catalogue's category of a kind of game.

        A kind nobody has named stays as it is, and the catalogue refuses it: a favourite that was guessed is worse
        than an integrator who is told.
        """
        if not isinstance(text, str):
            return text
        word = normal(text)
        return self.game_types.get(word) or CATEGORIES.get(word, text)


def failure_of(text: object) -> str:
    """Why a deposit failed, as the catalogue says it; `declined` where the sender does not say, or not in our words."""
    return FAILURES.get(normal(text), "declined") if isinstance(text, str) else "declined"


CATEGORIES: Final[Mapping[str, str]] = {
    word: category
    for category, words in {
        "slot": "slot, slots, video slot, video slots, classic slots, jackpot, jackpots, jackpot slots, megaways",
        "table": "table, tables, table game, table games, blackjack, roulette, baccarat, craps, sic bo",
        "live": "live, live casino, live dealer, live game, live games, live table, game show, game shows",
        "crash": "crash, crash game, crash games, mines, plinko",
        "bingo": "bingo",
        "lottery": "lottery, lotto, keno, scratch, scratch card, scratch cards, scratchcard, scratchcards",
        "poker": "poker, video poker, casino poker",
        "virtual": "virtual, virtuals, virtual sport, virtual sports",
    }.items()
    for word in words.split(", ")
}

FAILURES: Final[Mapping[str, str]] = {
    word: failure
    for failure, words in {
        "insufficient": "insufficient, insufficient funds, not sufficient funds, no funds, funds",
        "declined": "declined, rejected, do not honor, do not honour",
        "3ds": "3ds, 3d secure, authentication failed, authentication required",
        "limit": "limit, limit reached, limit exceeded, deposit limit",
        "expired_card": "expired card, card expired, expired",
        "technical": "technical, technical error, timeout, error, provider error, gateway error",
        "fraud": "fraud, suspected fraud, fraud suspected, stolen card, lost card",
    }.items()
    for word in words.split(", ")
}
