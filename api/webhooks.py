"""Webhooks: who hears what happens here, how their receivers do, and telling them once more."""

import secrets
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from sqlalchemy import Select, literal, select, tuple_

from activities.actors import Actor
from activities.outgoing import webhook_queue, webhook_subscriptions
from activities.outgoing.chat_messages import FAMILY, WebhookFormat
from activities.outgoing.egress_guard import AddressRefused, EgressGuard
from activities.outgoing.signing_secrets import Generation
from activities.outgoing.webhook_queue import DeliveryState
from activities.outgoing.webhook_subscriptions import DisabledBecause, Subscription
from activities.tables import outgoing_events, webhook_deliveries
from activities.tables import webhook_subscriptions as subscriptions
from api.dependencies import ApiEngine, EngineOf
from api.json_types import NO_NUL, Line, Switch
from api.pagination import Moment, Page, PageQuery, where_given
from api.permissions import Key, acts, needs
from api.problems import COMMON, CORRECT, Problem, documented, missing
from workflows.field_types import Whole
from workflows.json_object import JsonObject
from workflows.outgoing_events import TEST, OutgoingEvent, wrong_filters
from workflows.task_rights import GIVEN

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

Managing = Annotated[Key, needs("webhooks:manage")]
Making = Annotated[Actor, acts("webhooks:manage")]
Address = Annotated[str, StringConstraints(min_length=1, max_length=1_000, pattern=NO_NUL)]
Types = Annotated[
    list[Line],
    Field(min_length=1, max_length=50, description="Types, families as `task.*`, or `*`."),
]

Teams = Annotated[
    list[Annotated[str, StringConstraints(pattern=f"^{GIVEN}$", max_length=64)]],
    Field(max_length=50, description="Of which teams' tasks it is told, and of nothing else; none: of everything."),
]

ONLY_TASKS: Final = "a channel of people is told of tasks alone; give types of task.*"

#: Events that one call has told again.
AT_ONCE: Final = 1_000
#: For how long an old secret signs beside the new one unless somebody says otherwise.
OVERLAP: Final = timedelta(hours=24)
_EXAMPLE: Final[JsonObject] = {"url": "https://crm.example.com/journeys", "types": ["task.*", "player.protected"]}
_SHOWN: Final[JsonObject] = {
    "id": "wh_6f1c0a93be27d4a8",
    **_EXAMPLE,
    "description": "",
    "format": "cloudevents",
    "teams": [],
    "state": "active",
    "created_by": "crm",
    "created_at": "2026-01-15T12:00:00Z",
    "updated_at": "2026-01-15T12:00:00Z",
}


class NewWebhook(BaseModel):
    """Where to tell somebody of what."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    url: Address = Field(description="Where events are posted to: https, at a public address.")
    types: Types
    description: Annotated[str, StringConstraints(max_length=200, pattern=NO_NUL)] = ""
    format: WebhookFormat = Field(
        "cloudevents", description="`slack` and `teams` tell people in a channel of tasks: types of `task.*` alone."
    )
    teams: Teams = []

    @model_validator(mode="after")
    def _people_are_told_of_tasks(self) -> "NewWebhook":
        if self.format != "cloudevents" and not _of_tasks(self.types):
            raise ValueError(ONLY_TASKS)
        return self


class WebhookChange(BaseModel):
    """What is to be different; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"active": True}]})

    url: Address | None = None
    types: Types | None = None
    description: Annotated[str, StringConstraints(max_length=200, pattern=NO_NUL)] | None = None
    teams: Teams | None = None
    active: Switch | None = Field(None, description="False: nothing is told and nothing new is kept for it.")


class WebhookView(BaseModel):
    """A subscription. `disabled` ones hear nothing, and what happens meanwhile is not kept for them."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_SHOWN]})

    id: str
    url: str
    types: list[str]
    description: str
    format: WebhookFormat
    teams: list[str]
    state: webhook_subscriptions.SubscriptionState
    reason: DisabledBecause | None = Field(None, description="Why it is disabled.")
    failing_since: datetime | None = Field(None, description="Since then its receiver has taken nothing.")
    last_error: str | None = Field(None, description="What went wrong with the last attempt that failed.")
    created_by: str
    created_at: datetime
    updated_at: datetime


class WebhookWithSecret(WebhookView):
    """A subscription with the secret that was just made."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_SHOWN, "secret": "whsec_…"}]})

    secret: str = Field(description="What the receiver verifies signatures with. Shown now and never again; keep it.")


class SecretRotation(BaseModel):
    """For how long the old secret signs beside the new one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"overlap_hours": 24}]})

    overlap_hours: Annotated[int, Field(ge=0, le=168), Whole] = int(OVERLAP / timedelta(hours=1))


class TrialEvent(BaseModel):
    """The event that was sent to try a webhook; what becomes of it stands among the deliveries."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"event_id": "5f0c1d…"}]})

    event_id: str


