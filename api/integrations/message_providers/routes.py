"""Where providers of messages tell what became of them, and what players answer. No key: each signs what it says."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from fastapi import APIRouter, Request, Response
from prometheus_client import Counter
from sqlalchemy import select

from activities.intake import stray_refusals
from activities.intake.stray_refusals import StrayRefusal
from activities.player_lookups import players_with_mail, players_with_number
from activities.stray_texts import StrayText, keep_stray
from activities.tables import messages
from api.database import in_time
from api.dependencies import ApiEngine, EngineOf
from api.events import COMMIT_TIMEOUT
from api.integrations.message_providers.signatures import SendGridSignature, is_twilios
from api.integrations.message_providers.words import StatusTold, TextReceived, mail_events, sms_status, text_received
from api.problems import Problem, busy, documented
from workflows.channels import Channel
from workflows.events import ConsentChanged, Event, MessageReceived, MessageStatus
from workflows.json_object import JsonObject
from workflows.player_state.consents import WITHDRAWING
from workflows.player_state.stop_words import is_stop_word

router = APIRouter(prefix="/v1/integrations", tags=["messages"])

#: As SendGrid sends in one piece, and more than it does.
MOST_EVENTS: Final = 5_000
MAIL_PATH, SMS_PATH, TEXTS_PATH = "/sendgrid/events", "/twilio/status", "/twilio/texts"
SOURCES: Final = {MAIL_PATH: "provider:mail", SMS_PATH: "provider:sms", TEXTS_PATH: "provider:sms"}
TEXTS: Final = Counter("journeys_texts_received_total", "Texts that came to our numbers, by who sent them.", ["sender"])
#: What is answered to a text: nothing. To STOP and START the provider answers by itself.
_NO_ANSWER: Final = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
_RESPONSES: dict[int | str, JsonObject] = documented(400, 401, 404, 413, 422, 429, 503)


@router.post(MAIL_PATH, status_code=204, response_class=Response, responses=_RESPONSES)
async def take_mail_events(request: Request, engine: EngineOf) -> Response:
    """SendGrid's signed event webhook: delivered, bounced, reported as spam, unsubscribed.

    What is about no mail of ours is passed by, so that one account may serve others too.
    """
    key = engine.settings.mail_events_key
    if not key:
        raise Problem("not-found", "No mail provider tells events here; set MAIL_EVENTS_KEY.")
    signature = request.headers.get("x-twilio-email-event-webhook-signature", "")
    timestamp = request.headers.get("x-twilio-email-event-webhook-timestamp", "")
    body = await request.body()
    if not SendGridSignature(key).is_genuine(signature, timestamp, body):
        raise _unsigned()
    try:
        items = orjson.loads(body)
    except orjson.JSONDecodeError:
        items = None
    if not isinstance(items, list) or len(items) > MOST_EVENTS:
        raise Problem("malformed", f"Send a list of at most {MOST_EVENTS:,} events.")
    await _keep(engine, SOURCES[MAIL_PATH], mail_events(items))
    return Response(status_code=204)


@router.post(SMS_PATH, status_code=204, response_class=Response, responses=_RESPONSES)
async def take_sms_status(request: Request, engine: EngineOf) -> Response:
    """Twilio's status callback for one SMS, whose id of ours is `key` in the address."""
    form = await _signed_form(request, engine, SMS_PATH)
    told = sms_status(request.query_params.get("key", ""), form)
    await _keep(engine, SOURCES[SMS_PATH], [] if told is None else [told])
    return Response(status_code=204)


@router.post(
    TEXTS_PATH,
    response_class=Response,
    responses={
        200: {"description": "Kept.", "content": {"text/xml": {"schema": {"type": "string"}}}},
        **_RESPONSES,
    },
)
async def take_text(request: Request, engine: EngineOf) -> Response:
    """A text that a player sent to a number of ours, as Twilio tells it. One that says STOP is in force when answered.

    It is every player's who has the number, in each brand: all of them are written to from it. From a number that
    nobody has it is kept for people to look at. STOP is held for whoever gets the number later.
    """
    form = await _signed_form(request, engine, TEXTS_PATH)
    if (received := text_received(form)) is not None:
        await _keep_text(engine, received)
    return Response(_NO_ANSWER, media_type="text/xml")


