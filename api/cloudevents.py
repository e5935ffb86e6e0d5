"""Reads a CloudEvent into a typed event, or lists every fault of it with a JSON Pointer."""

import re
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from api.bounds import ITEM
from api.json_text import is_json, media_type_of
from api.json_types import find_unkept
from api.problems import pointer, sentence
from api.semantic_validation import semantic_errors
from content.event_descriptions import nearest_type
from workflows.errors import DerivedEventRefused, UnknownEventType
from workflows.events import CATALOGUE, Event, PlayerMerged, parse_event
from workflows.json_object import JsonObject

#: How far ahead of ours a sender's clock may be.
TOLERANCE: Final = timedelta(minutes=5)
PLAYER_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9._~:@=+-]{0,63}$"

#: What a player's id is, in words.
PLAYER_ID_IS: Final = "1 to 64 letters, digits or any of . _ ~ : @ = + -, the first of them a letter or a digit."

_PLAYER_ID = re.compile(PLAYER_ID.removesuffix("$") + r"\Z")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_ATTRIBUTE: Final = {"event_id": "/id", "event_source": "/source", "occurred_at": "/time"}
_MOST: Final = 20

Fault = dict[str, str]
#: Whose event, and the event.
PlayerEvent = tuple[str, Event]


def is_player_id(text: str) -> bool:
    """Whether a player may have this id."""
    return _PLAYER_ID.match(text) is not None


def read_event(item: object, brand: str, now: datetime, *, suspect: bool = False) -> PlayerEvent | list[Fault]:
    """The player's id and the event, or what is wrong with it.

    `suspect` says that the body may hold a NUL or half a character somewhere, which Postgres cannot keep.
    """
    if not isinstance(item, dict):
        return [_fault("", "An event is a JSON object.")]
    if (excess := ITEM.excess(item)) is not None:
        return [_fault("", excess)]
    # First and alone: what is said of other faults may repeat the text, and an answer cannot hold half a character.
    if suspect and (unkept := find_unkept(item)) is not None:
        return [_fault(*unkept)]
    faults: list[Fault] = []
    if item.get("specversion") != "1.0":
        faults.append(_fault("/specversion", 'Set specversion to "1.0".'))
    player_id = item.get("subject")
    if not isinstance(player_id, str) or not is_player_id(player_id):
        faults.append(_fault("/subject", f"Set subject to the player's id: {PLAYER_ID_IS}"))
    if item.get("brandid", brand) != brand:
        faults.append(_fault("/brandid", f"The key belongs to the brand {brand}; send its events only, or no brandid."))
    content_type = item.get("datacontenttype")
    if "data_base64" in item or not (content_type is None or _says_json(content_type)):
        faults.append(_fault("/datacontenttype", "Send data as JSON, with datacontenttype application/json or none."))
    time = item.get("time")
    if time is None:
        time = now
    elif not isinstance(time, str) or not _RFC3339.fullmatch(time):
        faults.append(_fault("/time", "Write time as RFC 3339 with an offset, such as 2026-01-15T12:00:00Z."))
        time = now
    event = _event(item, time, now, faults)
    if event is not None:
        faults += [_fault(*complaint) for complaint in semantic_errors(str(player_id), event)]
        if isinstance(event, PlayerMerged):
            faults += _accounts(event)
    if faults or event is None:
        return faults
    return str(player_id), event


def _accounts(merge: PlayerMerged) -> list[Fault]:
    ends = {"/data/survivor_id": merge.survivor_id, "/data/absorbed_id": merge.absorbed_id}
    detail = "Set this to a player's id, as a subject is written."
    return [_fault(where, detail) for where, player_id in ends.items() if not is_player_id(player_id)]


def _event(item: JsonObject, time: str | datetime, now: datetime, faults: list[Fault]) -> Event | None:
    kind = item.get("type")
    if not isinstance(kind, str) or kind not in CATALOGUE:
        faults.append(_fault("/type", _unknown(kind if isinstance(kind, str) else "")))
        return None
    if CATALOGUE[kind].derived:
        faults.append(_fault("/type", str(DerivedEventRefused(kind))))
        return None
    data = item.get("data")
    data = {} if data is None else data
    try:
        event = parse_event(
            kind,
            data,
            event_id=item.get("id"),  # type: ignore[arg-type]  # whatever it is, the model judges it
            event_source=item.get("source"),  # type: ignore[arg-type]
            occurred_at=time,
        )
    except ValidationError as error:
        faults += _faults(error, data)
        return None
    if event.occurred_at > now + TOLERANCE:
        faults.append(_fault("/time", "This lies more than five minutes ahead of our clock; send it when it happened."))
    return event


def _says_json(content_type: object) -> bool:
    if content_type == "application/json":
        return True
    return isinstance(content_type, str) and is_json(media_type_of(content_type))


def _unknown(kind: str) -> str:
    meant = nearest_type(kind)
    return f"{UnknownEventType(kind)} {f'Did you mean {meant}?' if meant else 'GET /v1/event-types lists them.'}"


def _faults(error: ValidationError, data: object) -> list[Fault]:
    faults: dict[str, Fault] = {}
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        place = fault["loc"]
        if place and place[0] in _ATTRIBUTE:
            where = _ATTRIBUTE[str(place[0])]
        else:
            where = "/data" + _path(place, data, missing=fault["type"] == "missing")
        faults.setdefault(where, _fault(where, sentence(fault["msg"])))
    return list(faults.values())[:_MOST]


def _path(place: tuple[int | str, ...], data: object, *, missing: bool) -> str:
    """The part of pydantic's location that exists in the data; it also names branches of unions."""
    existing: list[int | str] = []
    current: Any = data
    for part in place:
        if not _inside(current, part):
            if missing:
                existing.append(part)
            break
        current = current[part]
        existing.append(part)
    return pointer(existing)


def _inside(value: object, part: int | str) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value


def _fault(where: str, detail: str) -> Fault:
    return {"pointer": where, "detail": detail}
