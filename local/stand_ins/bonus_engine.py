"""A small bonus engine: pays each grant out once, and keeps its own file of what it paid.

    python -m local.stand_ins.bonus_engine --port 7501 --ledger bonus-engine.jsonl

Beside the ledger lies `*.requests.jsonl` with every request asked, so that a test can tell "asked twice, paid once"
from "asked once".
"""

import asyncio
import hashlib
import json
from collections import defaultdict
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer
from fastapi import FastAPI, Header
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from local.stand_ins.base import Journal, Record, problem, server

#: Lines on a page of its list.
PAGE = 500


class Reward(BaseModel):
    """What is given; further fields depend on the kind."""

    model_config = ConfigDict(extra="allow")

    kind: str


class GrantRequest(BaseModel):
    """A reward for one player, from one step of one run."""

    model_config = ConfigDict(extra="allow")

    grant_id: str
    player_id: str
    brand: str
    reward: Reward
    journey: str
    run_id: str
    step: str


class GrantAnswer(BaseModel):
    """What the engine did with a grant."""

    grant_id: str
    provider_ref: str
    status: Literal["credited", "voided"]


class CreditLine(BaseModel):
    """One line of the engine's list."""

    grant_id: str
    player_id: str
    provider_ref: str
    status: Literal["credited", "voided"]


class CreditList(BaseModel):
    """A page of the engine's list."""

    items: list[CreditLine]
    next: str | None = None


class FaultMode(StrEnum):
    """The ways a provider lets its callers down."""

    TIMEOUT_AFTER_COMMIT = "timeout_after_commit"  # paid, and the answer never comes
    ERROR_AFTER_COMMIT = "error_after_commit"  # paid, and a 500 says otherwise
    ERROR_500 = "error_500"  # not paid
    REFUSE = "refuse"  # not paid, with a reason
    SLOW = "slow"  # paid, and answered late


class Fault(BaseModel):
    """The next `count` grants go wrong this way; of one player only, if named."""

    mode: FaultMode
    count: int = Field(default=1, ge=1)
    seconds: float = Field(default=60, ge=0)  # how long "slow" and "timeout" take
    player_id: str | None = None
    reason: str = "not_eligible"  # what "refuse" gives as its reason


