"""Segment's calls (track, identify, and those nobody here uses) as events of the catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from api.cloudevents import PLAYER_ID_IS, TOLERANCE, Fault, is_player_id
from api.integrations.outcomes import (
    Fact,
    Ignored,
    Mapped,
    Message,
    MessageRefused,
    Outcome,
    currency_of,
    fault,
    identifier,
    moment,
    plain,
    to_minor,
    wire_names,
)
from api.integrations.vocabulary import Words, failure_of, normal
from api.problems import pointer
from workflows.events import CATALOGUE, Event, PlayerRegistered, ProfileUpdated
from workflows.json_object import JsonObject
from workflows.player_state.projection import PROFILE_FACTS

SOURCE: Final = "/segment"
#: Calls that tell of traffic, not of players.
UNUSED: Final = frozenset({"page", "screen", "group", "alias"})


@dataclass(frozen=True)
class NamedEvent:
    """An event behind a name, with what the name itself says of it."""

    type: str
    said: Mapping[str, Any] = field(default_factory=dict)


def read_message(message: object, call: str | None, words: Words, now: datetime) -> Outcome:
    """What one message of a client library tells. `call` is the path's; in a batch each message names its own.

    `now` corrects a sender whose clock runs ahead, as Segment does. One that runs behind is believed: it looks
    the same as a message that waited.
    """
    if not isinstance(message, dict):
        return MessageRefused((fault("", "A message is a JSON object."),))
    call = call or message.get("type") or message.get("action")
    if not isinstance(call, str) or call not in {"track", "identify", *UNUSED}:
        return MessageRefused((fault("/type", "Set type to track, identify, page, screen, group or alias."),))
    if call in UNUSED:
        return Ignored("unused_call", f"Nothing here waits for {call} calls.")
    if message.get("userId") is None and message.get("anonymousId") is not None:
        return Ignored("anonymous", "A visitor without userId is not a player yet.")
    sender = _Sender.of(message, now)
    if isinstance(sender, list):
        return MessageRefused(tuple(sender))
    return _track(message, sender, words) if call == "track" else _identify(message, sender, now)


@dataclass(frozen=True)
class _Sender:
    """What all messages share: whose, which, when."""

    player_id: str
    message_id: str
    time: str | None

    @classmethod
    def of(cls, message: Message, now: datetime) -> "_Sender | list[Fault]":
        faults: list[Fault] = []
        player_id = identifier(message.get("userId"))
        if player_id is None or not is_player_id(player_id):
            faults.append(fault("/userId", f"Set userId to the player's id: {PLAYER_ID_IS}"))
        message_id = identifier(message.get("messageId"))
        if message_id is None:
            faults.append(fault("/messageId", "Set messageId: without it a repeated message would count twice."))
        where = next((name for name in ("timestamp", "originalTimestamp") if message.get(name) is not None), None)
        time = None
        if where is not None:
            time = _time(message[where], message.get("sentAt"), now)
            if time is None:
                detail = "Write the time as ISO 8601, such as 2026-01-15T12:00:00Z."
                faults.append(fault(f"/{where}", detail))
        if faults or player_id is None or message_id is None:
            return faults
        return cls(player_id, message_id, time)

    def fact(self, event: type[Event], data: Mapping[str, Any], places: Mapping[str, str]) -> Fact:
        """The event, under the message's own id; a registration under the player's, for there is one a player."""
        registration = event is PlayerRegistered
        own = f"registered:{self.player_id}" if registration else self.message_id
        envelope = {"/id": "/messageId", "/subject": "/userId", "/time": "/timestamp", "/type": "/event"}
        whole = {**envelope, **places}
        # Its traits may have changed since; it is one registration all the same.
        return Fact(self.player_id, event.wire_type, data, own, SOURCE, self.time, whole, first_counts=registration)


def _track(message: Message, sender: _Sender, words: Words) -> Outcome:
    name = message.get("event")
    if not isinstance(name, str) or not name.strip():
        return MessageRefused((fault("/event", "Set event to the name of what happened."),))
    known = _known(name, words)
    if known is None:
        return Ignored("unknown_event", "No event of the catalogue is known by this name; SEGMENT_EVENTS can name one.")
    event = CATALOGUE.get(known.type)
    if event is None:
        detail = f"SEGMENT_EVENTS maps this name to {known.type[:120]!r}, which is no type of the catalogue."
        return MessageRefused((fault("/event", detail),))
    properties = message.get("properties")
    if properties is None:
        properties = {}
    if not isinstance(properties, dict):
        return MessageRefused((fault("/properties", "Properties are a JSON object."),))
    pick = _newcomer(message, properties, words) if event is PlayerRegistered else _pick(event, properties, words)
    data, places, faults = pick
    if faults:
        return MessageRefused(tuple(faults))
    notes = _unread_country(_traits_of(message), "/context/traits") if event is PlayerRegistered else ()
    return Mapped((sender.fact(event, {**data, **known.said}, places),), notes=notes)


def _identify(message: Message, sender: _Sender, now: datetime) -> Outcome:
    traits = message.get("traits")
    if traits is None:
        traits = {}
    if not isinstance(traits, dict):
        return MessageRefused((fault("/traits", "Traits are a JSON object."),))
    profile, places, faults = _profile(traits, "/traits")
    if faults:
        return MessageRefused(tuple(faults))
    facts: list[Fact] = []
    opened = next((name for name in ("createdAt", "created_at") if traits.get(name) is not None), None)
    # A profile update is a map of anything, so its values are judged by the event that declares their types.
    judged = sender.fact(PlayerRegistered, {**_surroundings(message, traits), **profile}, places)
    if opened is not None:
        since = _time(traits[opened], None, now)
        if since is None:
            return MessageRefused((fault(f"/traits/{opened}", "Write createdAt as ISO 8601."),))
        whole = {**judged.places, "/time": f"/traits/{opened}"}
        facts.append(replace(judged, time=since, places=whole))
    read = judged.read_event("", now)
    if isinstance(read, list) and (wrong := [found for found in read if found["pointer"].startswith("/traits/")]):
        return MessageRefused(tuple(wrong))
    changed = {**profile, **{name: None for name, keys in TRAITS.items() if _erased(traits, name, keys)}}
    if changed:
        facts.append(sender.fact(ProfileUpdated, {"changed": changed}, {"/data/changed": "/traits"}))
    if not facts:
        return Ignored("no_known_trait", "None of the traits is one the player's profile keeps.")
    return Mapped(tuple(facts), notes=_unread_country(traits, "/traits") if opened is not None else ())


def _known(name: str, words: Words) -> NamedEvent | None:
    word = normal(name)
    if (configured := words.events.get(word)) is not None:
        return NamedEvent(_wire_type(configured) or configured)
    if (wire := _wire_type(name)) is not None:
        return NamedEvent(wire)
    if (usual := EVENTS.get(word)) is not None:
        return NamedEvent(f"igaming.{usual.type}.v1", usual.said)
    return None


def _wire_type(name: str) -> str | None:
    if name in CATALOGUE:
        return name
    return next((wire for wire, event in CATALOGUE.items() if event.type == name), None)


def _pick(event: type[Event], properties: Message, words: Words) -> tuple[JsonObject, dict[str, str], list[Fault]]:
    """The data of an event from a bag of properties: where each field came from, and what cannot be money."""
    data: JsonObject = {}
    places: dict[str, str] = {"/data": "/properties"}
    faults: list[Fault] = []
    for wire in wire_names(event):
        key = _first(properties, wire, *ALIASES.get(wire, ()))
        if key is not None:
            places[f"/data/{wire}"] = "/properties" + pointer([key])
            data[wire] = plain(properties[key])
        elif wire.endswith("_minor"):
            _read_money(wire, properties, data, places, faults)
    if isinstance(data.get("currency"), str):
        data["currency"] = data["currency"].upper()
    if "category" in data:
        data["category"] = words.category_of(data["category"])
    if event.type == "payment.deposit_failed":
        data["failure"] = failure_of(data.get("failure"))
    return data, places, faults


def _read_money(wire: str, properties: Message, data: JsonObject, places: dict[str, str], faults: list[Fault]) -> None:
    """Read a decimal amount, Segment's `revenue` for one, as minor units of the currency beside it."""
    key = _first(properties, wire.removesuffix("_minor"), *MONEY.get(wire, ()))
    if key is None:
        return
    where = places[f"/data/{wire}"] = "/properties" + pointer([key])
    currency = currency_of(properties.get("currency"))
    if currency is None:
        detail = f"Set currency to an ISO 4217 code such as EUR, so that {wire.removesuffix('_minor')} is money."
        faults.append(fault("/properties/currency", detail))
    elif (minor := to_minor(properties[key], currency)) is None:
        faults.append(fault(where, f"Write a decimal amount of {currency}, not negative and in whole minor units."))
    else:
        data[wire] = minor