async def _signed_form(request: Request, engine: ApiEngine, path: str) -> dict[str, str]:
    """What Twilio posted here. Raises `Problem` where it was somebody else, and where Twilio tells us nothing."""
    token = engine.settings.sms_api_token
    if not token:
        raise Problem("not-found", "No SMS provider tells events here; set SMS_API_TOKEN.")
    try:
        form = parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=100)
    except (UnicodeDecodeError, ValueError):
        raise Problem("malformed", "Send a form.") from None
    query = f"?{request.url.query}" if request.url.query else ""
    url = f"{engine.settings.public_url.rstrip('/')}{router.prefix}{path}{query}"
    if not is_twilios(token, request.headers.get("x-twilio-signature", ""), url, form):
        raise _unsigned()
    return dict(form)


async def _keep_text(engine: ApiEngine, received: TextReceived) -> None:
    """Have a text be an event of each player it is from. What takes a consent back is never put off."""
    now = engine.clock()
    async with engine.pools.protection.transaction() as connection:
        if received.stops:
            no = StrayRefusal(received.channel, received.number)
            await stray_refusals.hold(connection, engine.intake.digests, no, now)
        senders = await players_with_number(connection, received.number)
        if not senders:
            stray = StrayText(received.id, received.channel, received.number, received.text, received.stops, now)
            await keep_stray(connection, stray)
    TEXTS.labels("player" if senders else "stranger").inc()
    by_brand: dict[str, list[tuple[str, Event]]] = {}
    for brand, player_id in senders:
        by_brand.setdefault(brand, []).extend((player_id, event) for event in _said(received, player_id, now))
    for brand, events in by_brand.items():
        if "later" in await in_time(engine.intake.ingest(brand, events, now), COMMIT_TIMEOUT):
            raise busy(engine.pressure.retry_after, {})


def _said(received: TextReceived, player_id: str, now: datetime) -> list[Event]:
    common = {"event_source": SOURCES[TEXTS_PATH], "occurred_at": now, "channel": received.channel}
    told = common | {"event_id": f"{received.id}/{player_id}", "text": received.text}
    events: list[Event] = [MessageReceived.model_validate(told)]
    if received.stops and not is_stop_word(received.text):
        # A stop word of the provider's own, which we do not know.
        events.append(_no(SOURCES[TEXTS_PATH], received.id, player_id, received.channel, now))
    return events


def _no(source: str, name: str, player_id: str, channel: Channel, now: datetime) -> ConsentChanged:
    said = {"event_id": f"{name}/{player_id}/stop", "event_source": source, "occurred_at": now}
    return ConsentChanged.model_validate(said | {"channel": channel, "opted_in": False, "source": "stop_word"})


def _unsigned() -> Problem:
    return Problem("unauthenticated", "The signature is not the provider's; nothing was kept.")


async def _keep(engine: ApiEngine, source: str, told: Sequence[StatusTold]) -> None:
    """Keep what is about messages of ours, each with its own brand."""
    if not told:
        return
    now = engine.clock()
    async with engine.database.reading() as connection:
        named = {name for one in told for name in (one.message_id,)}
        mine = select(messages.c.id, messages.c.brand, messages.c.player_id, messages.c.channel)
        rows = {row.id: row for row in await connection.execute(mine.where(messages.c.id.in_(named)))}
    by_brand: dict[str, list[tuple[str, Event]]] = {}
    for one in told:
        if (row := rows.get(one.message_id)) is not None:
            by_brand.setdefault(row.brand, []).append((row.player_id, _event(one, source, row, now)))
    for one in told:
        if one.message_id not in rows and one.status in WITHDRAWING and one.address:
            for brand, player_id in await _who_refuses(engine, one, now):
                by_brand.setdefault(brand, []).append((player_id, _no(source, one.id, player_id, one.channel, now)))
    for brand, events in sorted(by_brand.items()):
        await in_time(engine.intake.ingest(brand, events, now), COMMIT_TIMEOUT)


async def _who_refuses(engine: ApiEngine, told: StatusTold, now: datetime) -> list[tuple[str, str]]:
    """Who has the address that wants no more of a message which is not kept any more; it is held for who comes."""
    async with engine.pools.protection.transaction() as connection:
        no = StrayRefusal(told.channel, told.address)
        await stray_refusals.hold(connection, engine.intake.digests, no, now)
        if told.channel == "email":
            return await players_with_mail(connection, told.address)
        return await players_with_number(connection, told.address)


def _event(told: StatusTold, source: str, row: Any, now: datetime) -> MessageStatus:
    return MessageStatus.model_validate(
        {
            "event_id": told.id,
            "event_source": source,
            "occurred_at": min(told.at or now, now),
            "message_id": told.message_id,
            "channel": row.channel,
            "status": told.status,
            "suppress_reason": told.why,
            "machine": told.machine,
        }
    )
