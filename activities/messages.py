"""`send`: the gate, the text, the hand-over, each message once.

A message's row says `handed_over` from the transaction that passed the gate, which is committed
before the channel is called. What a crash or a lost answer leaves in that state is in doubt: it is
looked up first, and sent again only where it certainly did not arrive or where the receiver
recognises a repetition by its key.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from prometheus_client import Counter
from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities import gate_facts as gate
from activities.database import Database
from activities.providers.messaging import Adapter, ChannelUnavailable, Delivered, MailLookup, Outgoing
from activities.settings import Settings
from activities.step_log import tell
from activities.tables import messages
from activities.unsubscribe import unsubscribe_token
from content.templates import Catalogue, RenderError
from workflows.effects import SEND, Channel, Send, SendResult
from workflows.gate.policy import NECESSARY, Allowed, MessageFacts, Policy, Refusal, Wait, may_send
from workflows.local_time import zone

logger = logging.getLogger(__name__)

SENT = Counter("journeys_messages_total", "Messages by channel and what became of them.", ["channel", "status"])

# Channels whose receivers drop a repetition by its key; mail has no such promise.
KEYED: frozenset[Channel] = frozenset({"sms", "push"})
# `handed_over` may have arrived, `waiting` certainly has not; the other states are final.
IN_DOUBT, WAITING = "handed_over", "waiting"
GONE_OUT = ("sent", IN_DOUBT, "unknown")
# An attempt is over before the next one may begin, so that two never hand over at once.
ATTEMPT = SEND.time_limit - timedelta(seconds=5)
# A mail system may still be working on a mail whose sender has hung up; only then is its no a no.
SETTLING = timedelta(seconds=30)

#: Rows that are written together have the same columns.
TEXTLESS = dict.fromkeys(("subject", "body", "language", "reason", "handed_over_at", "delivered_at"))
Finding = Literal["arrived", "absent", "nobody_says"]


@dataclass
class ChannelPlan:
    """What one attempt does about each channel of a message."""

    known: gate.GatedPlayer | None
    rows: Mapping[Channel, Row[Any]] = field(default_factory=dict)
    #: What was found out about the rows in doubt; an error means to ask again.
    findings: Mapping[Channel, Finding | ChannelUnavailable] = field(default_factory=dict)
    #: Rows to be written.
    fresh: list[dict[str, Any]] = field(default_factory=list)
    #: Channels marked as handed over in this attempt, to be handed over after the commit.
    due: list[Channel] = field(default_factory=list)
    waits: dict[Channel, datetime] = field(default_factory=dict)
    #: Channels that count as used, so that no fallback is needed.
    used: set[Channel] = field(default_factory=set)
    failed: ChannelUnavailable | None = None
    #: The step's result, where there was nothing to hand over.
    told: SendResult | None = None


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

        Raises to be tried again while a channel is away; what other channels took is kept. A text
        that cannot be rendered is `failed`: no attempt would ever render it.
        """
        deadline = asyncio.get_running_loop().time() + ATTEMPT.total_seconds()
        now = self.clock()
        plan = await self._plan(given, now)
        if plan.told is not None:
            return plan.told
        answers = await asyncio.gather(
            *(self._hand_over(plan.rows[channel], plan.known, deadline) for channel in plan.due), return_exceptions=True
        )
        broken: BaseException | None = None
        async with self.database.transaction() as connection:
            for channel, answer in zip(plan.due, answers, strict=True):
                match answer:
                    case ChannelUnavailable():
                        plan.failed = answer
                        if not answer.may_have_arrived:
                            await self._settle(connection, plan.rows[channel], WAITING, None)
                    case BaseException():
                        broken = answer
                    case status, reason:
                        await self._settle(connection, plan.rows[channel], status, reason)
            plan.rows = await _rows(connection, given)
            if broken is None and plan.failed is None:
                return await self._tell(connection, given, plan)
        if broken is not None:
            raise broken
        assert plan.failed is not None
        raise _again(plan.failed)

    async def _plan(self, given: Send, now: datetime) -> ChannelPlan:
        """Decide about every channel, mark as handed over what is due, and commit; all is told if nothing is due."""
        findings: dict[Channel, Finding | ChannelUnavailable] | None = None
        while True:
            async with self.database.transaction() as connection:
                plan = ChannelPlan(await gate.read(connection, given.brand, given.player_id, now))
                plan.rows = await _rows(connection, given)
                doubtful = [row for row in plan.rows.values() if row.status == IN_DOUBT]
                if findings is not None or not doubtful:
                    plan.findings = findings or {}
                    await self._pass_gate(connection, given, now, plan)
                    if not plan.due and plan.failed is None:
                        plan.told = await self._tell(connection, given, plan)
                    return plan
            # Others are asked outside of any transaction, and the gate after them: its answer must not grow old.
            findings = {row.channel: await self._look_into(row, now) for row in doubtful}

    async def _tell(self, connection: AsyncConnection, given: Send, plan: ChannelPlan) -> SendResult:
        """Keep what became of the step, in the transaction that settles it."""
        result = _result(plan.rows, plan.waits)
        await tell(
            connection,
            given,
            self.clock(),
            "waiting" if result.wait_until else "sent" if result.sent else "suppressed",
            _detail(given, plan.rows, result),
        )
        return result

    async def _look_into(self, row: Row[Any], now: datetime) -> Finding | ChannelUnavailable:
        """What became of a message that an earlier attempt left in doubt."""
        if row.channel != "email" or self.lookup is None:
            return "nobody_says"
        try:
            arrived = await self.lookup.arrived(row.id)
        except ChannelUnavailable as away:
            return away
        if not arrived and (left := row.handed_over_at + SETTLING - now) > timedelta(0):
            return ChannelUnavailable("The mail may still be on its way; ask again later.", left)
        return "arrived" if arrived else "absent"

    async def _pass_gate(self, connection: AsyncConnection, given: Send, now: datetime, plan: ChannelPlan) -> None:
        tried_before = bool(plan.rows)
        for channel in given.via:
            await self._decide(connection, given, channel, now, plan)
        for channel in given.fallback:
            if plan.waits or plan.used:
                break
            await self._decide(connection, given, channel, now, plan)
        if plan.fresh:
            inserted = await connection.execute(messages.insert().values(plan.fresh).returning(messages))
            plan.rows = {row.channel: row for row in inserted}
        if tried_before:
            plan.rows = await _rows(connection, given)

    async def _decide(
        self, connection: AsyncConnection, given: Send, channel: Channel, now: datetime, plan: ChannelPlan
    ) -> None:
        """Decide about one channel and write it down; what is settled is left as it is."""
        row = plan.rows.get(channel)
        if row is not None and row.status not in (IN_DOUBT, WAITING):
            if row.status in GONE_OUT:
                plan.used.add(channel)
            return
        # A row that fell into doubt since we looked is asked about in the next attempt.
        finding = None if row is None or row.status == WAITING else plan.findings.get(channel, _meanwhile())
        if isinstance(finding, ChannelUnavailable):
            plan.failed = finding
            plan.used.add(channel)
        elif row is not None and finding == "arrived":
            await self._settle(connection, row, "sent", None)
            plan.used.add(channel)
        else:
            await self._ask_gate(connection, given, channel, now, plan, doubtful=finding == "nobody_says")

    async def _ask_gate(
        self,
        connection: AsyncConnection,
        given: Send,
        channel: Channel,
        now: datetime,
        plan: ChannelPlan,
        *,
        doubtful: bool,
    ) -> None:
        """Ask the gate about one channel and write down what it says and saw."""
        row = plan.rows.get(channel)
        template = self.catalogue[given.template]
        asked = MessageFacts(
            channel=channel,
            message_class=template.message_class,
            step=given.key,
            suppress_if_active_today=template.suppress_if_active_today,
        )
        decision = may_send(plan.known.facts if plan.known else None, asked, self.policy, now)
        repeatable = isinstance(decision, Allowed) and channel in KEYED
        if row is not None and doubtful and not repeatable:
            await self._settle(connection, row, "unknown", "outcome_unknown")
            plan.used.add(channel)
            return
        if isinstance(decision, Wait):
            plan.waits[channel] = decision.until
            if row is not None:
                await self._settle(connection, row, WAITING, None)
            return
        values: dict[str, Any] = {
            "decision": {
                "rule": decision.rule if isinstance(decision, Refusal) else None,
                "detail": decision.detail if isinstance(decision, Refusal) else None,
                "seen": dict(decision.seen),
                "policy": decision.policy,
            }
        }
        if isinstance(decision, Refusal):
            values |= {"status": "suppressed", "reason": str(decision.reason), "handed_over_at": None}
        elif row is None and (unfit := self._write_text(given, channel, plan, values)):
            values |= {"status": "failed", "reason": unfit}
        elif channel == "in_app":
            values |= {"status": "sent", "handed_over_at": now, "delivered_at": now}
            plan.used.add(channel)
        else:
            values |= {"status": IN_DOUBT, "handed_over_at": now}
            plan.used.add(channel)
            plan.due.append(channel)
        if values["status"] != IN_DOUBT:
            SENT.labels(channel, values["status"]).inc()
        if row is not None:
            await connection.execute(update(messages).where(messages.c.id == row.id).values(values))
            return
        plan.fresh.append(
            TEXTLESS
            | values
            | {
                "id": f"{given.key}/{channel}",
                "brand": given.brand,
                "player_id": given.player_id,
                "run_id": given.run_id,
                "step": given.step,
                "journey": given.journey,
                "channel": channel,
                "template": given.template,
                "message_class": template.message_class,
                "created_at": now,
            }
        )

    def _write_text(self, given: Send, channel: Channel, plan: ChannelPlan, values: dict[str, Any]) -> str | None:
        """Add the message's text to its row's values, or say why there is none."""
        assert plan.known is not None
        state, profile = plan.known.state, plan.known.profile
        try:
            rendered = self.catalogue.render(
                given.template,
                channel,
                state.facts.get("language", "en"),
                {
                    **given.variables,
                    "first_name": profile.get("first_name"),
                    "brand_name": self._brand_name(given.brand),
                    "unsubscribe_url": self._unsubscribe_url(given.brand, given.player_id, channel),
                },
                zone=zone(state.facts.get("timezone")),
                currency=state.facts.get("currency"),
            )
        except RenderError as unfit:
            # No attempt will ever render it: kept for people to see, and the journey goes on.
            logger.error("%s cannot be rendered: %s", given.key, unfit)  # noqa: TRY400 - the sentence says it all
            return "not_renderable"
        values |= {"subject": rendered.title, "body": rendered.body, "language": rendered.language}
        return None

    async def _hand_over(
        self, row: Row[Any], known: gate.GatedPlayer | None, deadline: float
    ) -> tuple[str, str | None]:
        """Give one message to its channel; the state that follows, and why."""
        profile = known.profile if known else {}
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
        try:
            async with asyncio.timeout_at(deadline):
                # A signature is dated by the receiver's clock, which is the wall's even where ours is a test's.
                answer = await self.adapters[row.channel].deliver(outgoing, datetime.now(UTC))
        except TimeoutError:
            raise ChannelUnavailable(f"The {row.channel} channel took too long; try again.") from None
        return ("sent", None) if isinstance(answer, Delivered) else ("failed", answer.reason)

    async def _settle(self, connection: AsyncConnection, row: Row[Any], status: str, reason: str | None) -> None:
        """Write what became of a message, unless a later attempt has taken it over meanwhile.

        That it was sent is true whoever says it, and is always written.
        """
        values: dict[str, Any] = {"status": status, "reason": reason}
        unsettled = messages.c.status.in_([IN_DOUBT, WAITING]) & (messages.c.handed_over_at == row.handed_over_at)
        if status == "sent":
            values["delivered_at"] = self.clock()
            unsettled = messages.c.status != "sent"
        elif status == "failed":
            values["handed_over_at"] = None
        settled = await connection.execute(
            update(messages).where(messages.c.id == row.id, unsettled).values(values).returning(messages.c.id)
        )
        if settled.scalar_one_or_none() is not None:
            SENT.labels(row.channel, status).inc()

    def _brand_name(self, brand: str) -> str:
        return self.settings.brand_names.get(brand, brand)

    def _unsubscribe_url(self, brand: str, player_id: str, channel: str) -> str:
        token = unsubscribe_token(self.settings.webhook_secret, brand, player_id, channel)
        return f"{self.settings.public_url.rstrip('/')}/v1/unsubscribe/{token}"