def _first(properties: Message, *names: str) -> str | None:
    spellings = (spelling for name in names for spelling in (name, _camel(name)))
    return next((spelling for spelling in spellings if properties.get(spelling) is not None), None)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


def _profile(traits: Message, where: str) -> tuple[JsonObject, dict[str, str], list[Fault]]:
    """The traits a profile keeps, under our names; where each stood; and a birthday that is no day."""
    profile: JsonObject = {}
    places: dict[str, str] = {}
    faults: list[Fault] = []
    for name, keys in TRAITS.items():
        key = _first(traits, name, *keys)
        if key is None or traits[key] == "":
            continue
        place = places[f"/data/{name}"] = where + pointer([key])
        profile[name] = identifier(traits[key]) or plain(traits[key])
        if name == "birth_date":
            # It comes as a JavaScript Date: a day with a midnight behind it.
            day = moment(traits[key])
            profile[name] = None if day is None else day.date().isoformat()
            faults += [fault(place, "Write the birthday as ISO 8601, such as 1990-05-17.")] if day is None else []
    return profile, places, faults


def _erased(traits: Message, name: str, keys: tuple[str, ...]) -> bool:
    """Whether personal data is explicitly said to be gone."""
    present = [key for given in (name, *keys) for key in (given, _camel(given)) if key in traits]
    return bool(present) and all(traits[key] is None for key in present) and name not in PROFILE_FACTS