class DeliveryView(BaseModel):
    """An event that a subscription hears, and how far that has come."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "event_id": "5f0c1d0a93be27d4a86f1c0a93be27d4",
                    "type": "task.opened",
                    "player_id": "p-1001",
                    "at": "2026-01-15T12:00:00Z",
                    "state": "delivered",
                    "attempts": 1,
                    "last_status": 204,
                }
            ]
        },
    )

    event_id: str = Field(description="Also the `webhook-id` of every attempt.")
    type: str
    player_id: str
    at: datetime
    state: DeliveryState = Field(description="`failed`: it is not tried any more; `redeliver` tells it again.")
    attempts: int
    last_status: int | None = Field(None, description="The HTTP status of the last attempt.")
    last_error: str | None = None
    ended_at: datetime | None = None


class DeliveryQuery(PageQuery):
    """Which deliveries."""

    state: DeliveryState | None = None


class Redelivery(BaseModel):
    """What is to be told again: events by their ids, or all that happened in a time."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"since": "2026-01-15T00:00:00Z", "until": "2026-01-16T00:00:00Z"}]},
    )

    event_ids: list[Line] = Field(default_factory=list, max_length=AT_ONCE)
    since: Moment | None = None
    until: Moment | None = None
    delivered_too: Switch = Field(False, description="Also what was taken; else what was given up.")


class Redelivered(BaseModel):
    """How many are told again. A call takes a thousand: repeat it with a later `since` for more."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"events": 12}]})

    events: int


@router.post("", status_code=201, responses=COMMON)
async def create_webhook(engine: EngineOf, actor: Making, body: NewWebhook) -> WebhookWithSecret:
    """Subscribe: everything of these types that is committed after this answer is told, each at least once.

    The answer takes a second or two, until every process knows of it. The secret is shown in it alone.
    """
    await _check(engine, body.url, body.types)
    subscription_id, generations = f"wh_{secrets.token_hex(8)}", engine.webhook_secrets.first()
    async with engine.database.transaction() as connection:
        if await webhook_subscriptions.count(connection, actor.brand) >= webhook_subscriptions.MOST:
            raise Problem(
                "too-many",
                f"A brand has {webhook_subscriptions.MOST} webhooks at most; delete one that nobody needs.",
            )
        values: JsonObject = {"id": subscription_id, "brand": actor.brand, "created_by": actor.name}
        values |= body.model_dump()
        await webhook_subscriptions.create(connection, values, generations)
    await webhook_subscriptions.settle(engine.database)
    return _with_secret(engine, await _find(engine, actor.brand, subscription_id))


@router.get("", responses=COMMON)
async def list_webhooks(engine: EngineOf, key: Managing, query: Annotated[PageQuery, Query()]) -> Page[WebhookView]:
    """The brand's subscriptions, the newest first."""
    row = subscriptions.c
    chosen = query.newest_first(webhook_subscriptions.of_brand(key.brand), key.brand, row.created_at, row.id)
    async with engine.database.reading() as connection:
        rows = (await connection.execute(chosen)).all()
    page, token = query.page(key.brand, rows, lambda one: (one.created_at, one.id))
    return Page(items=[WebhookView.model_validate(one) for one in page], next_page_token=token)


@router.get("/{webhook_id}", responses={**COMMON, **documented(404)})
async def get_webhook(webhook_id: str, engine: EngineOf, key: Managing) -> WebhookView:
    """One subscription, and how its receiver does."""
    return WebhookView.model_validate(await _find(engine, key.brand, webhook_id))


@router.patch("/{webhook_id}", responses={**COMMON, **documented(404)})
async def change_webhook(webhook_id: str, engine: EngineOf, key: Managing, body: WebhookChange) -> WebhookView:
    """Change where it is told, of what, or whether. Made active again, it is told first what it had not heard before.

    As with a new one, the answer comes when every process knows.
    """
    before = await _find(engine, key.brand, webhook_id)
    values = body.model_dump(exclude_none=True)
    types = body.types or before.types
    await _check(engine, body.url or before.url, types)
    if before.format != "cloudevents" and not _of_tasks(types):
        raise Problem("invalid", CORRECT, errors=[{"pointer": "/types", "detail": f"{ONLY_TASKS.capitalize()}."}])
    if (active := values.pop("active", None)) is not None:
        values |= {"state": "active"} if active else {"state": "disabled", "reason": "by_hand"}
    async with engine.database.transaction() as connection:
        await webhook_subscriptions.change(connection, webhook_id, engine.clock(), **values)
    if body.types is not None or active:
        await webhook_subscriptions.settle(engine.database)
    return WebhookView.model_validate(await _find(engine, key.brand, webhook_id))


@router.delete("/{webhook_id}", status_code=204, responses={**COMMON, **documented(404)})
async def delete_webhook(webhook_id: str, engine: EngineOf, key: Managing) -> Response:
    """End a subscription; what it has not heard yet it never hears."""
    await _find(engine, key.brand, webhook_id)
    async with engine.database.transaction() as connection:
        await webhook_subscriptions.change(connection, webhook_id, engine.clock(), state="deleted")
    return Response(status_code=204)


