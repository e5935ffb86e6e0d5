"""The effect `send`: asks the gate, renders the text and hands each message over once.

A message's row says `handed_over` from the transaction that passed the gate, which is committed
before the channel is called. What a crash or a lost answer leaves in that state is in doubt: it is
looked up first, and sent again only where it certainly did not arrive or where the receiver
recognises a repetition by its key.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from prometheus_client import Counter
from sqlalchemy import ColumnElement, bindparam, func, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text
from temporalio import activity

from activities import gate_decisions, gate_facts
from activities.clock import Clock
from activities.database import Database, insert_rows
from activities.effect_attempt import attempt_number, retry_after, tried_for
from activities.form_answers import with_texts
from activities.journey_controls import held_by
from activities.message_offers import with_offer
from activities.message_rows import (
    COLUMNS,
    FIRST_TIMES,
    GONE_OUT,
    IN_DOUBT,
    IS_FIRST,
    TOLD,
    TOLD_TIMES,
    WAITING,
    WHEN_RUN_ENDS,
    BuryDevices,
    MessageDraft,
    MessageRow,
    announce_message,
    by_channel,
    overtaken,
    read_rows,
)
from activities.message_texts import MessageTexts
from activities.providers.adapter import Adapter, ChannelUnavailable, Delivered
from activities.providers.breaker import Breaker, left_alone
from activities.providers.email import MailLookup
from activities.providers.register import RegisterUnavailable
from activities.registers import Registers
from activities.runs import RunOver, hold_active
from activities.send_attempt import DoubtOutcome, SendAttempt
from activities.settings import Settings
from activities.step_log import record_steps
from activities.tables import messages
from activities.unsubscribe_links import UnsubscribeLinks
from content.templates import Catalogue, RenderError
from workflows.channels import CHANNELS, IN_APP, Channel
from workflows.declaration import Journey
from workflows.effect_queues import Provider
from workflows.effects import HAND_ON_AFTER, RUN_OVER, SEND, Held, Send, SendResult
from workflows.errors import DesignError
from workflows.gate.channel_plan import ChannelPlan
from workflows.gate.decide import held, may_send, too_late_at
from workflows.gate.decision import Allowed, Refusal, Wait
from workflows.gate.facts import MessageFacts
from workflows.gate.policy import NECESSARY, PROTECTIVE
from workflows.gate.policy_book import PolicyBook
from workflows.json_object import JsonObject
from workflows.player_state.message_progress import PROGRESS

logger = logging.getLogger(__name__)

SENT = Counter("journeys_messages_total", "Messages by channel and what became of them.", ["channel", "status"])

# An attempt is over before the next one may begin, so that two never hand over at once.
ATTEMPT = SEND.time_limit - timedelta(seconds=5)
# A mail system may still be working on a mail whose sender has hung up; only then is its no a no.
MAIL_SETTLING = timedelta(seconds=30)

_INSERT: Final = messages.insert().returning(*COLUMNS)


class Messages:
    """Sends messages, with what the composition root gives it."""

    def __init__(
        self,
        database: Database,
        journeys: Mapping[str, Journey],
        catalogue: Catalogue,
        adapters: Mapping[Channel, Adapter],
        breakers: Mapping[Provider, Breaker],
        lookup: MailLookup | None,
        policies: PolicyBook,
        settings: Settings,
        links: UnsubscribeLinks,
        clock: Clock,
        *,
        registers: Registers,
        bury: BuryDevices,
    ) -> None:
        needed = [name for name, spec in CHANNELS.items() if spec.external and not spec.optional]
        if unserved := [name for name in needed if name not in adapters]:
            raise DesignError(f"Nobody hands over {', '.join(unserved)}; give each an adapter in the engine.")
        self.database = database
        self.catalogue = catalogue
        self.adapters = adapters
        self.breakers = breakers
        self.lookup = lookup
        self.policies = policies
        self.settings = settings
        self.texts = MessageTexts(catalogue, settings, links)
        self._read = partial(gate_facts.read, journeys=journeys, ways=self.texts.ways)
        self.bury = bury
        self.registers = registers
        self.clock = clock

    @activity.defn(name=SEND.name)
    async def send(self, request: Send) -> SendResult | Held:
        """Hand a message over on every channel that the gate lets pass, each once.

        Raises to be tried again while a channel is away; what other channels took is kept. A text that cannot be
        rendered is `failed`. With `turn` it is that channel's provider alone, and the result says whose comes next.
        """
        self._fail_at_once_if_open(request)
        deadline = asyncio.get_running_loop().time() + ATTEMPT.total_seconds()
        try:
            attempt = await self._begin(request, self.clock())
        except RegisterUnavailable as away:
            raise away.to_be_tried_again(within=self._too_late_in(request)) from None
        if attempt.result is not None:
            return attempt.result
        handed = (self._hand_over(attempt, channel, deadline) for channel in attempt.due)
        answers = await asyncio.gather(*handed, return_exceptions=True)
        broken: BaseException | None = None
        async with self.database.transaction() as connection:
            for channel, answer in zip(attempt.due, answers, strict=True):
                match answer:
                    case ChannelUnavailable():
                        attempt.failed = answer
                        if not answer.may_have_arrived:
                            await self._put_back(connection, request, attempt.rows[channel])
                    case BaseException():
                        broken = answer
                    case status, reason:
                        await self._update_status(connection, attempt.rows[channel], status, reason)
            attempt.rows = await read_rows(connection, request)
            if broken is None and attempt.is_over:
                return await self._record_step(connection, attempt)
        if broken is not None:
            raise broken
        assert attempt.failed is not None
        raise retry_after(attempt.failed, attempt.failed.retry_after, within=self._too_late_in(request))

    async def _begin(self, request: Send, now: datetime) -> SendAttempt:
        """Decide about every channel, mark as handed over what is due, and commit.

        Where nothing is due the step is recorded in the same transaction and the attempt has its result.
        """
        doubts: dict[Channel, DoubtOutcome | ChannelUnavailable] | None = None
        asked = False
        while True:
            async with self.database.transaction() as connection:
                request = await with_offer(connection, await with_texts(connection, request))
                said = self.registers.known(request)
                message_class = self.catalogue[request.template].message_class
                yields = message_class not in NECESSARY
                drawn_as = self.policies.drawn_as(request.brand)
                player = await self._read(
                    connection, request, now=now, registers=said, yields=yields, drawn_as=drawn_as
                )
                if player is not None and not player.run_is_active:
                    raise RunOver(request.run_id)
                plan = ChannelPlan(request.via, request.fallback, request.turn)
                attempt = SendAttempt(request, now, player, plan, await read_rows(connection, request), doubts or {})
                attempt.patient = tried_for() < HAND_ON_AFTER
                if message_class not in PROTECTIVE:
                    attempt.held = await held_by(connection, request, now)
                doubtful = [r for r in attempt.rows.values() if r.status == IN_DOUBT and plan.has_turn(r.channel)]
                wanted = [] if asked else self._registers_wanted(attempt)
                if not wanted and (doubts is not None or not doubtful):
                    await self._plan_channels(connection, attempt)
                    if not attempt.due and attempt.is_over:
                        attempt.result = await self._record_step(connection, attempt)
                    return attempt
            # Others are asked outside of any transaction, and the gate after them: its answer must not grow old.
            if wanted and player is not None:
                asked = True
                await self.registers.ask(request, player.profile, wanted)
                continue
            doubts = {row.channel: await self._look_up(row, now) for row in doubtful}

    async def _record_step(self, connection: AsyncConnection, attempt: SendAttempt) -> SendResult | Held:
        """Record what became of the step in the transaction that ends it; before that only what the run has told."""
        result = attempt.outcome()
        if result.next_turn is not None:
            await record_steps(connection, attempt.request, self.clock())
            return result
        if attempt.held is not None and attempt.plan.waits:
            return attempt.held
        came_to: JsonObject = {row.channel: row.reason or row.status for row in attempt.rows.values()}
        detail = result.story_detail(attempt.request.template, came_to)
        await record_steps(connection, attempt.request, self.clock(), result.outcome, detail)
        return result

    async def _look_up(self, row: MessageRow, now: datetime) -> DoubtOutcome | ChannelUnavailable:
        """What became of a message that an earlier attempt left in doubt."""
        if row.channel != "email" or self.lookup is None:
            return "nobody_says"
        try:
            arrived = await self.lookup.arrived(row.id)
        except ChannelUnavailable as away:
            return away
        assert row.handed_over_at is not None
        if not arrived and (left := row.handed_over_at + MAIL_SETTLING - now) > timedelta(0):
            return ChannelUnavailable("The mail may still be on its way; ask again later.", left)
        return "arrived" if arrived else "absent"

    async def _plan_channels(self, connection: AsyncConnection, attempt: SendAttempt) -> None:
        request, tried_before = attempt.request, bool(attempt.rows)
        for channel in attempt.plan.channels():
            await self._plan_channel(connection, attempt, channel)
        if attempt.drafts:
            message_class = self.catalogue[request.template].message_class
            values = [draft.row(request, message_class, attempt.now) for draft in attempt.drafts]
            inserted = await insert_rows(connection, _INSERT, values)
            attempt.rows = by_channel(MessageRow(*row) for row in inserted.all())
            for value in values:
                announce_message(connection, value["status"], value, attempt.now)
        release = attempt.player.release if attempt.player else 0
        await gate_decisions.record(connection, request, attempt.decided, release, attempt.now)
        if tried_before:
            attempt.rows = await read_rows(connection, request)

    async def _plan_channel(self, connection: AsyncConnection, attempt: SendAttempt, channel: Channel) -> None:
        """Decide about one channel and write it down; what is final is left as it is."""
        row = attempt.rows.get(channel)
        if row is not None and row.status not in (IN_DOUBT, WAITING):
            if row.status in GONE_OUT:
                attempt.plan.used.add(channel)
            return
        if row is not None and row.status == IN_DOUBT and not attempt.plan.has_turn(channel):
            attempt.plan.leave(channel)
            return
        # A row that fell into doubt since we looked is asked about in the next attempt.
        doubt = None if row is None or row.status == WAITING else attempt.doubts.get(channel, overtaken())
        if isinstance(doubt, ChannelUnavailable):
            attempt.failed = doubt
            attempt.plan.used.add(channel)
        elif row is not None and doubt == "arrived":
            await self._update_status(connection, row, "sent")
            attempt.plan.used.add(channel)
        else:
            await self._pass_gate(connection, attempt, channel, doubtful=doubt == "nobody_says")

    async def _pass_gate(
        self, connection: AsyncConnection, attempt: SendAttempt, channel: Channel, *, doubtful: bool
    ) -> None:
        """Ask the gate about one channel and write down what it says and saw."""
        row = attempt.rows.get(channel)
        decision = self._decision(attempt, channel)
        repeatable = isinstance(decision, Allowed) and CHANNELS[channel].has_keys
        repeatable = repeatable and self.adapters[channel].keeps_keys
        if row is not None and doubtful and not repeatable:
            await self._update_status(connection, row, "unknown", "outcome_unknown")
            attempt.plan.used.add(channel)
        elif isinstance(decision, Wait):
            attempt.decide(channel, decision)
            attempt.plan.waits[channel] = decision.until
            if row is not None:
                await self._update_status(connection, row, WAITING)
        else:
            draft = self._draft(attempt, channel, decision)
            if draft.status == IN_DOUBT and not self._may_call(attempt, channel):
                # It stands where people see it, until its provider's turn has come.
                if row is None:
                    attempt.decide(channel, decision)
                    await _write_draft(connection, attempt, replace(draft, status=WAITING, handed_over_at=None))
                return
            attempt.decide(channel, decision)
            await _write_draft(connection, attempt, draft)

    def _may_call(self, attempt: SendAttempt, channel: Channel) -> bool:
        """Whether this attempt may hand a message over on a channel; if not, its plan says why."""
        if not attempt.plan.has_turn(channel):
            attempt.plan.leave(channel)
            return False
        pause = self._breaker(channel).pause()
        if pause is None:
            return True
        attempt.failed = left_alone(channel, pause, attempt_number())
        attempt.plan.used.add(channel)
        return False

    def _fail_at_once_if_open(self, request: Send) -> None:
        """Without a look at Postgres, which others need, where an earlier attempt has written everything down."""
        if request.provider is None or request.turn is None or attempt_number() == 1 or tried_for() >= HAND_ON_AFTER:
            return
        left = self._too_late_in(request)
        if (left is None or left > timedelta(0)) and (pause := self._breaker(request.turn).left()) is not None:
            away = left_alone(request.turn, pause, attempt_number())
            raise retry_after(away, away.retry_after, within=left)

    def _breaker(self, channel: Channel) -> Breaker:
        provider = CHANNELS[channel].provider
        assert provider is not None, "what stays inside is handed to nobody"
        return self.breakers[provider]

    def _decision(self, attempt: SendAttempt, channel: Channel) -> Allowed | Wait | Refusal:
        if attempt.held is not None:
            return held(attempt.now)
        policy = self.policies.of(attempt.request.brand, attempt.facts, attempt.now)
        return may_send(attempt.facts, self._asked(attempt.request, channel), policy, attempt.now)

    def _registers_wanted(self, attempt: SendAttempt) -> list[str]:
        """The registers to ask before the gate can decide about a channel that is not settled."""
        policy = self.policies.of(attempt.request.brand, attempt.facts, attempt.now)
        settled = (channel for channel, row in attempt.rows.items() if row.status not in (IN_DOUBT, WAITING))
        channels = {*attempt.plan.via, *attempt.plan.fallback}.difference(settled)
        decisions = (self._decision(attempt, one) for one in channels)
        return self.registers.wanted(decisions, attempt.facts, policy, attempt.now)

    def _asked(self, request: Send, channel: Channel) -> MessageFacts:
        """What the gate must know of a message on one of its channels."""
        template = self.catalogue[request.template]
        return MessageFacts(
            channel=channel,
            message_class=template.message_class,
            step=request.key,
            suppress_if_active_today=template.suppress_if_active_today,
            product=request.product or self.settings.product,
            asked_at=request.asked_at,
            by=request.by,
            delay=request.delay,
            asks=request.survey is not None,
        )

    def _too_late_in(self, request: Send) -> timedelta | None:
        """How long it is until the message is too late; None where it never is."""
        now = self.clock()
        # Without the player: what their own policy says besides, the gate says in time.
        policy = self.policies.at(request.brand, None, now)
        end = too_late_at(self._asked(request, request.via[0]), policy) if request.via else request.by
        return None if end is None else end - now

    def _good_until(self, attempt: SendAttempt, channel: Channel) -> datetime | None:
        """When a message is too late by the policy of its player, on the wall's clock; None where it never is."""
        policy = self.policies.of(attempt.request.brand, attempt.facts, attempt.now)
        end = too_late_at(self._asked(attempt.request, channel), policy)
        return None if end is None else datetime.now(UTC) + (end - self.clock())

    def _draft(self, attempt: SendAttempt, channel: Channel, decision: Allowed | Refusal) -> MessageDraft:
        now, seen = attempt.now, gate_facts.decision_record(decision) | attempt.request.chosen
        if isinstance(decision, Refusal):
            return MessageDraft(channel, seen, "suppressed", reason=str(decision.reason))
        text = None
        if channel not in attempt.rows:
            try:
                assert attempt.player is not None
                text = self.texts.render(attempt.request, attempt.player, channel)
            except RenderError as unfit:
                # No attempt will ever render it: kept for people to see, and the journey goes on.
                logger.error("%s cannot be rendered: %s", attempt.request.key, unfit)  # noqa: TRY400 - the sentence says it all
                return MessageDraft(channel, seen, "failed", reason="not_renderable")
        if not CHANNELS[channel].external:
            return MessageDraft(channel, seen, "sent", handed_over_at=now, delivered_at=now, text=text)
        return MessageDraft(channel, seen, IN_DOUBT, handed_over_at=now, text=text)

    async def _hand_over(self, attempt: SendAttempt, channel: Channel, deadline: float) -> tuple[str, str | None]:
        """Give one message to its channel; the state that follows, and why."""
        row = attempt.rows[channel]
        outgoing = self.texts.outgoing(row, attempt.player, self._good_until(attempt, channel))
        breaker = self._breaker(row.channel)
        try:
            async with asyncio.timeout_at(deadline):
                # A signature is dated by the receiver's clock, which is the wall's even where ours is a test's.
                answer = await self.adapters[row.channel].deliver(outgoing, datetime.now(UTC))
        except TimeoutError:
            breaker.failed()
            raise ChannelUnavailable(f"The {row.channel} channel took too long; try again.") from None
        except ChannelUnavailable as away:
            (breaker.answered if away.answered else breaker.failed)()
            raise
        if isinstance(answer, Delivered) or answer.detail:
            breaker.answered()
        await self.bury(row, answer.dead, self.clock())
        return ("sent", None) if isinstance(answer, Delivered) else ("failed", answer.reason)

    async def _put_back(self, connection: AsyncConnection, request: Send, row: MessageRow) -> None:
        """Have a message wait that certainly has not arrived; one whose run is over meanwhile waits for nothing."""
        try:
            await hold_active(connection, request.run_id)
        except RunOver:
            await self._update_status(connection, row, "suppressed", RUN_OVER)
        else:
            await self._update_status(connection, row, WAITING)

    async def _update_status(
        self, connection: AsyncConnection, row: MessageRow, status: str, reason: str | None = None
    ) -> None:
        """Write what became of a message, unless a later attempt has taken it over meanwhile.

        That it was sent is true whoever says it, and is always written.
        """
        values: JsonObject = {"status": status, "reason": reason}
        # Its own attempt may know more of what ended in doubt together with its run.
        in_doubt = [IN_DOUBT, WAITING, *(["unknown"] if status in {"failed", "suppressed"} else [])]
        still_open: ColumnElement[bool] = messages.c.status.in_(in_doubt)
        still_open &= messages.c.handed_over_at == row.handed_over_at
        if status == "sent":
            values["delivered_at"] = self.clock()
            still_open = messages.c.status != "sent"
        elif status in {"failed", "suppressed"}:
            values["handed_over_at"] = None
        updated = await connection.execute(
            update(messages).where(messages.c.id == row.id, still_open).values(values).returning(*TOLD)
        )
        if (told := updated.one_or_none()) is not None:
            SENT.labels(row.channel, status).inc()
            announce_message(connection, status, told, self.clock())


