"""Keeps what happened before a player was erased from coming back: by a late event, an import, a queue at a sender."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from activities.intake.backpressure import protects
from activities.intake.receipts import ItemRefusal
from workflows.events import ConsentChanged, Event, MessageReceived, StatusChanged
from workflows.player_state.erasing import too_old
from workflows.player_state.exclusion_blocks import SELF_EXCLUDED
from workflows.player_state.state import PlayerState


class PlayersErased(Exception):
    """Among what was to be applied is something from before its player was erased; nothing was done."""

    def __init__(self, players: Mapping[str, datetime]) -> None:
        super().__init__(players)
        #: By player: when they were erased.
        self.players = players


@dataclass(frozen=True)
class BeforeErasure(ItemRefusal):
    """An event from before its player was erased."""

    pointer = "/time"
    reason = "erased"

    at: datetime

    @property
    def detail(self) -> str:
        """What to do, as a sentence."""
        moment = f"{self.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        return f"The player was erased at {moment}: nothing from before is taken in any more; do not send it again."


class ErasedPast:
    """The players of a batch who were erased, once something of theirs from before that has come.

    Nobody is asked for them beforehand, because it almost never happens: whoever has locked the rows looks, and begins
    anew if there is one.
    """

    def __init__(self) -> None:
        self.players: dict[str, datetime] = {}

    def look(self, new: Iterable[tuple[str, Event]], states: Mapping[str, PlayerState]) -> None:
        """Raise `PlayersErased` for what is from before and was not known to be."""
        if found := too_old(new, states, but=self.players):
            raise PlayersErased(found)

    def refusals(self, events: Sequence[tuple[str, Event]]) -> dict[int, ItemRefusal]:
        """By position: the events from before their player was erased, but for what protects the person."""
        if not self.players:
            return {}
        return {
            position: BeforeErasure(self.players[player_id])
            for position, (player_id, event) in enumerate(events)
            if self._is_past(player_id, event) and not _still_counts(event)
        }

    def bare(self, events: Sequence[tuple[str, Event]]) -> Sequence[tuple[str, Event]]:
        """The same events; those from before their player was erased say nothing personal."""
        if not self.players:
            return events
        return [(player_id, _bare(event) if self._is_past(player_id, event) else event) for player_id, event in events]

    def _is_past(self, player_id: str, event: Event) -> bool:
        return player_id in self.players and event.occurred_at <= self.players[player_id]


def _still_counts(event: Event) -> bool:
    # What the account was is of no account any more; that the person excluded themselves is.
    return protects(event) and not (isinstance(event, StatusChanged) and event.to != SELF_EXCLUDED)


def _bare(event: Event) -> Event:
    """The event without personal data. A stop word is personal, and what it says is not."""
    if not isinstance(event, MessageReceived):
        return event.redacted()
    return ConsentChanged(
        event_id=event.event_id,
        event_source=event.event_source,
        occurred_at=event.occurred_at,
        channel=event.channel,
        opted_in=False,
        source="stop_word",
    )