class LocalBonusEngine:
    """The ledger and the faults. Every method is called from one event loop."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = Journal(ledger)
        self._requests = Journal(ledger.with_suffix(".requests.jsonl"))
        self._grants: dict[str, Record] = {}
        self._voided: set[str] = set()
        self._claimed: set[str] = set()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.faults: list[Fault] = []
        for record in self._ledger.records:
            self._apply(record)

    def note(self, action: str, key: str, body: object = None) -> None:
        """Keep a request in the file of requests, before anything is decided about it."""
        self._requests.append({"action": action, "key": key, "body": body})

    def answer_for(self, key: str) -> GrantAnswer | None:
        """What became of a grant; None if no grant ever came with this key."""
        record = self._grants.get(key)
        if record is None:
            return None
        answer = GrantAnswer.model_validate(record["answer"])
        return answer.model_copy(update={"status": "voided"}) if key in self._voided else answer

    async def listed(self, since: datetime, until: datetime, after: str | None = None) -> CreditList:
        """What was credited in that time, a page at a time, by the number of the line."""
        lines = [
            (number, record)
            for number, record in enumerate(self._grants.values())
            if since <= datetime.fromisoformat(record["at"]) < until and number > int(after or -1)
        ]
        items = [
            CreditLine(
                grant_id=record["key"],
                player_id=record["body"]["player_id"],
                provider_ref=record["answer"]["provider_ref"],
                status="voided" if record["key"] in self._voided else "credited",
            )
            for _, record in lines[:PAGE]
        ]
        return CreditList(items=items, next=str(lines[PAGE - 1][0]) if len(lines) > PAGE else None)

    async def grant(self, key: str, request: GrantRequest) -> Response:
        """Pay out once for a key, however often and however concurrently it is asked."""
        body = request.model_dump(mode="json")
        async with self._locks[key]:
            fault = self._next_fault(request.player_id)
            refusal = self._refusal(key, body, fault)
            if refusal is not None:
                return refusal
            known = self._grants.get(key) or self._pay(key, body)
            answer = JSONResponse(known["answer"] | {"status": "voided" if key in self._voided else "credited"})
        match fault:
            case None:
                return answer
            case Fault(mode=FaultMode.ERROR_AFTER_COMMIT):
                return problem(500, "Internal error", "The bonus engine failed after it had credited the grant.")
        await asyncio.sleep(fault.seconds)
        if fault.mode is FaultMode.TIMEOUT_AFTER_COMMIT:
            return problem(504, "Too late", "The grant was credited, but its answer was lost on the way.")
        return answer

    def void(self, key: str) -> bool:
        """Take a grant back, or forbid one that has not come yet; again it changes nothing. False: it was claimed."""
        if key in self._claimed:
            return False
        if key not in self._voided:
            self._apply(self._ledger.append({"kind": "void", "key": key}))
        return True

    def claim(self, key: str) -> bool:
        """Let the player take a grant that is there and not void."""
        if key not in self._grants or key in self._voided:
            return False
        if key not in self._claimed:
            self._apply(self._ledger.append({"kind": "claim", "key": key}))
        return True

    def _refusal(self, key: str, body: Record, fault: Fault | None) -> Response | None:
        known = self._grants.get(key)
        if fault is not None and fault.mode is FaultMode.ERROR_500:
            return problem(500, "Internal error", "The bonus engine failed before it did anything.")
        if fault is not None and fault.mode is FaultMode.REFUSE:
            return problem(422, "Grant refused", "This player may not receive this reward.", reason=fault.reason)
        if known is not None and known["fingerprint"] != fingerprint(body):
            return problem(
                422,
                "Idempotency-Key reused",
                "This key came before with another body. Use a new key.",
                reason="idempotency_key_reused",
            )
        if known is None and key in self._voided:
            return problem(
                409, "Grant voided", "This key was voided before the grant came. Use a new key.", reason="voided"
            )
        return None

    def _pay(self, key: str, body: Record) -> Record:
        number = len(self._grants) + 1
        answer = GrantAnswer(grant_id=body["grant_id"], provider_ref=f"bonus-{number:08d}", status="credited")
        record = {
            "kind": "grant",
            "key": key,
            "fingerprint": fingerprint(body),
            "body": body,
            "answer": answer.model_dump(),
        }
        self._apply(self._ledger.append(record))
        return record

    def _apply(self, record: Record) -> None:
        if record["kind"] == "grant":
            self._grants[record["key"]] = record
        elif record["kind"] == "claim":
            self._claimed.add(record["key"])
        else:
            self._voided.add(record["key"])

    def _next_fault(self, player_id: str) -> Fault | None:
        for fault in self.faults:
            if fault.player_id in {None, player_id}:
                fault.count -= 1
                if fault.count == 0:
                    self.faults.remove(fault)
                return fault
        return None


def fingerprint(body: object) -> str:
    """Equal for equal JSON, whatever the order of its members."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def create_app(ledger: Path) -> FastAPI:
    """The engine over HTTP, on the ledger at this path."""
    engine = LocalBonusEngine(ledger)
    app = FastAPI(title="Local bonus engine")

    @app.post("/grants", response_model=GrantAnswer)
    async def grant(request: GrantRequest, idempotency_key: Annotated[str | None, Header()] = None) -> Response:
        key = (idempotency_key or "").strip('"')
        engine.note("grant", key, request.model_dump(mode="json"))
        if not key:
            return problem(400, "Idempotency-Key missing", "Send an Idempotency-Key header that names this grant.")
        return await engine.grant(key, request)

    app.get("/grants")(engine.listed)

    @app.post("/grants/{key:path}/void")
    async def void(key: str) -> Response:
        engine.note("void", key)
        if not engine.void(key):
            return problem(409, "Grant claimed", "The player has taken this reward.", reason="claimed")
        return JSONResponse({"status": "voided"})

    @app.post("/grants/{key:path}/claim")
    async def claim(key: str) -> Response:
        if not engine.claim(key):
            return problem(409, "Nothing to claim", "There is no such reward, or it was taken back.")
        return JSONResponse({"status": "claimed"})

    @app.get("/grants/{key:path}", response_model=GrantAnswer)
    async def look_up(key: str) -> Response:
        engine.note("look_up", key)
        answer = engine.answer_for(key)
        if answer is None:
            return problem(404, "Unknown grant", "No grant came with this key.")
        return JSONResponse(answer.model_dump())

    @app.post("/faults", status_code=204)
    async def add_fault(fault: Fault) -> None:
        engine.faults.append(fault)

    @app.delete("/faults", status_code=204)
    async def clear_faults() -> None:
        engine.faults.clear()

    @app.get("/livez")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    return app


def main(port: Annotated[int, typer.Option()], ledger: Annotated[Path, typer.Option()]) -> None:
    """Serve the bonus engine on 127.0.0.1."""
    server(create_app(ledger), port).run()


if __name__ == "__main__":
    typer.run(main)
