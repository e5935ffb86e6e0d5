"""Ingests what messages of other systems were mapped to, on the path of our own events; a result for each message."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, TypedDict

from prometheus_client import Counter
from pydantic import BaseModel, Field

from activities.intake.intake import Receipt
from api.auth import Key
from api.cloudevents import Fault, PlayerEvent
from api.database import in_time
from api.dependencies import ApiEngine
from api.events import COMMIT_TIMEOUT, EVENTS, ItemError
from api.integrations.outcomes import Ignored, Mapped, MessageRefused, Outcome
from api.problems import busy
from workflows.player_state.state import Mode

MESSAGES: Final = Counter(
    "journeys_dialect_messages_total", "Messages received in other systems' words.", ["dialect", "kind", "status"]
)

Status = Literal["accepted", "duplicate", "rejected", "ignored"]


class EventAnswer(TypedDict):
    """An `EventResult` on its way to the answer, in which `later` is still a status."""

    type: str
    id: str
    source: str
    status: Receipt


class MessageAnswer(TypedDict, total=False):
    """A `MessageResult` on its way to the answer, in which `later` is still a status."""

    id: str | None
    status: Status | Literal["later"]
    reason: str
    detail: str
    events: list[EventAnswer]
    errors: list[Fault]


class EventResult(BaseModel):
    """An event of the catalogue that a message told."""

    type: str = Field(examples=["payment.deposit_approved"])
    id: str
    source: str
    status: Literal["accepted", "duplicate"]


class MessageResult(BaseModel):
    """What became of one message, in the order they were sent."""

    id: str | None = Field(None, description="The message's own id, if it has one.")
    status: Status = Field(
        description="accepted: kept with all it tells. duplicate: known already. rejected: see errors; nothing of it "
        "is kept. ignored: in order, and nothing here needs it; see reason."
    )
    reason: str | None = Field(None, description="Why it was ignored, as a code.", examples=["unknown_event"])
    detail: str | None = Field(None, description="Why it was ignored, as a sentence.")
    events: list[EventResult] = Field(default_factory=list)
    errors: list[ItemError] = Field(default_factory=list, description="Each fault, with a pointer into the message.")


async def ingest_outcomes(
    engine: ApiEngine, key: Key, outcomes: Sequence[Outcome], *, integration: str, kinds: Sequence[str]
) -> list[MessageAnswer]:
    """Keep what the messages tell, all of one or nothing, and say of each what became of it.

    Raises what the intake raises when Postgres is away: then nothing is kept and everything may be sent again. Raises
    `Problem` 429 when a message has to come again because too much is waiting; it is repeated by Segment's libraries.
    """
    now = engine.clock()
    results: list[MessageAnswer] = []
    mapped: dict[Mode, list[tuple[MessageAnswer, list[PlayerEvent]]]] = {"live": [], "history": []}
    for outcome in outcomes:
        read = _read(outcome, key.brand, now)
        if isinstance(read, dict):
            results.append(read)
        else:
            result: MessageAnswer = {"status": "accepted", "events": []}
            results.append(result)
            mapped["history" if isinstance(outcome, Mapped) and outcome.history else "live"].append((result, read))
    for mode, messages in mapped.items():
        events = [event for _, read in messages for event in read]
        if not events:
            continue
        receipts = iter(await in_time(engine.intake.ingest(key.brand, events, now, mode=mode), COMMIT_TIMEOUT))
        for result, read in messages:
            result["events"] = [
                {"type": event.type, "id": event.event_id, "source": event.event_source, "status": next(receipts)}
                for _, event in read
            ]
            for stored in result["events"]:
                if stored["status"] == "later":
                    result["status"] = "later"
                else:
                    EVENTS.labels(stored["status"], mode).inc()
            if all(stored["status"] == "duplicate" for stored in result["events"]):
                result["status"] = "duplicate"
    for kind, result in zip(kinds, results, strict=True):
        MESSAGES.labels(integration, kind, result["status"]).inc()
        if result["status"] == "rejected":
            EVENTS.labels("rejected", "live").inc()
    if later := sum(result["status"] == "later" for result in results):
        raise busy(engine.pressure.retry_after, {"later": later, "results": results})
    return results


def _read(outcome: Outcome, brand: str, now: datetime) -> list[PlayerEvent] | MessageAnswer:
    """The typed events of a message, or its result when there are none."""
    match outcome:
        case Ignored(reason, detail):
            return {"status": "ignored", "reason": reason, "detail": detail}
        case MessageRefused(why):
            return {"status": "rejected", "errors": list(why)}
        case Mapped(facts):
            events: list[PlayerEvent] = []
            faults: list[Fault] = []
            for fact in facts:
                read = fact.read_event(brand, now)
                if isinstance(read, tuple):
                    events.append(read)
                else:
                    faults += read
            return {"status": "rejected", "errors": faults} if faults else events
