"""What a key must be allowed besides sending events: to lift protection, judge signs of harm, change an address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy import text

from activities.intake.event_store import IS_KNOWN
from activities.intake.receipts import ItemRefusal
from api.cloudevents import PlayerEvent
from api.dependencies import ApiEngine
from api.permissions import Key
from workflows.events import (
    DeviceRegistered,
    Event,
    ExclusionEnded,
    HarmReviewed,
    PlayerRegistered,
    ProfileUpdated,
    StatusChanged,
)
from workflows.player_state.account_status import UNPROTECTED_STATUSES

LIFT: Final = "protection:lift"
PROFILE: Final = "profiles:write"
REVIEW: Final = "harm:review"
#: Fields of a profile that messages go to.
ADDRESSES: Final = ("email", "phone")

_WHY: Final[Mapping[str, str]] = {
    LIFT: "it lifts what protects the player",
    PROFILE: "it changes an address that the player's messages go to",
    REVIEW: "it stands for the judgement of a person who is trained for it",
}


@dataclass(frozen=True)
class ScopeRefusal(ItemRefusal):
    """An event that the key may not send: it lacks this scope."""

    pointer = "/type"
    reason = "scope"

    scope: str

    @property
    def detail(self) -> str:
        """What to do, as a sentence."""
        return f"This needs a key with the scope {self.scope} as well: {_WHY[self.scope]}."


async def scope_refusals(engine: ApiEngine, key: Key, events: Sequence[PlayerEvent]) -> dict[int, ScopeRefusal]:
    """By position: the events that the key may not send."""
    lacked = [scope for scope in (LIFT, PROFILE, REVIEW) if not key.may((scope,))]
    if not lacked:
        return {}
    scopes = ((position, _scope_of(event)) for position, (_, event) in enumerate(events))
    needed = {position: scope for position, scope in scopes if scope is not None and scope in lacked}
    if PROFILE in lacked:
        needed |= dict.fromkeys(await _changed_addresses(engine, key.brand, events), PROFILE)
    return {position: ScopeRefusal(scope) for position, scope in needed.items()}


def _scope_of(event: Event) -> str | None:
    match event:
        case ExclusionEnded():
            return LIFT
        case HarmReviewed():
            return REVIEW
        case StatusChanged() if event.to in UNPROTECTED_STATUSES:
            return LIFT
        case DeviceRegistered():
            return PROFILE
        case ProfileUpdated() if not event.changed.keys().isdisjoint(ADDRESSES):
            return PROFILE
        case _:
            return None


async def _changed_addresses(engine: ApiEngine, brand: str, events: Sequence[PlayerEvent]) -> list[int]:
    """Positions of registrations that bring an address where there is one; one that is known already brings nothing."""
    rows = [
        {"position": position, "player_id": player_id, "source": event.event_source, "id": event.event_id}
        for position, (player_id, event) in enumerate(events)
        if isinstance(event, PlayerRegistered) and any(getattr(event, name) is not None for name in ADDRESSES)
    ]
    if not rows:
        return []
    async with engine.database.reading() as connection:
        found = await connection.execute(_READDRESSED, {"brand": brand, "rows": orjson.dumps(rows).decode()})
        return [*found.scalars()]


_READDRESSED = text(
    f"""
    SELECT t.position
    FROM json_to_recordset(CAST(:rows AS json)) AS t (position int, player_id text, source text, id text)
    JOIN players p ON p.brand = :brand AND p.id = t.player_id
    WHERE (p.profile ->> 'email' IS NOT NULL OR p.profile ->> 'phone' IS NOT NULL)
      AND NOT {IS_KNOWN}
    """  # noqa: S608 - our own words
)
