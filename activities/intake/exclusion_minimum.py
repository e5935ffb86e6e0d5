"""Refuses to end a self-exclusion before its minimum: what is decided in a bad hour is not undone in the next one."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.intake.event_store import IS_KNOWN
from activities.intake.receipts import ItemRefusal
from activities.player_rows import LOCK_PLAYERS
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


def ends_among(events: Sequence[tuple[str, Event]]) -> dict[int, tuple[str, Event]]:
    """By position: the events that may end a self-exclusion."""
    return {position: pair for position, pair in enumerate(events) if _is_end(pair[1])}


async def early_ends(
    connection: AsyncConnection,
    brand: str,
    player_ids: Collection[str],
    events: Sequence[tuple[str, Event]],
    ends: Mapping[int, tuple[str, Event]],
    minimum: SelfExclusionMinimum,
    now: datetime,
) -> dict[int, TooEarly]:
    """By position: those of `ends` that would end a self-exclusion that is younger than `minimum`.

    Costs nothing unless there are any. If there are, all `player_ids` are locked from here on, in the order in
    which everybody locks them, so that no exclusion can come in between. They are all that the batch will lock.
    """
    if not ends:
        return {}
    rows = await connection.execute(LOCK_PLAYERS, {"brand": brand, "ids": sorted(player_ids)})
    states = {row.id: PlayerState.from_text(brand, row.id, row.state) for row in rows}
    identities = [{"source": event.event_source, "id": event.event_id} for _, event in ends.values()]
    asked = {"brand": brand, "rows": orjson.dumps(identities).decode()}
    known = {(row.source, row.id) for row in await connection.execute(_KNOWN, asked)}
    early: dict[int, TooEarly] = {}
    for position, (player_id, event) in ends.items():
        if (event.event_source, event.event_id) in known:
            continue  # it is a duplicate, and was judged when it was new
        before = [other for one, other in events[:position] if one == player_id]
        at, least = min(event.occurred_at, now), minimum.of(brand, states.get(player_id), now)
        for since in _begun(event, states, player_id, before):
            if since <= at < since + least:
                early[position] = TooEarly(since, least)
    return early


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


_KNOWN = text(
    f"""
    SELECT t.source, t.id FROM json_to_recordset(CAST(:rows AS json)) AS t (source text, id text) WHERE {IS_KNOWN}
    """  # noqa: S608 - our own words
)
