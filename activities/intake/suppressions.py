"""The table `suppressions`: exclusions that outlive the data of the person they protect.

Only this module writes it. When a player is erased, what excludes them is kept by a keyed digest of their mail address
and phone: a law wants a self-excluded person left alone whatever else is known of them (GDPR art. 17(3)(b)). Who
registers with one of these addresses, under whatever id, is excluded before anything else happens.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import orjson
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from activities.identity_digests import IdentityDigests
from activities.intake.group_exclusions import Players
from workflows.events import Event, PlayerRegistered, ProfileUpdated
from workflows.json_object import JsonObject
from workflows.player_state.brand_groups import is_of_group
from workflows.player_state.exclusion_blocks import Block
from workflows.player_state.projection import ABOUT_PERSON
from workflows.player_state.state import Mode, PlayerState

#: What a person is recognised by for good: two people may share a name and a date of birth.
_ADDRESSES: Final = frozenset({"email", "phone"})


async def suppress(
    connection: AsyncConnection,
    digests: IdentityDigests,
    brand: str,
    others: Sequence[str],
    state: PlayerState,
    profile: Mapping[str, object],
    now: datetime,
) -> int:
    """Keep what excludes a player, beside their row; how many exclusions that were.

    What holds in every brand of a group is kept for the `others` of it as well. Without an address to
    recognise them by, or without a secret, the exclusion stays with the player's id alone.
    """
    if not digests.is_ready:
        return 0
    blocks = [block for block in state.exclusions if block.until is None or block.until > now]
    keys = [digest for kind, digest in digests.of(profile).items() if kind in _ADDRESSES]
    rows = [
        {
            "digest": digest,
            "brand": one,
            "kind": block.kind,
            "scope": block.scope,
            "until": block.until,
            "since": block.since,
            "places": [*state.excluded_in],
        }
        for digest in keys
        for block in blocks
        for one in (brand, *(others if is_of_group(block.kind, block.scope) else ()))
    ]
    if rows:
        await connection.execute(_KEEP, {"rows": orjson.dumps(rows, option=orjson.OPT_UTC_Z).decode()})
    return len(blocks) if keys else 0


async def suppress_again(
    connection: AsyncConnection,
    digests: IdentityDigests,
    brand: str,
    new: Iterable[tuple[str, Event]],
    players: Players,
    now: datetime,
    mode: Mode,
) -> None:
    """Exclude who comes with an address of a person who was erased while excluded, before the event is applied.

    Costs nothing unless an event brings an address.
    """
    sought: dict[str, set[str]] = {}
    for player_id, event in new:
        if not isinstance(event, ABOUT_PERSON):
            continue
        for digest, kind in digests.sought(_addresses(event)).items():
            if kind in _ADDRESSES:
                sought.setdefault(digest, set()).add(player_id)
    if not sought:
        return
    for row in await connection.execute(_FIND, {"brand": brand, "digests": [*sought]}):
        for player_id in sorted(sought[row.digest]):
            state = players.states[player_id]
            state.inherit(Block(row.kind, row.scope, row.until, row.since), row.places)
            players.record(player_id, state.stop_protected(now, mode=mode))


def _addresses(event: Event) -> JsonObject:
    match event:
        case PlayerRegistered():
            return {"email": event.email, "phone": event.phone}
        case ProfileUpdated():
            return {name: event.changed[name] for name in ("email", "phone") if event.changed.get(name)}
        case _:
            return {}


# Two people may have had an address one after the other: then the longer exclusion counts.
_KEEP = text(
    """
    INSERT INTO suppressions (digest, brand, kind, scope, until, since, places)
    SELECT digest, brand, kind, scope, until, since, places
    FROM json_to_recordset(CAST(:rows AS json))
      AS t (digest text, brand text, kind text, scope text, until timestamptz, since timestamptz, places text[])
    ORDER BY digest, brand, kind, scope
    ON CONFLICT (digest, brand, kind, scope) DO UPDATE
    SET until = CASE WHEN suppressions.until IS NOT NULL AND excluded.until IS NOT NULL
                     THEN greatest(suppressions.until, excluded.until) END,
        since = greatest(suppressions.since, excluded.since)
    """
)
_FIND = text(
    """
    SELECT digest, kind, scope, until, since, places FROM suppressions
    WHERE digest = ANY(:digests) AND brand = :brand
    """
).bindparams(bindparam("digests", type_=ARRAY(Text)))
#: Forgets up to `:limit` that ended before `:before`.
FORGET: Final = text(
    "DELETE FROM suppressions WHERE ctid = ANY(ARRAY(SELECT ctid FROM suppressions WHERE until < :before LIMIT :limit))"
)