async def mark_read(connection: AsyncConnection, brand: str, message_id: str, now: datetime) -> None:
    """Write down when a player read a message of their inbox that was sent; the first time counts."""
    mine = (messages.c.id == message_id, messages.c.brand == brand)
    readable = (messages.c.channel == IN_APP, messages.c.status == "sent", messages.c.read_at.is_(None))
    await connection.execute(update(messages).where(*mine, *readable).values(read_at=now))


async def give_up_turns(connection: AsyncConnection, run_id: str) -> None:
    """Close the messages of a run that has ended: what had no turn was not sent, about what is in doubt nobody asks."""
    still_open = (messages.c.run_id == run_id, messages.c.status.in_([WAITING, IN_DOUBT]))
    closed = await connection.execute(
        update(messages).where(*still_open).values(WHEN_RUN_ENDS).returning(*TOLD, messages.c.status, func.now())
    )
    for row in closed:
        announce_message(connection, row.status, row, row[-1])


async def _write_draft(connection: AsyncConnection, attempt: SendAttempt, draft: MessageDraft) -> None:
    """Update the row an earlier attempt left, or keep the draft to be inserted with the others."""
    row = attempt.rows.get(draft.channel)
    if draft.status == IN_DOUBT:
        attempt.due.append(draft.channel)
    elif draft.status != WAITING:
        SENT.labels(draft.channel, draft.status).inc()
    if draft.status in GONE_OUT:
        attempt.plan.used.add(draft.channel)
    if row is None:
        attempt.drafts.append(draft)
    else:
        written = update(messages).where(messages.c.id == row.id).values(draft.decided()).returning(*TOLD)
        for told in await connection.execute(written):
            announce_message(connection, draft.status, told, attempt.now)


