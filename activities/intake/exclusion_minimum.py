"""Refuses to end a self-exclusion before its minimum: what is decided in a bad hour is not undone in the next one."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from activities.intake.receipts import ItemRefusal
from workflows.events import Event, ExclusionEnded, ExclusionSet, StatusChanged
from workflows.gate.policy_book import PolicyBook
from workflows.player_state.account_status import UNPROTECTED_STATUSES
from workflows.player_state.exclusion_blocks import ACCOUNT, SELF_EXCLUDED, SELF_EXCLUSION
from workflows.player_state.state import PlayerState


@dataclass(frozen=True)
class TooEarly(ItemRefusal):
    """An end of a self-exclusion that has not lasted its minimum."""

    pointer = "/type"
    reason = "too_early"

    since: datetime
    minimum: timedelta

    @property
    def detail(self) -> str:
        """What to do, as a sentence."""
        began, until = (f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" for at in (self.since, self.since + self.minimum))
        return f"This self-exclusion began at {began}; send its end from {until} on."


@dataclass(frozen=True)
class SelfExclusionMinimum:
    """How long a self-exclusion lasts before anything may end it: by the setting and by the policies, the longer."""

    setting: timedelta = timedelta(0)
    policies: PolicyBook = field(default_factory=PolicyBook)

    def of(self, brand: str, state: PlayerState | None, now: datetime) -> timedelta:
        """That of a player, by where they are and by where they were when it was set."""
        places = {None} if state is None else {state.jurisdiction, *state.excluded_in}
        return max(self.setting, *(self.policies.at(brand, one, now).self_exclusion_least for one in places))


class EndsTooEarly(Exception):
    """Ends come before their minimum that were not known to when the transaction began."""

    def __init__(self, refusals: Mapping[int, TooEarly]) -> None:
        super().__init__("A self-exclusion has not lasted its minimum; take the batch in without its end.")
        self.refusals = refusals


class EarlyEnds:
    """The ends of a batch that come before their minimum, once one has come.

    They are judged by whoever has locked the rows, after the identities are stored as in every other batch, and not
    before: in the other order two senders of one event would wait for each other. Who finds one begins anew without it.
    """

    def __init__(self, minimum: SelfExclusionMinimum) -> None:
        self.minimum = minimum
        #: By position in the batch.
        self.refusals: dict[int, TooEarly] = {}

    def look(
        self,
        brand: str,
        events: Sequence[tuple[str, Event]],
        accepted: Collection[int],
        states: Mapping[str, PlayerState],
        now: datetime,
    ) -> None:
        """Raise `EndsTooEarly` for ends among `accepted`, which are positions in `events`.

        A duplicate is not judged again: it was when it was new. One of an end that is refused here is: without that end
        it would be new in the next attempt, and each further copy would cost one more.
        """
        early = self._early(brand, events, accepted, states, now)
        if not early:
            return
        copied = {_named(*events[position]) for position in early}
        copies = [position for position, pair in enumerate(events) if _named(*pair) in copied]
        raise EndsTooEarly(early | self._early(brand, events, copies, states, now))

    def _early(
        self,
        brand: str,
        events: Sequence[tuple[str, Event]],
        judged: Collection[int],
        states: Mapping[str, PlayerState],
        now: datetime,
    ) -> dict[int, TooEarly]:
        early: dict[int, TooEarly] = {}
        for position in judged:
            player_id, event = events[position]
            if not _is_end(event):
                continue
            before = [other for one, other in events[:position] if one == player_id]
            at, least = min(event.occurred_at, now), self.minimum.of(brand, states.get(player_id), now)
            for since in _begun(event, states, player_id, before):
                if since <= at < since + least:
                    early[position] = TooEarly(since, least)
        return early


def _named(player_id: str, event: Event) -> tuple[str, str, str]:
    return player_id, event.event_source, event.event_id


def _is_end(event: Event) -> bool:
    if isinstance(event, ExclusionEnded):
        return event.kind == SELF_EXCLUSION
    return isinstance(event, StatusChanged) and event.to in UNPROTECTED_STATUSES


def _begun(end: Event, states: Mapping[str, PlayerState], player_id: str, before: Sequence[Event]) -> list[datetime]:
    """When what this would end began, by the player's row and by what comes before it in the batch."""
    state = states.get(player_id)
    begun: list[datetime] = []
    if isinstance(end, ExclusionEnded):
        if state is not None:
            # One whose time is over counts too: the gate holds it until its minimum as long as it is on record.
            blocks = [block for block in state.exclusions if (block.kind, block.scope) == (end.kind, end.scope)]
            begun += [block.since for block in blocks]
        sets = (event for event in before if isinstance(event, ExclusionSet))
        begun += [event.occurred_at for event in sets if (event.kind, event.scope) == (end.kind, end.scope)]
    else:
        if state is not None:
            # Another status in between has ended nothing.
            begun += [block.since for block in state.exclusions if block.scope == ACCOUNT]
        if state is not None and state.status == SELF_EXCLUDED and state.status_since is not None:
            begun.append(state.status_since)
        if state is not None and state.timed_status is not None and state.timed_status.status == SELF_EXCLUDED:
            begun.append(state.timed_status.since)
        changes = (event for event in before if isinstance(event, StatusChanged))
        begun += [event.occurred_at for event in changes if event.to == SELF_EXCLUDED]
    return begun
