"""`send`: the gate, the text, the hand-over, each message once.

A message's row is written in the transaction that passed the gate, before the channel is called,
and says `handed_over`. What a crash leaves in that state is in doubt and is looked up, not sent
again, unless its channel recognises repetitions by key.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from prometheus_client import Counter
from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities import gate
from activities.channels import Adapter, ChannelUnavailable, Delivered, MailLookup, Outgoing
from activities.database import Database
from activities.links import unsubscribe_token
from activities.settings import Settings
from activities.story import tell
from activities.tables import messages
from activities.templates import Catalogue, RenderError
from workflows.effects import SEND, Channel, Send, SendResult
from workflows.moments import zone
from workflows.policy import NECESSARY, Allowed, MessageFacts, Policy, Refused, Wait, may_send

logger = logging.getLogger(__name__)

SENT = Counter("journeys_messages_total", "Messages by channel and what became of them.", ["channel", "status"])

# Channels whose receivers drop a repetition by its key; mail has no such promise.
KEYED: frozenset[Channel] = frozenset({"sms", "push"})
GONE_OUT = ("sent", "handed_over", "unknown")


# Still to be handed over, or in doubt: `waiting` certainly has not gone out, `handed_over` may have.
OPEN = ("handed_over", "waiting")

Settled = tuple[str, str | None]


@dataclass
class Ways:
    """What the gate said about each channel of one send, and the rows it said it of."""

    known: gate.Known | None
    #: Rows an earlier attempt left.
    earlier: Mapping[Channel, Row[Any]]
    rows: Mapping[Channel, Row[Any]] = field(default_factory=dict)
    waits: dict[Channel, datetime] = field(default_factory=dict)
    #: Whether the channel counts as used, so that no fallback is needed.
    passed: dict[Channel, bool] = field(default_factory=dict)
    #: What the gate says now.
    allowed: dict[Channel, bool] = field(default_factory=dict)


class Messages:
    """Sends messages. The adapters, the catalogue and the clock are given by the composition root."""

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        adapters: Mapping[Channel, Adapter],
        lookup: MailLookup | None,
        policy: Policy,
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        self.database = database
        self.catalogue = catalogue
        self.adapters = adapters
        self.lookup = lookup
        self.policy = policy
        self.settings = settings
        self.clock = clock

    @activity.defn(name=SEND.name)
    async def send(self, given: Send) -> SendResult:
        """Hand a message over on every channel that the gate lets pass, each once.

        Raises `ChannelUnavailable` to be tried again; what other channels took is kept.
        """
        now = self.clock()
        async with self.database.transaction() as connection:
            ways = await self._pass_gate(connection, given, now)
        settled: dict[str, Settled] = {}
        failed: ChannelUnavailable | None = None
        for row in ways.rows.values():
            if row.status in OPEN:
                try:
                    settled[row.id] = await self._hand_over(row, ways)
                except ChannelUnavailable as away:
                    failed = away
                    if not away.may_have_arrived:
                        settled[row.id] = ("waiting", None)
        async with self.database.transaction() as connection:
            for message_id, (status, reason) in settled.items():
                await self._settle(connection, message_id, status, reason)
            rows = await self._rows(connection, given)
            result = _result(rows, ways.waits)
            outcome = "waiting" if result.wait_until else "sent" if result.sent else "suppressed"
            if failed is None:
                await tell(connection, given, self.clock(), outcome, _detail(given, rows, result))
        if failed is not None:
            raise failed
        return result

    async def _pass_gate(self, connection: AsyncConnection, given: Send, now: datetime) -> Ways:
        known = await gate.read(connection, given.brand, given.player_id, now)
        earlier = await self._rows(connection, given)
        ways = Ways(known, earlier)
        for channel in given.via:
            await self._try(connection, given, channel, now, ways)
        for channel in given.fallback:
            if ways.waits or any(ways.passed.values()):
                break
            await self._try(connection, given, channel, now, ways)
        ways.rows = await self._rows(connection, given)
        return ways

    async def _try(self, connection: AsyncConnection, given: Send, channel: Channel, now: datetime, ways: Ways) -> None:
        """Ask the gate about one channel and keep its answer; a settled channel is left as it is."""
        known, row = ways.known, ways.earlier.get(channel)
        if row is not None and row.status not in OPEN:
            ways.passed[channel] = row.status in GONE_OUT
            return
        template = self.catalogue[given.template]
        asked = MessageFacts(
            channel=channel,
            message_class=template.message_class,
            step=given.key,
            suppress_if_active_today=template.suppress_if_active_today,
        )
        decision = may_send(known.facts if known else None, asked, self.policy, now)
        ways.passed[channel] = ways.allowed[channel] = isinstance(decision, Allowed)
        if row is not None:
            if isinstance(decision, Allowed):
                return
            # The world changed while the channel was away. What may have gone out already is only
            # looked up; what certainly has not is not sent any more.
            ways.passed[channel] = row.status == "handed_over"
            if row.status == "waiting":
                reason = decision.reason if isinstance(decision, Refused) else "expired"
                await self._settle(connection, row.id, "suppressed", str(reason))
            return
        if isinstance(decision, Wait):
            ways.waits[channel] = decision.until
            return
        values: dict[str, Any] = {
            "id": f"{given.key}/{channel}",
            "brand": given.brand,
            "player_id": given.player_id,
            "run_id": given.run_id,
            "step": given.step,
            "journey": given.journey,
            "channel": channel,
            "template": given.template,
            "message_class": template.message_class,
            "decision": {
                "rule": decision.rule if isinstance(decision, Refused) else None,
                "detail": decision.detail if isinstance(decision, Refused) else None,
                "seen": dict(decision.seen),
                "policy": decision.policy,
            },
            "created_at": now,
        }
        if isinstance(decision, Refused):
            values |= {"status": "suppressed", "reason": str(decision.reason)}
        else:
            assert known is not None
            try:
                values |= {"status": "handed_over", "handed_over_at": now} | self._text(given, channel, known)
            except RenderError as unfit:
                # No attempt will ever render it: kept for people to see, and the journey goes on.
                logger.error("%s cannot be rendered: %s", given.key, unfit)  # noqa: TRY400 - the sentence says it all
                ways.passed[channel] = ways.allowed[channel] = False
                values |= {"status": "failed", "reason": "not_renderable", "handed_over_at": None}
            else:
                if channel == "in_app":
                    values |= {"status": "sent", "delivered_at": now}
        if values["status"] != "handed_over":
            SENT.labels(channel, values["status"]).inc()
        await connection.execute(messages.insert().values(values))

    def _text(self, given: Send, channel: Channel, known: gate.Known) -> dict[str, Any]:
        rendered = self.catalogue.render(
            given.template,
            channel,
            known.state.facts.get("language", "en"),
            {
                **given.variables,
                "first_name": known.profile.get("first_name"),
                "brand_name": self._brand_name(given.brand),
                "unsubscribe_url": self._unsubscribe_url(given.brand, given.player_id, channel),
            },
            zone=zone(known.state.facts.get("timezone")),
            currency=known.state.facts.get("currency"),
        )
        return {"subject": rendered.title, "body": rendered.body, "language": rendered.language}

    async def _hand_over(self, row: Row[Any], ways: Ways) -> Settled:
        """Give one message to its channel; what became of it."""
        earlier = ways.earlier.get(row.channel)
        in_doubt = earlier is not None and earlier.status == "handed_over"
        barred = not ways.allowed.get(row.channel, False)
        if in_doubt and (barred or row.channel not in KEYED):
            arrived = await self.lookup.arrived(row.id) if self.lookup and row.channel == "email" else None
            if arrived:
                return "sent", None
            if barred and arrived is False:
                return "suppressed", "protected_meanwhile"
            if barred or arrived is None:
                return "unknown", "outcome_unknown"
        profile = ways.known.profile if ways.known else {}
        unsubscribe = self._unsubscribe_url(row.brand, row.player_id, row.channel)
        outgoing = Outgoing(
            key=row.id,
            brand=row.brand,
            brand_name=self._brand_name(row.brand),
            channel=row.channel,
            message_class=row.message_class,
            to=gate.addresses(row.player_id, profile).get(row.channel, ""),
            title=row.subject or "",
            body=row.body or "",
            language=row.language or "en",
            unsubscribe_url=None if row.message_class in NECESSARY else unsubscribe,
        )
        # A signature is dated by the receiver's clock, which is the wall's even where ours is a test's.
        answer = await self.adapters[row.channel].deliver(outgoing, datetime.now(UTC))
        return ("sent", None) if isinstance(answer, Delivered) else ("failed", answer.reason)

    async def _settle(self, connection: AsyncConnection, message_id: str, status: str, reason: str | None) -> None:
        now = self.clock()
        values: dict[str, Any] = {"status": status, "reason": reason}
        if status == "sent":
            values["delivered_at"] = now
        if status in {"suppressed", "failed"}:
            values["handed_over_at"] = None
        settled = await connection.execute(
            update(messages).where(messages.c.id == message_id).values(values).returning(messages.c.channel)
        )
        SENT.labels(settled.scalar_one(), status).inc()

    async def _rows(self, connection: AsyncConnection, given: Send) -> dict[Channel, Row[Any]]:
        found = await connection.execute(
            select(messages)
            .where(messages.c.run_id == given.run_id, messages.c.step == given.step)
            .order_by(messages.c.created_at, messages.c.id)
        )
        return {row.channel: row for row in found}

    def _brand_name(self, brand: str) -> str:
        return self.settings.brand_names.get(brand, brand)

    def _unsubscribe_url(self, brand: str, player_id: str, channel: str) -> str:
        token = unsubscribe_token(self.settings.webhook_secret, brand, player_id, channel)
        return f"{self.settings.public_url.rstrip('/')}/v1/unsubscribe/{token}"


def _result(rows: Mapping[Channel, Row[Any]], waits: Mapping[Channel, datetime]) -> SendResult:
    return SendResult(
        sent=[channel for channel, row in rows.items() if row.status in GONE_OUT],
        suppressed={channel: row.reason or row.status for channel, row in rows.items() if row.status not in GONE_OUT},
        wait_until=min(waits.values(), default=None),
    )


def _detail(given: Send, rows: Mapping[Channel, Row[Any]], result: SendResult) -> dict[str, Any]:
    return {
        "template": given.template,
        "channels": {channel: row.reason or row.status for channel, row in rows.items()},
        **({"until": result.wait_until.isoformat()} if result.wait_until else {}),
    }