def _meanwhile() -> ChannelUnavailable:
    return ChannelUnavailable("Another attempt has just handed the message over; try again.")


def _again(failed: ChannelUnavailable) -> Exception:
    """The error that makes Temporal try again, at the time the channel named if it did."""
    if failed.retry_after is None:
        return failed
    return ApplicationError(str(failed), type=type(failed).__name__, next_retry_delay=failed.retry_after)


async def _rows(connection: AsyncConnection, given: Send) -> dict[Channel, Row[Any]]:
    found = await connection.execute(
        select(messages)
        .where(messages.c.run_id == given.run_id, messages.c.step == given.step)
        .order_by(messages.c.created_at, messages.c.id)
    )
    return {row.channel: row for row in found}


def _result(rows: Mapping[Channel, Row[Any]], waits: Mapping[Channel, datetime]) -> SendResult:
    final = {channel: row for channel, row in rows.items() if row.status not in (IN_DOUBT, WAITING)}
    return SendResult(
        sent=[channel for channel, row in final.items() if row.status in GONE_OUT],
        suppressed={channel: row.reason or row.status for channel, row in final.items() if row.status not in GONE_OUT},
        wait_until=min(waits.values(), default=None),
    )


def _detail(given: Send, rows: Mapping[Channel, Row[Any]], result: SendResult) -> dict[str, Any]:
    return {
        "template": given.template,
        "channels": {channel: row.reason or row.status for channel, row in rows.items()},
        **({"until": result.wait_until.isoformat()} if result.wait_until else {}),
    }
