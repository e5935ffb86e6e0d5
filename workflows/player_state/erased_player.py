"""A player whose data was erased: what of them stays, so that they are left alone, and how they may come back.

Everything of a player's row is either among `STAYS` or gone; a test asks of each part which of the two it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final

from workflows.player_state.exclusion_blocks import ACCOUNT, END_OF, OPENED, Block
from workflows.player_state.harm_markers import MarkerNotes
from workflows.player_state.limits_and_checks import is_open
from workflows.player_state.ordering import Word
from workflows.player_state.projection import PlayerProjection
from workflows.player_state.shadow_runs import ShadowedPlayer

#: The parts of a player's row that stay, each with the reason. What is not here goes.
STAYS: Final = {
    "brand": "whose row it is",
    "player_id": "a pseudonym, which money records and exclusions bear",
    "erased_at": "what happened before is taken in no more",
    "exclusions": "they hold until they are ended (art. 17(3)(b) GDPR; GB LCCP SR 3.5.3)",
    "excluded_in": "where they were set, which says how long they last",
    "harm": "protects",
    "watch": "signs of harm protect until they fade or are judged; what markers went by is gone",
    "limits": "protect, and end by themselves",
    "checks": "those that are open: they stand against offers",
    "consents": "what was refused (art. 21(3) GDPR); what was given is gone",
    "consent_notes": "of the refusals",
    "told": "when these were said",
    "loyalty": "points are worth something and their journal stays; they expire by themselves",
    "accounts": "the person's other accounts, which are protected with this one",
    "merged_into": "the account that what is told of this one counts for",
    "merged_at": "since when",
    "taken": "so that no run of a player who comes back bears the id of a former one",
    "runs": "until each has ended",
    "shadows": "until each has ended",
}
#: The parts that go.
GOES: Final = frozenset(
    {
        "counts",
        "first",
        "last",
        "streaks",
        "day_streaks",
        "series",
        "hours",
        "stakes",
        "deposited_minor",
        "net_deposits",
    }
    | {"status", "status_since", "timed_status", "merged_away", "bounces", "moments", "occasions", "facts", "ahead"}
    | {"born", "segments", "entries"}
)
#: What begins the names under which `told` says when something was said that stays.
_TOLD: Final = (END_OF, "no to ", "ended yes to ")


@dataclass(slots=True)
class ErasedPlayer(ShadowedPlayer):
    """A player who may have been erased."""

    #: When the player was erased the last time.
    erased_at: datetime | None = None

    @property
    def is_erased(self) -> bool:
        """Whether the player was erased and has not registered since."""
        return self.erased_at is not None and self.status is None

    def protected(self, now: datetime) -> str | None:
        """Why this player must be left alone. One who was erased has no account until they register again."""
        reason = PlayerProjection.protected(self, now)
        return "account_not_active" if reason is None and self.is_erased else reason

    def inherit(self, block: Block, places: Iterable[str]) -> None:
        """Keep an exclusion that the person had under an account which was erased, unless a newer word ended it."""
        # What that account's status was is no status of this one.
        scope = "brand" if block.scope == ACCOUNT else block.scope
        ended = self.told.get(f"{END_OF}{block.kind}/{scope}")
        if self._block(block.kind, scope, block.until, Word(block.since, live=False), ended):
            self.excluded_in = sorted({*self.excluded_in, *places})

    def empty(self, now: datetime) -> None:
        """Drop everything that does not stay. Runs are told to end before, by `erasing.forget`."""
        self.adopt_status()
        blank = type(self)(self.brand, self.player_id)
        for name in (one.name for one in fields(self) if one.name not in STAYS):
            setattr(self, name, getattr(blank, name))
        self.erased_at = now
        self.watch.notes = MarkerNotes()
        self.checks = {name: check for name, check in self.checks.items() if is_open(check, now)}
        self.consents = {key: word for key, word in self.consents.items() if not word[0]}
        self.consent_notes = {key: note for key, note in self.consent_notes.items() if key in self.consents}
        kept = {OPENED, *(f"check {name}" for name in self.checks)}
        self.told = {name: at for name, at in self.told.items() if name in kept or name.startswith(_TOLD)}