def _newcomer(message: Message, properties: Message, words: Words) -> tuple[JsonObject, dict[str, str], list[Fault]]:
    """All that is said of a player who signs up: the device's own settings, then traits, then properties."""
    data, places, faults = _pick(PlayerRegistered, properties, words)
    traits = _traits_of(message)
    for bag, where in ((traits, "/context/traits"), (properties, "/properties")):
        profile, found, wrong = _profile(bag, where)
        data |= profile
        places |= found
        faults += wrong
    return {**_surroundings(message, traits), **data}, places, faults


def _surroundings(message: Message, traits: Message) -> dict[str, str]:
    """What the device and the address say of language, zone and country, as far as it is usable."""
    context = message.get("context")
    address = traits.get("address")
    found: dict[str, object] = {}
    if isinstance(context, dict):
        found |= {"language": context.get("locale"), "timezone": context.get("timezone")}
    if isinstance(address, dict):
        found["country"] = address.get("country")
    return {name: value for name, value in found.items() if isinstance(value, str) and _usable(name, value)}


def _traits_of(message: Message) -> Message:
    context = message.get("context")
    traits = context.get("traits") if isinstance(context, dict) else None
    return traits if isinstance(traits, dict) else {}


def _unread_country(traits: Message, where: str) -> tuple[Fault, ...]:
    """A note where the address names a country in other words than its code: the law of the player goes by it."""
    address = traits.get("address")
    country = address.get("country") if isinstance(address, dict) else None
    if country is None or (isinstance(country, str) and _usable("country", country)):
        return ()
    detail = "The country was left out: write its ISO 3166-1 code, such as GB, or send the trait country."
    return (fault(f"{where}/address/country", detail),)


def _usable(name: str, value: str) -> bool:
    try:
        PROFILE_FACTS[name].validate_python(value)
    except ValueError:
        return False
    return True