@router.post("/{webhook_id}/rotate", responses={**COMMON, **documented(404)})
async def rotate_secret(
    webhook_id: str, engine: EngineOf, key: Managing, body: SecretRotation | None = None
) -> WebhookWithSecret:
    """Make a new secret. Until the overlap ends both sign, so the receiver changes over when it likes."""
    chosen = body or SecretRotation()
    found = await _find(engine, key.brand, webhook_id)
    now = engine.clock()
    until = now + timedelta(hours=chosen.overlap_hours)
    generations = engine.webhook_secrets.rotated(found.generations, now, until)
    async with engine.database.transaction() as connection:
        stored = [one.as_json() for one in generations]
        await webhook_subscriptions.change(connection, webhook_id, now, secrets=stored)
    return _with_secret(engine, await _find(engine, key.brand, webhook_id))


@router.post("/{webhook_id}/test", status_code=202, responses={**COMMON, **documented(404)})
async def try_webhook(webhook_id: str, engine: EngineOf, key: Managing) -> TrialEvent:
    """Tell this subscription alone an event of the type `webhook.test`, by the way every event goes."""
    await _find(engine, key.brand, webhook_id)
    event = OutgoingEvent(key.brand, "", TEST, engine.clock(), {"webhook_id": webhook_id})
    async with engine.database.transaction() as connection:
        return TrialEvent(event_id=await webhook_queue.write_for(connection, webhook_id, event))


@router.get("/{webhook_id}/deliveries", responses={**COMMON, **documented(404)})
async def list_deliveries(
    webhook_id: str, engine: EngineOf, key: Managing, query: Annotated[DeliveryQuery, Query()]
) -> Page[DeliveryView]:
    """What it was told and has yet to hear, the newest event first."""
    await _find(engine, key.brand, webhook_id)
    mine, event = webhook_deliveries.c, outgoing_events.c
    columns = (event.id.label("event_id"), event.type, event.player_id, event.at, event.seq)
    told = (mine.state, mine.attempts, mine.last_status, mine.last_error, mine.ended_at)
    joined = webhook_deliveries.join(outgoing_events, event.seq == mine.event_seq)
    chosen: Select[Any] = select(*columns, *told).select_from(joined).where(mine.subscription_id == webhook_id)
    chosen = where_given(chosen, (mine.state, query.state))
    if (after := query.after(webhook_id, int)) is not None:
        chosen = chosen.where(tuple_(mine.event_seq) < tuple_(literal(after[0])))
    async with engine.database.reading() as connection:
        rows = (await connection.execute(chosen.order_by(mine.event_seq.desc()).limit(query.size + 1))).all()
    page, token = query.page(webhook_id, rows, lambda one: (one.seq,))
    return Page(items=[DeliveryView.model_validate(one) for one in page], next_page_token=token)


@router.post("/{webhook_id}/redeliver", status_code=202, responses={**COMMON, **documented(404)})
async def redeliver(webhook_id: str, engine: EngineOf, key: Managing, body: Redelivery) -> Redelivered:
    """Tell it again what was given up, or all of a time. The receiver knows each event by its id.

    Events told again keep nobody waiting and come in no promised order.
    """
    await _find(engine, key.brand, webhook_id)
    if not body.event_ids and (body.since is None or body.until is None):
        detail = "Say which: event_ids, or since and until."
        raise Problem("invalid", detail, errors=[{"pointer": "", "detail": detail}])
    async with engine.database.transaction() as connection:
        events = await webhook_queue.tell_again(
            connection,
            webhook_id,
            event_ids=body.event_ids,
            since=body.since,
            until=body.until,
            only_failed=not body.delivered_too,
            most=AT_ONCE,
        )
    return Redelivered(events=events)


async def _check(engine: ApiEngine, url: str, types: list[str]) -> None:
    """Raise `Problem` 422 for an address that may not be called or a type that nothing has."""
    errors = [{"pointer": "/types", "detail": sentence} for sentence in wrong_filters(types)]
    guard = EgressGuard(engine.settings.webhook_networks)
    try:
        await guard.check(url)
    except AddressRefused as refused:
        errors.append({"pointer": "/url", "detail": str(refused)})
    finally:
        guard.close()
    if errors:
        raise Problem("invalid", "Nothing could be told this way; correct what `errors` names.", errors=errors)


def _of_tasks(types: list[str]) -> bool:
    return all(one.startswith(f"{FAMILY}.") for one in types)


async def _find(engine: ApiEngine, brand: str, webhook_id: str) -> Subscription:
    async with engine.database.reading() as connection:
        found = await webhook_subscriptions.find(connection, brand, webhook_id)
    if found is None:
        raise missing("webhook")
    return found


def _with_secret(engine: ApiEngine, found: Subscription) -> WebhookWithSecret:
    newest: Generation = found.generations[0]
    secret = engine.webhook_secrets.secret(found.id, newest)
    return WebhookWithSecret(**WebhookView.model_validate(found).model_dump(), secret=secret)
