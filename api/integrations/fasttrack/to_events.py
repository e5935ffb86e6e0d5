"""Fast Track's integration messages (payments, casino, bonus, consents, blocks, login, user) as catalogue events.

Fast Track sends slim messages and looks the rest up at the operator's. Nothing is looked up here, so consents,
blocks and user details must stand in the message itself, in the form the operator answers such look-ups with.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import orjson

from api.cloudevents import PLAYER_ID_IS, Fault, is_player_id
from api.integrations.fasttrack.round_assembly import RoundPart, source_of
from api.integrations.outcomes import (
    Fact,
    Ignored,
    Mapped,
    MessageRefused,
    Outcome,
    currency_of,
    fault,
    identifier,
    moment,
    to_minor,
)
from api.integrations.vocabulary import Words
from workflows.events import (
    ConsentChanged,
    Event,
    ExclusionEnded,
    ExclusionSet,
    PlayerRegistered,
    ProfileUpdated,
    SessionLogin,
)
from workflows.json_object import JsonObject

SOURCE: Final = "/fasttrack"
LONGEST_LIST: Final = 50
LONGEST_NOTE: Final = 1_000

#: How each kind of message is read.
Reader = Callable[[object, Words], Outcome]


class _Form:
    """A message being read: what all kinds share, and every fault found so far."""

    def __init__(self, message: object) -> None:
        self.message: Mapping[str, Any] = message if isinstance(message, dict) else {}
        self.faults: list[Fault] = [] if isinstance(message, dict) else [fault("", "A message is a JSON object.")]
        self.player_id = self.id("user_id")
        if self.player_id and not is_player_id(self.player_id):
            self.wrong("user_id", f"Use a player's id of {PLAYER_ID_IS}")
        at = moment(self.message.get("timestamp"))
        self.at = None if at is None or at.tzinfo is None or not 1970 <= at.year <= 9000 else at.astimezone(UTC)
        if self.at is None:
            self.wrong("timestamp", "Write the time as RFC 3339 with an offset, such as 2026-01-15T12:00:00Z.")

    @property
    def stamp(self) -> str:
        """The instant, one way whatever offset it was written with, so that it can be part of an identity."""
        return "" if self.at is None else self.at.isoformat().replace("+00:00", "Z")

    def wrong(self, name: str, detail: str) -> None:
        """Remember a fault of a field."""
        self.faults.append(fault(f"/{name}", detail))

    def id(self, name: str) -> str:
        """An id that must be there, written as text or as a number."""
        found = identifier(self.message.get(name))
        if found is None:
            self.wrong(name, f"Set {name} to an id.")
        return found or ""

    def text(self, *names: str) -> str | None:
        """The first of these fields that says anything."""
        return next((found for name in names if (found := identifier(self.message.get(name)))), None)

    def one_of(self, name: str, known: Sequence[str], usual: str | None = None) -> str:
        """One of the known words; `usual` where there is none."""
        value = self.message.get(name)
        value = usual if value is None else value
        if not isinstance(value, str) or value not in known:
            self.wrong(name, f"Set {name} to one of {', '.join(known)}.")
            return ""
        return value

    def flag(self, name: str) -> bool | None:
        """True, false or not said."""
        value = self.message.get(name)
        if value is not None and not isinstance(value, bool):
            self.wrong(name, f"Set {name} to true or false.")
        return value if isinstance(value, bool) else None

    def currency(self) -> str:
        """The currency of every amount of the message."""
        found = currency_of(self.message.get("currency"))
        if found is None:
            self.wrong("currency", "Set currency to an ISO 4217 code such as EUR.")
        return found or ""

    def money(self, name: str, currency: str, usual: int | None = None) -> int:
        """An amount in minor units; `usual` where there is none."""
        value = self.message.get(name)
        if value is None and usual is not None:
            return usual
        found = to_minor(value, currency) if currency else 0
        if found is None:
            self.wrong(name, f"Write a decimal amount of {currency}, not negative and in whole minor units.")
        return found or 0

    def count(self, name: str) -> int | None:
        """A count from 1 on, if one is given."""
        value = self.message.get(name)
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 1 <= value < 2**53:
            return None
        return int(value) if value == int(value) else None

    def items(self, name: str) -> list[Mapping[str, Any]]:
        """The objects of a list that must say something."""
        value = self.message.get(name)
        if not isinstance(value, list) or not 1 <= len(value) <= LONGEST_LIST:
            self.wrong(name, f"List the player's {name} here, as you answer when they are looked up.")
            return []
        if not all(isinstance(item, dict) for item in value):
            self.wrong(name, f"List the player's {name} as JSON objects.")
        return [item if isinstance(item, dict) else {} for item in value]

    def fact(
        self,
        event: type[Event] | str,
        own: str,
        named: str,
        data: Mapping[str, Any],
        places: Mapping[str, str],
        *,
        first_counts: bool = False,
    ) -> Fact:
        """An event with an identity of its own, made of the field `named` among others."""
        wire = f"igaming.{event}.v1" if isinstance(event, str) else event.wire_type
        whole = {"/subject": "/user_id", "/time": "/timestamp", "/id": f"/{named}", "/data": "", **places}
        return Fact(self.player_id, wire, data, own, SOURCE, self.stamp, whole, first_counts)

    def outcome(self, *facts: Fact) -> Outcome:
        """The facts, unless anything was wrong. What protects the player is always acted upon."""
        if self.faults:
            readable = self.at is not None and is_player_id(self.player_id)
            return MessageRefused(tuple(self.faults), facts if readable else ())
        history = self.message.get("skip_publishing") is True
        return Mapped(facts, history=history and PROTECTIVE.isdisjoint(fact.type for fact in facts))


def read_payment(message: object, _: Words) -> Outcome:
    """PAYMENT: Credit is a deposit, Debit a withdrawal; the status says which event of it this is."""
    form = _Form(message)
    payment_id = form.id("payment_id")
    kind = form.one_of("type", ("Credit", "Debit", *CARD_STEPS))
    status = form.one_of("status", ("Requested", "Approved", "Rejected", "Cancelled", "Rollback"))
    currency = form.currency()
    data: JsonObject = {
        "payment_id": payment_id,
        "amount_minor": form.money("amount", currency),
        "currency": currency,
        "fee_minor": form.money("fee_amount", currency, 0),
        "provider": form.text("vendor_name", "vendor_id") or "",
        "bonus_code": form.text("bonus_code"),
        # The feed does not say why; a rejection by a limit or for lack of funds looks the same.
        "failure": "declined",
        "kind": "rollback",
        "deposit_number": form.count("deposit_count"),
        "withdrawal_number": form.count("withdraw_count"),
    }
    if data["deposit_number"] is not None:
        data["is_first"] = data["deposit_number"] == 1
    if not form.faults and kind in CARD_STEPS:
        return Ignored("card_step", "Only Credit and Debit move a player's money; the steps of a card payment do not.")
    own = f"payment/{kind}/{payment_id}/{status}"
    places = {
        "/data/amount_minor": "/amount",
        "/data/fee_minor": "/fee_amount",
        "/data/provider": "/vendor_name",
    }
    return form.outcome(form.fact(PAYMENTS.get((kind, status), ""), own, "payment_id", data, places))


def read_casino(message: object, words: Words) -> Outcome:
    """CASINO: one part of a round. `round_assembly` makes the event of the round when all its parts are there."""
    form = _Form(message)
    activity_id, round_id, game_id = form.id("activity_id"), form.id("round_id"), form.id("game_id")
    kind = form.one_of("type", ("Bet", "Win", "Loss"))
    status = form.one_of("status", ("Approved", "Rollback"), "Approved")
    currency = form.currency()
    amount = form.money("amount", currency)
    # Feeds leave wager_amount at nought more often than not: what is not bonus or locked is the player's own.
    bonus = form.money("bonus_wager_amount", currency, 0) + form.money("locked_wager_amount", currency, 0)
    if bonus > amount:
        form.wrong("amount", "Set amount to the sum of wager_amount, bonus_wager_amount and locked_wager_amount.")
    category = words.category_of(form.message.get("game_type"))
    data: JsonObject = {
        "kind": kind.lower(),
        "reversed": status == "Rollback",
        "ends": form.flag("is_round_end"),
        "round_id": round_id,
        "game_id": game_id,
        "category": category if isinstance(category, str) else "",
        "provider": form.text("vendor_name", "vendor_id") or "",
        "real_minor": max(0, amount - bonus),
        "bonus_minor": bonus,
        "currency": currency,
        "balance_after_minor": _balance(form.message.get("balance_after"), currency),
    }
    places = {
        "/source": "/round_id",
        "/data/category": "/game_type",
        "/data/real_minor": "/amount",
        "/data/bonus_minor": "/bonus_wager_amount",
        "/data/provider": "/vendor_name",
    }
    own = f"activity/{activity_id}" + ("/rollback" if status == "Rollback" else "")
    fact = form.fact(RoundPart, own, "activity_id", data, places)
    source = source_of(form.player_id, round_id)
    return form.outcome(Fact(fact.player_id, fact.type, data, own, source, fact.time, fact.places))


def read_bonus(message: object, _: Words) -> Outcome:
    """BONUS: one event a change of status, under our grant id where the sender carries it."""
    form = _Form(message)
    user_bonus_id, bonus_id = form.id("user_bonus_id"), form.id("bonus_id")
    status = form.one_of("status", (*BONUS, "NotApplicable"))
    kind = form.message.get("type")
    currency = form.currency()
    references = form.message.get("fasttrack_references")
    grant_id = identifier(references.get("activity_id")) if isinstance(references, dict) else None
    turned_real = form.money("bonus_turned_real", currency, 0)
    data: JsonObject = {
        "grant_id": grant_id or user_bonus_id,
        "template_id": bonus_id,
        "kind": REWARDS.get(kind) if isinstance(kind, str) else None,
        "currency": currency,
        "value_minor": form.money("amount", currency),
        "wager_required_minor": form.money("required_wagering_amount", currency, 0),
        "converted_minor": turned_real,
        # Bonus money is the house's until it becomes the player's.
        "cost_minor": turned_real,
        "reason": status if status in {"AutoCompleted", "Reversed"} else None,
    }
    if not form.faults and status == "NotApplicable":
        return Ignored("not_applicable", "A bonus that does not apply changes nothing.")
    places = {
        "/data/grant_id": "/user_bonus_id" if grant_id is None else "/fasttrack_references/activity_id",
        "/data/template_id": "/bonus_id",
        "/data/value_minor": "/amount",
        "/data/wager_required_minor": "/required_wagering_amount",
        "/data/converted_minor": "/bonus_turned_real",
        "/data/cost_minor": "/bonus_turned_real",
    }
    own = f"bonus/{user_bonus_id}/{status}"
    # A status may be told again with what was wagered meanwhile; it was reached once.
    return form.outcome(form.fact(BONUS.get(status, ""), own, "user_bonus_id", data, places, first_counts=True))


def read_consents(message: object, _: Words) -> Outcome:
    """User consents: one event a channel."""
    form = _Form(message)
    facts: list[Fact] = []
    for index, item in enumerate(form.items("consents")):
        channel, opted_in = item.get("type"), item.get("opted_in")
        if not isinstance(channel, str) or channel not in CHANNELS:
            form.wrong(f"consents/{index}/type", f"Set type to one of {', '.join(CHANNELS)}.")
        elif not isinstance(opted_in, bool):
            form.wrong(f"consents/{index}/opted_in", "Set opted_in to true or false.")
        else:
            data = {"channel": CHANNELS[channel], "opted_in": opted_in, "source": "fast_track"}
            own = f"consent/{form.player_id}/{CHANNELS[channel]}/{'in' if opted_in else 'out'}/{form.stamp}"
            places = {"/data": f"/consents/{index}"}
            facts.append(form.fact(ConsentChanged, own, "user_id", data, places))
    return form.outcome(*facts)


def read_blocks(message: object, _: Words) -> Outcome:
    """User blocks: `Excluded` is the player's own exclusion, `Blocked` the operator's; each ends only its own kind."""
    form = _Form(message)
    facts: list[Fact] = []
    for index, item in enumerate(form.items("blocks")):
        kind, active = item.get("type"), item.get("active")
        if not isinstance(kind, str) or kind not in EXCLUSIONS:
            form.wrong(f"blocks/{index}/type", f"Set type to one of {', '.join(EXCLUSIONS)}.")
        elif not isinstance(active, bool):
            form.wrong(f"blocks/{index}/active", "Set active to true or false.")
        else:
            facts.append(_block(form, EXCLUSIONS[kind], item.get("note"), active=active))
    return form.outcome(*facts)


def read_login(message: object, _: Words) -> Outcome:
    """LOGIN: a session began, unless it is the support's."""
    form = _Form(message)
    impersonated = form.flag("is_impersonated")
    if not form.faults and impersonated:
        return Ignored("impersonated", "Somebody of the support logged in, not the player.")
    own = f"login/{form.player_id}/{form.stamp}"
    return form.outcome(form.fact(SessionLogin, own, "user_id", {}, {}))


