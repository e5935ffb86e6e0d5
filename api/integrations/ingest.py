"""Outcomes of a mapping to the intake, and what became of each: the same path events of our own dialect take."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

from prometheus_client import Counter
from pydantic import BaseModel, Field

from api.auth import Key
from api.cloudevents import Fault, Taken
from api.database import in_time
from api.dependencies import ApiEngine
from api.events import COMMIT_LIMIT, EVENTS, ItemError
from api.integrations.mapping import Ignored, Mapped, MessageRefused, Outcome
from api.problems import busy
from workflows.player_state.state import Mode

MESSAGES: Final = Counter(
    "journeys_dialect_messages_total", "Messages received in other systems' words.", ["dialect", "kind", "status"]
)

Status = Literal["accepted", "duplicate", "rejected", "ignored"]
Result = dict[str, Any]


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


async def take(
    engine: ApiEngine, key: Key, outcomes: Sequence[Outcome], *, dialect: str, kinds: Sequence[str]
) -> list[Result]:
    """Keep what the messages tell, all of one or nothing, and say of each what became of it.

    Raises what the intake raises when Postgres is away: then nothing is kept and everything may be sent again. Raises
    `Problem` 429 when a message has to come again because too much is waiting; it is repeated by Segment's libraries.
    """
    now = engine.clock()
    results: list[Result] = []
    told: dict[Mode, list[tuple[Result, list[Taken]]]] = {"live": [], "history": []}
    for outcome in outcomes:
        read = _read(outcome, key.brand, now)
        if isinstance(read, dict):
            results.append(read)
        else:
            result: Result = {"status": "accepted", "events": []}
            results.append(result)
            told["history" if isinstance(outcome, Mapped) and outcome.history else "live"].append((result, read))
    for mode, messages in told.items():
        events = [taken for _, read in messages for taken in read]
        if not events:
            continue
        receipts = iter(await in_time(engine.intake.ingest(key.brand, events, now, mode=mode), COMMIT_LIMIT))
        for result, read in messages:
            result["events"] = [
                {"type": event.type, "id": event.event_id, "source": event.event_source, "status": next(receipts)}
                for _, event in read
            ]
            for kept in result["events"]:
                if kept["status"] == "later":
                    result["status"] = "later"
                else:
                    EVENTS.labels(kept["status"], mode).inc()
            if all(kept["status"] == "duplicate" for kept in result["events"]):
                result["status"] = "duplicate"
    for kind, result in zip(kinds, results, strict=True):
        MESSAGES.labels(dialect, kind, result["status"]).inc()
        if result["status"] == "rejected":
            EVENTS.labels("rejected", "live").inc()
    if later := sum(result["status"] == "later" for result in results):
        raise busy(engine.pressure.retry_after, {"later": later, "results": results})
    return results


def _read(outcome: Outcome, brand: str, now: datetime) -> list[Taken] | Result:
    """The typed events of a message, or its result when there are none."""
    match outcome:
        case Ignored(reason, detail):
            return {"status": "ignored", "reason": reason, "detail": detail}
        case MessageRefused(faults):
            return {"status": "rejected", "errors": list(faults)}
        case Mapped(facts):
            taken: list[Taken] = []
            wrong: list[Fault] = []
            for fact in facts:
                read = fact.read(brand, now)
                if isinstance(read, tuple):
                    taken.append(read)
                else:
                    wrong += read
            return {"status": "rejected", "errors": wrong} if wrong else taken
