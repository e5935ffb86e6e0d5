"""The rows of `messages` as an attempt to send reads and writes them; `messages.py` alone writes the table."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import case, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.outgoing.outbox import announce
from activities.providers.adapter import ChannelUnavailable, DeadDevice
from activities.tables import messages
from content.templates import Rendered
from workflows.channels import Channel
from workflows.effects import RUN_OVER, Send
from workflows.events import MessageClass
from workflows.json_object import JsonObject
from workflows.outgoing_events import OUTGOING_TYPES, OutgoingEvent

# `handed_over` may have arrived, `waiting` certainly has not; the other states are final.
IN_DOUBT, WAITING = "handed_over", "waiting"
GONE_OUT = ("sent", IN_DOUBT, "unknown")

_HAD_NO_TURN = messages.c.status == WAITING
#: What the open messages of a run become when it ends.
WHEN_RUN_ENDS: Final = {
    "status": case((_HAD_NO_TURN, "suppressed"), else_="unknown"),
    "reason": case((_HAD_NO_TURN, RUN_OVER), else_="outcome_unknown"),
    "handed_over_at": case((~_HAD_NO_TURN, messages.c.handed_over_at)),
}


class MessageRow(NamedTuple):
    """What an attempt reads of a row of `messages`: one channel of a step that was tried before."""

    id: str
    brand: str
    player_id: str
    channel: Channel
    message_class: MessageClass
    status: str
    reason: str | None
    language: str | None
    subject: str | None
    body: str | None
    html: str | None
    handed_over_at: datetime | None


#: Takes devices that a message found dead from its player, at a moment.
BuryDevices = Callable[[MessageRow, Iterable[DeadDevice], datetime], Awaitable[None]]
COLUMNS = [messages.c[name] for name in MessageRow._fields]
#: What others are told of a message, besides its status.
TOLD: Final = [
    messages.c[name]
    for name in (
        "id",
        "brand",
        "player_id",
        "run_id",
        "step",
        "journey",
        "channel",
        "template",
        "message_class",
        "reason",
    )
]

#: The columns that say when each was told first, and of what; what a machine did is nobody's.
LIFE: Final = {
    "arrived_at": "status = 'delivered'",
    "opened_at": "status = 'opened' AND NOT coalesce(machine, false)",
    "clicked_at": "status = 'clicked' AND NOT coalesce(machine, false)",
    "machine_opened_at": "status IN ('opened', 'clicked') AND machine",
    "bounced_at": "status = 'bounced'",
    "unsubscribed_at": "status = 'unsubscribed'",
    "complained_at": "status = 'complained'",
}
TOLD_TIMES: Final = ", ".join(f"min(at) FILTER (WHERE {told}) AS {column}" for column, told in LIFE.items())
FIRST_TIMES: Final = ", ".join(f"{column} = least(m.{column}, t.{column})" for column in LIFE)
IS_FIRST: Final = " OR ".join(f"least(m.{column}, t.{column}) IS DISTINCT FROM m.{column}" for column in LIFE)


@dataclass(frozen=True)
class MessageDraft:
    """What the gate and the template make of a message on one channel, before it is written.

    `status` is `handed_over` for what must reach its channel after the commit.
    """

    channel: Channel
    decision: JsonObject
    status: str
    reason: str | None = None
    handed_over_at: datetime | None = None
    delivered_at: datetime | None = None
    #: None where nothing was rendered, and where an earlier attempt has stored it.
    text: Rendered | None = None

    def decided(self) -> JsonObject:
        """The columns every attempt writes anew."""
        return {
            "decision": self.decision,
            "status": self.status,
            "reason": self.reason,
            "handed_over_at": self.handed_over_at,
            "delivered_at": self.delivered_at,
        }

    def row(self, request: Send, message_class: MessageClass, now: datetime) -> JsonObject:
        """The whole row of a channel tried for the first time. All have the same columns: they are written together."""
        text = self.text
        return self.decided() | {
            "id": f"{request.key}/{self.channel}",
            "brand": request.brand,
            "player_id": request.player_id,
            "run_id": request.run_id,
            "step": request.step,
            "journey": request.journey,
            "channel": self.channel,
            "template": request.template,
            "message_class": message_class,
            "subject": text.title if text else None,
            "body": text.body if text else None,
            "html": text.html if text else None,
            "language": text.language if text else None,
            "created_at": now,
        }


async def read_rows(connection: AsyncConnection, request: Send) -> dict[Channel, MessageRow]:
    """The rows that earlier attempts of a step have left, by channel."""
    rows = await connection.execute(
        select(*COLUMNS)
        .where(messages.c.run_id == request.run_id, messages.c.step == request.step)
        .order_by(messages.c.created_at, messages.c.id)
    )
    return by_channel(MessageRow(*row) for row in rows)


def by_channel(rows: Iterable[MessageRow]) -> dict[Channel, MessageRow]:
    """The same rows by their channel."""
    return {row.channel: row for row in rows}


def announce_message(connection: AsyncConnection, status: str, row: object, now: datetime) -> None:
    """Have others told what became of a message, where it came to something; `row` has the columns of `TOLD`."""
    if (kind := f"message.{status}") in OUTGOING_TYPES:
        announce(connection, OutgoingEvent.about(kind, row, now))


def overtaken() -> ChannelUnavailable:
    """What an attempt says whose row another attempt has taken meanwhile."""
    return ChannelUnavailable("Another attempt has just handed the message over; try again.")