#: Notes how far messages have come, as providers tell in `:rows`: the furthest counts, and of each the first time.
#: `unknown` is known then.
ADVANCE: Final = text(
    f"""
    UPDATE messages m SET delivery = CASE WHEN t.further THEN t.status ELSE m.delivery END,
        delivery_at = CASE WHEN t.further THEN t.at ELSE m.delivery_at END,
        status = CASE WHEN t.arrived THEN 'sent' ELSE m.status END,
        reason = CASE WHEN t.arrived THEN NULL ELSE m.reason END, {FIRST_TIMES}
    FROM (
        SELECT id, max(rank) > told OR max(rank) = told AND (array_agg(at ORDER BY rank DESC, at))[1] < told_at
               AS further, (array_agg(status ORDER BY rank DESC, at))[1] AS status,
               (array_agg(at ORDER BY rank DESC, at))[1] AS at,
               was = 'unknown' AND max(rank) >= array_position(:progress, 'delivered') AS arrived, {TOLD_TIMES}
        FROM (
            SELECT m.id, m.status AS was, coalesce(array_position(:progress, m.delivery), 0) AS told,
                   m.delivery_at AS told_at, r.*, array_position(:progress, r.status) AS rank
            FROM json_to_recordset(CAST(:rows AS json)) AS r
              (player_id text, message_id text, channel text, status text, at timestamptz, machine boolean)
            JOIN messages m ON m.id IN (r.message_id, r.message_id || '/' || r.channel) AND m.brand = :brand
             AND m.player_id = r.player_id) r
        GROUP BY id, was, told, told_at) t
    WHERE m.id = t.id AND (t.further OR {IS_FIRST})
    """  # noqa: S608 - our own words
).bindparams(bindparam("progress", [*PROGRESS], type_=ARRAY(Text)))
#: Forgets up to `:limit` messages from before `:before`; what had to be told, and protects, is a record and stays.
FORGET: Final = text(
    """
    DELETE FROM messages WHERE id = ANY(ARRAY(
        SELECT id FROM messages WHERE created_at < :before AND NOT message_class = ANY(:necessary) LIMIT :limit))
    """
).bindparams(bindparam("necessary", sorted(NECESSARY), type_=ARRAY(Text)))
#: Overwrites the texts of up to `:limit` messages to a player from before `:before`; that they were sent stays.
ERASE: Final = text(
    """
    UPDATE messages SET subject = NULL, body = NULL, html = NULL WHERE id = ANY(ARRAY(
        SELECT id FROM messages WHERE brand = :brand AND player_id = :player AND created_at <= :before
          AND (subject IS NOT NULL OR body IS NOT NULL OR html IS NOT NULL) LIMIT :limit))
    """
)
