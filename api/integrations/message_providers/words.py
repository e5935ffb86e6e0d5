"""Providers' words about a message as `message.status` says them. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from activities.providers.mail_api import KEY
from workflows.channels import CHANNELS, Channel
from workflows.player_state.stop_words import is_stop_word

#: SendGrid's events. `deferred` says nothing yet, and neither do the rest.
_MAIL: Final = {
    "processed": "sent",
    "delivered": "delivered",
    "open": "opened",
    "click": "clicked",
    "bounce": "bounced",
    "dropped": "failed",
    "spamreport": "complained",
    "unsubscribe": "unsubscribed",
    "group_unsubscribe": "unsubscribed",
}
_SMS: Final = {
    "accepted": "queued",
    "queued": "queued",
    "sending": "queued",
    "sent": "sent",
    "delivered": "delivered",
    "read": "opened",
    "undelivered": "bounced",
    "failed": "failed",
}
#: Twilio's codes: the player said STOP; the number will never take an SMS.
_STOPPED: Final = "21610"
#: Characters that are kept of a text: as many as an event holds, and more than half of the longest SMS.
LONGEST_TEXT: Final = 1_000
_NO_NUMBER: Final = frozenset({"21211", "21217", "21614", "30005", "30006"})


@dataclass(frozen=True)
class StatusTold:
    """What became of one message. `message_id` is ours; `id` the provider's own name for having said so."""

    id: str
    message_id: str
    status: str
    at: datetime | None = None
    why: str | None = None
    #: Whether no person did it: a mail program that loads every picture.
    machine: bool = False
    #: On which channel it is told, and the address it was for; none where it does not say.
    channel: Channel = "email"
    address: str = field(default="", repr=False)


def mail_events(items: Iterable[Any]) -> list[StatusTold]:
    """SendGrid's events about mails of ours; what is about others, or says nothing, is left out."""
    return [told for item in items if isinstance(item, dict) and (told := _mail_event(item)) is not None]


def _mail_event(item: Mapping[str, Any]) -> StatusTold | None:
    status, key, name = _MAIL.get(str(item.get("event"))), item.get(KEY), item.get("sg_event_id")
    if status is None or not isinstance(key, str) or not isinstance(name, str) or not name:
        return None
    hard = status == "bounced" and item.get("type") != "blocked"
    at, why, machine = _instant(item.get("timestamp")), "hard" if hard else None, item.get("sg_machine_open") is True
    address = item.get("email")
    told = StatusTold(name[:255], key[:255], status, at, why, machine)
    return replace(told, address=address) if isinstance(address, str) else told


def _instant(seconds: object) -> datetime | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 < seconds < 2**33:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def sms_status(key: str, form: Mapping[str, str]) -> StatusTold | None:
    """Twilio's callback about an SMS of ours; None for one that says nothing."""
    code = form.get("ErrorCode", "")
    status = "unsubscribed" if code == _STOPPED else _SMS.get(form.get("MessageStatus", ""))
    sid = form.get("MessageSid", "")
    if status is None or not sid or not key:
        return None
    channel, number = _channel_of(form.get("To", "").strip())
    why = "hard" if code in _NO_NUMBER else None
    return StatusTold(f"{sid}/{status}"[:255], key[:255], status, why=why, channel=channel, address=number)


@dataclass(frozen=True)
class TextReceived:
    """A text that somebody sent to a number of ours. `id` is the provider's; `number` and `text` are personal data."""

    id: str
    channel: Channel
    number: str
    text: str
    #: Whether they want no more: by our stop words, or by the provider's own.
    stops: bool


def text_received(form: Mapping[str, str]) -> TextReceived | None:
    """Twilio's word that a text came; None for what names no text or no sender.

    `OptOutType` is there where the account has stop words of its own, in whatever language. START is a text like any
    other: that a player may be written to again does not say that they want to be sold something.
    """
    sid, number, text = form.get("MessageSid", ""), form.get("From", "").strip(), _in_one_line(form.get("Body", ""))
    if not sid.isprintable() or not sid or not number.isprintable() or not number:
        return None
    stops = form.get("OptOutType") == "STOP" or is_stop_word(text)
    channel, number = _channel_of(number)
    return TextReceived(sid[:100], channel, number[:64], text[:LONGEST_TEXT], stops)


def _channel_of(sender: str) -> tuple[Channel, str]:
    """On which channel somebody wrote, and their number."""
    prefixes = {name: spec.sender_prefix for name, spec in CHANNELS.items() if spec.sender_prefix is not None}
    known = [(name, prefix) for name, prefix in prefixes.items() if sender.startswith(prefix)]
    channel, prefix = max(known, key=lambda one: len(one[1]))
    return channel, sender.removeprefix(prefix)


def _in_one_line(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