def _time(value: object, sent_at: object, now: datetime) -> str | None:
    """RFC 3339, UTC where no offset is said, moved back by as much as the sender's clock runs ahead of ours."""
    at, sent = moment(value), moment(sent_at)
    if at is None:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    try:
        ahead = None if sent is None else (sent if sent.tzinfo is not None else sent.replace(tzinfo=UTC)) - now
        if ahead is not None and ahead > TOLERANCE:
            at -= ahead
    except OverflowError:
        return None
    return at.isoformat()


#: The profile's fields, and what Segment calls them where it differs.
TRAITS: Final[Mapping[str, tuple[str, ...]]] = {
    "username": (),
    "email": (),
    "phone": (),
    "first_name": (),
    "birth_date": ("birthday",),
    "language": (),
    "timezone": (),
    "country": (),
    "currency": (),
}
#: Properties by other names.
ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "payment_id": ("order_id", "transaction_id"),
    "method": ("payment_method",),
    "failure": ("reason", "decline_reason"),
    "category": ("game_type", "game_category"),
}
#: Amounts by other names; Segment reserves `revenue`, `value` and `total`.
MONEY: Final[Mapping[str, tuple[str, ...]]] = {"amount_minor": ("revenue", "value", "total")}

_FULL: Final[Mapping[str, str]] = {
    "player.registered": "signed up, user signed up, account created, registered, player registered, user registered",
    "session.login": "logged in, signed in, user logged in, player logged in",
    "session.ended": "session ended",
    "content.viewed": "content viewed",
    "payment.deposit_initiated": "deposit initiated, deposit started",
    "payment.deposit_approved": "deposit approved, deposit completed, deposit succeeded",
    "payment.deposit_failed": "deposit failed, deposit declined, deposit rejected",
    "payment.deposit_abandoned": "deposit abandoned",
    "payment.withdrawal_requested": "withdrawal requested",
    "payment.withdrawal_completed": "withdrawal completed, withdrawal paid",
    "payment.withdrawal_rejected": "withdrawal rejected, withdrawal failed",
    "payment.withdrawal_cancelled_by_player": "withdrawal cancelled, withdrawal canceled",
    "payment.reversed": "payment reversed",
    "game.session_started": "game started, game launched, game opened, game session started",
    "game.round_completed": "round completed, game round completed",
    "game.big_win": "big win",
    "game.fault": "game fault",
    "sport.bet_placed": "bet placed, sports bet placed",
    "sport.bet_settled": "bet settled, sports bet settled",
    **{
        f"reward.{state}": f"bonus {state}, reward {state}"
        for state in (
            "offered",
            "claimed",
            "activated",
            "completed",
            "forfeited",
            "expired",
            "lost",
            "cancelled",
            "failed",
        )
    },
    "reward.code_failed": "bonus code failed, promo code failed",
    "loyalty.points_changed": "points changed",
    "loyalty.tier_changed": "tier changed",
    "compliance.kyc_changed": "kyc changed",
    "compliance.limit_changed": "limit changed",
    "compliance.limit_reached": "limit reached",
    "compliance.exclusion_set": "exclusion set",
    "compliance.exclusion_ended": "exclusion ended",
    "consent.changed": "consent changed",
    "feedback.answered": "feedback answered, survey answered",
    "support.case_opened": "support case opened",
    "support.case_closed": "support case closed",
}
#: Names that need no configuration, without case and marks: "Deposit Approved" is "deposit approved" here.
EVENTS: Final[Mapping[str, NamedEvent]] = {
    **{name: NamedEvent(type_) for type_, names in _FULL.items() for name in names.split(", ")},
    "self excluded": NamedEvent("compliance.exclusion_set", {"kind": "self_exclusion"}),
    "time out started": NamedEvent("compliance.exclusion_set", {"kind": "time_out"}),
    # Segment's e-mail specification: the player said stop.
    "unsubscribed": NamedEvent("consent.changed", {"channel": "email", "opted_in": False}),
    "password reset requested": NamedEvent("player.password_reset", {"stage": "requested"}),
    "password reset completed": NamedEvent("player.password_reset", {"stage": "done"}),
}
