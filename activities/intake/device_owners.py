"""The table `device_owners`: whose a device is, so that a push for one player is not read by the next.

Only this module writes it. A token is one app on one device. When it is registered for another player of the brand, who
signed in there, it is theirs and no more that of whoever had it before, whether that one's logout was told or not.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import orjson
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from activities.intake.locked_elsewhere import AccountsNotLocked
from workflows.events import DeviceRemoved, Event
from workflows.json_object import JsonObject
from workflows.player_state.devices import DEVICE
from workflows.player_state.ordering import instant
from workflows.player_state.state import PlayerState
from workflows.rules.streak_state import micros

SOURCE: Final = "engine:devices"


class PlayersWithDevices(Protocol):
    """The locked players of a brand, and what changes of their profiles."""

    states: dict[str, PlayerState]
    profiles: dict[str, JsonObject]


@dataclass(frozen=True, slots=True)
class _Claim:
    """That a device was told to be a player's, and when, in microseconds since 1970."""

    player_id: str
    at: int
    token: str = ""


async def let_go(connection: AsyncConnection, brand: str, players: PlayersWithDevices) -> list[tuple[str, Event]]:
    """What those are to be told whose devices are another player's now, by what changes of profiles.

    Costs nothing unless a device is among it. Of two players it is whose registration is the later one, in whatever
    order they come. Raises AccountsNotLocked for one who must let a device go and is not locked.
    """
    gained, lost = _claims(players)
    if lost:
        await connection.execute(_RELEASE, {"brand": brand, "rows": _json(lost)})
    if not gained:
        return []
    newest = [
        {"device": name, "player_id": claims[0].player_id, "since": instant(claims[0].at)}
        for name, claims in gained.items()
    ]
    await connection.execute(_CLAIM, {"brand": brand, "rows": _json(newest)})
    moved: list[JsonObject] = []
    told: list[tuple[str, Event]] = []
    for row in (await connection.execute(_OWNERS, {"brand": brand, "devices": [*gained]})).all():
        kept = _Claim(row.player_id, micros(row.since))
        claims = [*gained[row.device], kept]
        winner = max(claims, key=lambda one: one.at)
        if (winner.player_id, winner.at) != (kept.player_id, kept.at):
            moved.append({"device": row.device, "player_id": winner.player_id, "since": instant(winner.at)})
        for loser in sorted({one.player_id for one in claims} - {winner.player_id}):
            if loser not in players.states:
                raise AccountsNotLocked({(brand, loser): winner.player_id})
            if players.states[loser].told.get(row.device, 0) > 0:
                told.append((loser, _removed(loser, claims[0].token, winner.at)))
    if moved:
        await connection.execute(_MOVE, {"brand": brand, "rows": _json(moved)})
    return told


def _claims(players: PlayersWithDevices) -> tuple[dict[str, list[_Claim]], list[JsonObject]]:
    """By device: for whom it was registered, the latest first; and what players have no more."""
    gained: dict[str, list[_Claim]] = {}
    lost: list[JsonObject] = []
    for player_id, profile in players.profiles.items():
        for name, token in profile.items():
            if name.startswith(DEVICE) and token:
                at = players.states[player_id].told[name]
                gained.setdefault(name, []).append(_Claim(player_id, at, token))
            elif name.startswith(DEVICE):
                lost.append({"device": name, "player_id": player_id})
    for claims in gained.values():
        claims.sort(key=lambda one: one.at, reverse=True)
    return dict(sorted(gained.items())), lost


def _removed(player_id: str, token: str, at: int) -> DeviceRemoved:
    name = hashlib.blake2b(f"{player_id}\n{token}\n{at}".encode(), digest_size=12).hexdigest()
    return DeviceRemoved.model_validate(
        {
            "event_id": f"device-moved/{name}",
            "event_source": SOURCE,
            "occurred_at": instant(at),
            "token": token,
            "reason": "moved",
        }
    )


def _json(rows: Sequence[JsonObject]) -> str:
    return orjson.dumps(rows, option=orjson.OPT_UTC_Z).decode()


_RELEASE: Final = text(
    """
    DELETE FROM device_owners o
    USING json_to_recordset(CAST(:rows AS json)) AS t (device text, player_id text)
    WHERE o.brand = :brand AND o.device = t.device AND o.player_id = t.player_id
    """
)
# Whoever registers the same device at the same time waits here for what the other does.
_CLAIM: Final = text(
    """
    INSERT INTO device_owners (brand, device, player_id, since)
    SELECT :brand, device, player_id, since
    FROM json_to_recordset(CAST(:rows AS json)) AS t (device text, player_id text, since timestamptz)
    ORDER BY device
    ON CONFLICT (brand, device) DO NOTHING
    """
).bindparams(bindparam("brand", type_=Text))
_OWNERS: Final = text(
    """
    SELECT device, player_id, since FROM device_owners WHERE brand = :brand AND device = ANY(:devices)
    ORDER BY device FOR UPDATE
    """
).bindparams(bindparam("devices", type_=ARRAY(Text)))
_MOVE: Final = text(
    """
    UPDATE device_owners o SET player_id = t.player_id, since = t.since
    FROM json_to_recordset(CAST(:rows AS json)) AS t (device text, player_id text, since timestamptz)
    WHERE o.brand = :brand AND o.device = t.device
    """
)
#: Forgets up to `:limit` devices of a player that were theirs before `:before`.
ERASE: Final = text(
    """
    DELETE FROM device_owners WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM device_owners WHERE brand = :brand AND player_id = :player AND since <= :before LIMIT :limit))
    """
)