def read_registration(message: object, _: Words) -> Outcome:
    """USER_CREATE: a registration, once a player, with the details that are given."""
    form = _Form(message)
    details, where = _details(form)
    profile = _profile(form, details, where)
    roles = details.get("roles")
    profile["is_test"] = isinstance(roles, list) and "TEST_USER" in roles
    places = _places(where)
    since = form.stamp
    if details.get("registration_date") not in (None, ""):
        opened = moment(details["registration_date"])
        since = "" if opened is None else opened.isoformat()
        places["/time"] = f"{where}/registration_date"
    own = f"registered/{form.player_id}"
    # Details may have changed since; it is one registration all the same.
    fact = form.fact(PlayerRegistered, own, "user_id", profile, places, first_counts=True)
    return form.outcome(replace(fact, time=since), *_exclusions(form, details))


def read_update(message: object, _: Words) -> Outcome:
    """USER_UPDATE: the details that are given, and a block or an exclusion they tell of."""
    form = _Form(message)
    details, where = _details(form)
    changed = {name: value for name, value in _profile(form, details, where).items() if name in CHANGEABLE}
    facts = _exclusions(form, details)
    if changed:
        own = f"user/{form.player_id}/{form.stamp}"
        # The update is a map of anything: the event that declares the fields judges them first.
        judged = form.fact(PlayerRegistered, own, "user_id", changed, _places(where)).read_event("", _LATEST)
        if isinstance(judged, list):
            form.faults += [found for found in judged if found not in form.faults]
            return form.outcome(*facts)
        # Their instants are whole seconds, and two details may change within one.
        said = hashlib.sha256(orjson.dumps(changed, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
        updated = form.fact(ProfileUpdated, f"{own}/{said}", "user_id", {"changed": changed}, {"/data/changed": where})
        facts.append(updated)
    if not form.faults and not facts:
        return Ignored("no_details", "The message tells no details of the player, and nothing is looked up.")
    return form.outcome(*facts)


def _block(form: _Form, kind: str, note: object, *, active: bool) -> Fact:
    event = ExclusionSet if active else ExclusionEnded
    data: JsonObject = {"kind": kind, "scope": "brand"}
    if active and isinstance(note, str):
        # A note must never cost an exclusion.
        data["reason"] = note.replace("\x00", "").encode("utf-8", "replace").decode()[:LONGEST_NOTE]
    own = f"block/{form.player_id}/{kind}/{'set' if active else 'ended'}/{form.stamp}"
    # Another note makes no other block.
    return form.fact(event, own, "user_id", data, {"/data": "/blocks"}, first_counts=True)


def _exclusions(form: _Form, details: Mapping[str, Any]) -> list[Fact]:
    """Only what protects is read from details: that a player is not blocked is said by blocks alone."""
    exclusions = {"is_excluded": "self_exclusion", "is_blocked": "operator"}
    return [_block(form, kind, None, active=True) for name, kind in exclusions.items() if details.get(name) is True]


def _details(form: _Form) -> tuple[Mapping[str, Any], str]:
    inner = form.message.get("user_details")
    return (inner, "/user_details") if isinstance(inner, dict) else (form.message, "")


def _profile(form: _Form, details: Mapping[str, Any], where: str) -> JsonObject:
    """The fields of a profile; what is empty is not said."""
    profile: JsonObject = {
        ours: found for ours, theirs in PROFILE.items() if (found := identifier(details.get(theirs)))
    }
    prefix, mobile = (identifier(details.get(name)) for name in ("mobile_prefix", "mobile"))
    if mobile is not None:
        profile["phone"] = (
            mobile if prefix is None or mobile.startswith("+") else f"+{prefix.lstrip('+0')}{mobile.lstrip('0')}"
        )
    if "country" in profile:
        profile["country"] = profile["country"].upper()
    if "currency" in profile:
        profile["currency"] = profile["currency"].upper()
    if "birth_date" in profile:
        day = moment(profile["birth_date"])
        if day is None:
            form.wrong(f"{where}/birth_date".lstrip("/"), "Write the birth date as ISO 8601, such as 1990-05-17.")
        profile["birth_date"] = None if day is None else day.date().isoformat()
    return profile


def _places(where: str) -> dict[str, str]:
    renamed = {f"/data/{ours}": f"{where}/{theirs}" for ours, theirs in PROFILE.items()}
    return {"/data": where, **renamed, "/data/phone": f"{where}/mobile"}


def _balance(value: object, currency: str) -> int | None:
    """A balance is a note in the margin: one that is not exact, or below nought, is left out."""
    return to_minor(value, currency) if currency else None


PROTECTIVE: Final = frozenset(event.wire_type for event in (ConsentChanged, ExclusionSet, ExclusionEnded))
_LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
CARD_STEPS: Final = ("Authorization", "Capture", "Void")
PAYMENTS: Final[Mapping[tuple[str, str], str]] = {
    ("Credit", "Requested"): "payment.deposit_initiated",
    ("Credit", "Approved"): "payment.deposit_approved",
    ("Credit", "Rejected"): "payment.deposit_failed",
    ("Credit", "Cancelled"): "payment.deposit_abandoned",
    ("Credit", "Rollback"): "payment.reversed",
    ("Debit", "Requested"): "payment.withdrawal_requested",
    ("Debit", "Approved"): "payment.withdrawal_completed",
    ("Debit", "Rejected"): "payment.withdrawal_rejected",
    ("Debit", "Cancelled"): "payment.withdrawal_cancelled_by_player",
    ("Debit", "Rollback"): "payment.reversed",
}
BONUS: Final[Mapping[str, str]] = {
    "Pending": "reward.offered",
    "Created": "reward.claimed",
    "Claimed": "reward.claimed",
    "Ongoing": "reward.activated",
    "Completed": "reward.completed",
    "AutoCompleted": "reward.completed",
    "Forfeited": "reward.forfeited",
    "Expired": "reward.expired",
    "Lost": "reward.lost",
    "Reversed": "reward.cancelled",
}
REWARDS: Final[Mapping[str, str]] = {
    "NoDeposit": "bonus_money",
    "WelcomeBonus": "deposit_match",
    "CashbackBonus": "cashback",
    "ReloadBonus": "reload",
    "WagerFree": "cash",
    "FreeSpins": "free_spins",
    "RiskFreeBet": "free_bet",
}
CHANNELS: Final[Mapping[str, str]] = {
    "email": "email",
    "sms": "sms",
    "telephone": "phone",
    "postMail": "post",
    "siteNotification": "in_app",
    "pushNotification": "push",
}
EXCLUSIONS: Final[Mapping[str, str]] = {"Excluded": "self_exclusion", "Blocked": "operator"}
PROFILE: Final[Mapping[str, str]] = {
    "username": "username",
    "email": "email",
    "first_name": "first_name",
    "birth_date": "birth_date",
    "country": "country",
    "language": "language",
    "currency": "currency",
    "affiliate_id": "affiliate_reference",
    "signup_code": "registration_code",
}
CHANGEABLE: Final = frozenset(
    {"username", "email", "phone", "first_name", "birth_date", "country", "language", "currency"}
)
