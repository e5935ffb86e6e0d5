"""Ingests what messages of other systems were mapped to, on the path of our own events; a result for each message."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Final, Literal, NotRequired, TypedDict

from prometheus_client import Counter
from pydantic import BaseModel, Field

from activities.event_loop_turns import in_turns
from activities.intake.backpressure import protects
from activities.intake.event_store import Identity
from activities.intake.receipts import DuplicateOf, ItemRefusal, Kept, Receipt
from api.cloudevents import Fault, PlayerEvent
from api.database import in_time
from api.dependencies import ApiEngine
from api.event_scopes import scope_refusals
from api.events import COMMIT_TIMEOUT, EVENTS, FirstTold, ItemError
from api.integrations.outcomes import Fact, Ignored, Mapped, MessageRefused, Outcome, fault
from api.permissions import Key
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
    status: Literal["accepted", "duplicate", "rejected", "later"]
    duplicate_of: NotRequired[dict[str, str]]


class MessageAnswer(TypedDict, total=False):
    """A `MessageResult` on its way to the answer, in which `later` is still a status."""

    id: str | None
    status: Status | Literal["later"]
    reason: str
    detail: str
    events: list[EventAnswer]
    errors: list[Fault]
    notes: list[Fault]


class EventResult(BaseModel):
    """An event of the catalogue that a message told."""

    type: str = Field(examples=["payment.deposit_approved"])
    id: str
    source: str
    status: Literal["accepted", "duplicate", "rejected"]
    duplicate_of: FirstTold | None = Field(None, description="The event that told the same fact before.")


class MessageResult(BaseModel):
    """What became of one message, in the order they were sent."""

    id: str | None = Field(None, description="The message's own id, if it has one.")
    status: Status = Field(
        description="accepted: kept with all it tells. duplicate: known already. rejected: see errors; of what it "
        "tells nothing is kept but what events lists as accepted. ignored: in order, and nothing here needs it; see "
        "reason."
    )
    reason: str | None = Field(
        None,
        description="Why it was ignored, as a code. One rejected after it was read has identity_taken, scope or "
        "too_early; one that could not be read as a whole and tells of an exclusion or a consent withdrawn has "
        "protection_kept, and events says what is in force.",
        examples=["unknown_event"],
    )
    detail: str | None = Field(None, description="Why it was ignored, as a sentence.")
    events: list[EventResult] = Field(default_factory=list)
    errors: list[ItemError] = Field(default_factory=list, description="Each fault, with a pointer into the message.")
    notes: list[ItemError] = Field(
        default_factory=list, description="What could not be read and was left out; the rest was kept."
    )


async def ingest_outcomes(
    engine: ApiEngine, key: Key, outcomes: Sequence[Outcome], *, integration: str, kinds: Sequence[str]
) -> list[MessageAnswer]:
    """Keep what the messages tell, all of one or nothing, and say of each what became of it.

    Raises what the intake raises when Postgres is away: then nothing is kept and everything may be sent again. Raises
    `Problem` 429 when a message has to come again because too much is waiting; it is repeated by Segment's libraries.
    """
    now = engine.clock()
    results: list[MessageAnswer] = []
    readings: dict[Mode, list[_Reading]] = {"live": [], "history": []}
    async for outcome in in_turns(outcomes, engine.intake.precedence):
        read = _read(outcome, key, now)
        if isinstance(read, dict):
            results.append(read)
        else:
            results.append(read.result)
            readings["history" if isinstance(outcome, Mapped) and outcome.history else "live"].append(read)
    for mode, messages in readings.items():
        events = [event for message in messages for event in message.events]
        if not events:
            continue
        refused = await scope_refusals(engine, key, events)
        allowed = [event for position, event in enumerate(events) if position not in refused]
        ingested: Iterator[Receipt] = iter(())
        if allowed:
            first_counts = frozenset[Identity]().union(*(message.first_counts for message in messages))
            ingesting = engine.intake.ingest(
                key.brand, allowed, now, mode=mode, first_counts=first_counts, key_id=key.id
            )
            ingested = iter(await in_time(ingesting, COMMIT_TIMEOUT))
        receipts = iter([refused[one] if one in refused else next(ingested) for one in range(len(events))])
        for message in messages:
            message.answer([next(receipts) for _ in message.events], mode)
    for kind, result in zip(kinds, results, strict=True):
        MESSAGES.labels(integration, kind, result["status"]).inc()
        if result["status"] == "rejected" and "events" not in result:
            EVENTS.labels("rejected", "live").inc()
    if later := sum(result["status"] == "later" for result in results):
        raise busy(engine.pressure.retry_after, {"later": later, "results": results})
    return results


@dataclass(frozen=True)
class _Reading:
    """A message that was read: its facts, the event of each, and the answer in the making."""

    facts: Sequence[Fact]
    events: Sequence[PlayerEvent]
    #: Of a message of which only what protects the player is kept: what was wrong with it.
    faults: Sequence[Fault] = ()
    result: MessageAnswer = field(default_factory=lambda: MessageAnswer(status="accepted", events=[]))

    @property
    def first_counts(self) -> Iterator[Identity]:
        """The identities under which the first telling counts, whatever its words."""
        return ((fact.source, fact.id) for fact in self.facts if fact.first_counts)

    def answer(self, receipts: Sequence[Receipt], mode: Mode) -> None:
        """Write into the result what became of each event, and of the message by that."""
        faults: list[Fault] = [*self.faults]
        answers = self.result["events"]
        if faults:
            self.result["reason"] = "protection_kept"
        for fact, (_, event), receipt in zip(self.facts, self.events, receipts, strict=True):
            if isinstance(receipt, ItemRefusal):
                faults.append(fault(fact.place(receipt.pointer), receipt.detail))
                self.result["reason"] = receipt.reason
            told: EventAnswer = {
                "type": event.type,
                "id": event.event_id,
                "source": event.event_source,
                "status": _status(receipt),
            }
            if isinstance(receipt, DuplicateOf):
                told["duplicate_of"] = asdict(receipt)
            answers.append(told)
            if receipt != "later":
                EVENTS.labels(told["status"], mode).inc()
        statuses = {answer["status"] for answer in answers}
        if "later" in statuses:
            self.result["status"] = "later"
        elif faults:
            self.result["status"], self.result["errors"] = "rejected", faults
        elif statuses == {"duplicate"}:
            self.result["status"] = "duplicate"


def _status(receipt: Receipt) -> Literal["accepted", "duplicate", "rejected", "later"]:
    match receipt:
        case ItemRefusal():
            return "rejected"
        case DuplicateOf():
            return "duplicate"
        case Kept():
            return "accepted"
        case status:
            return status


def _read(outcome: Outcome, key: Key, now: datetime) -> _Reading | MessageAnswer:
    """The typed events of a message, or its result when there are none."""
    match outcome:
        case Ignored(reason, detail):
            return {"status": "ignored", "reason": reason, "detail": detail}
        case MessageRefused(why, facts):
            return _protecting(facts, key, now, list(why))
        case Mapped(facts):
            events: list[PlayerEvent] = []
            faults: list[Fault] = []
            for fact in facts:
                read = _event(fact, key, now)
                if isinstance(read, list):
                    faults += read
                else:
                    events.append(read)
            if faults:
                return _protecting(facts, key, now, faults)
            reading = _Reading(facts, events)
            if outcome.notes:
                reading.result["notes"] = [*outcome.notes]
            return reading


def _protecting(facts: Sequence[Fact], key: Key, now: datetime, faults: list[Fault]) -> _Reading | MessageAnswer:
    """What of a message with faults is kept all the same; a fault elsewhere must not cost an exclusion."""
    read = ((fact, _event(fact, key, now)) for fact in facts)
    kept = [(fact, event) for fact, event in read if not isinstance(event, list) and protects(event[1])]
    if not kept:
        return {"status": "rejected", "errors": faults}
    return _Reading([fact for fact, _ in kept], [event for _, event in kept], faults)


def _event(fact: Fact, key: Key, now: datetime) -> PlayerEvent | list[Fault]:
    refusal = key.source_refusal(fact.source)
    return fact.read_event(key.brand, now) if refusal is None else [fault("", refusal)]
