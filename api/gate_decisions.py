"""What the gate decided about messages and rewards, and why: for support, for auditors, for the player who asks."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, computed_field
from sqlalchemy import select

from activities.tables import gate_decisions
from api.dependencies import EngineOf
from api.pagination import Filter, Moment, Page, PageQuery, where_given
from api.permissions import Key, needs
from api.problems import COMMON
from workflows.gate.policy import NECESSARY
from workflows.gate.reason_sentences import told_of
from workflows.json_object import JsonObject

router = APIRouter(prefix="/v1/decisions", tags=["decisions"])

Outcome = Literal["allowed", "refused", "waits"]


class GateDecision(BaseModel):
    """One answer of the gate. `waits`: not now; it was asked again later."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "3f0c9d0e-5d8a-4f0e-9a55-2f9f5a0a7c11",
                    "at": "2026-02-01T12:00:00Z",
                    "player_id": "p-1001",
                    "effect_id": "welcome:acme:p-1001:1/send:welcome#1/email",
                    "subject": "email",
                    "journey": "welcome",
                    "release": 3,
                    "run_id": "welcome:acme:p-1001:1",
                    "outcome": "refused",
                    "reason": "no_consent",
                    "rule": "consent",
                    "rules": ["consent"],
                    "detail": "The player has not opted in to email.",
                    "policy": "GB+house@6f1d2a90bc",
                    "seen": {"status": "active", "consents": {"email": False}},
                    "told": {"en": "You have not agreed to hear from us this way."},
                }
            ]
        },
    )

    id: str
    at: datetime
    player_id: str
    effect_id: str = Field(description="The id of the message or grant it is about.")
    subject: str = Field(description="The channel of the message, or the kind of the reward.")
    journey: str
    release: int = Field(description="The release of the journey that the run plays; 0: from before there were any.")
    run_id: str
    outcome: Outcome
    reason: str | None = None
    rule: str | None = Field(None, description="The rule that spoke; absent where it is allowed.")
    rules: list[str] = Field(description="The rule that spoke; where it is allowed, all that were asked.")
    detail: str | None = Field(None, description="Why, for people who know the system.")
    policy: str = Field(description="The policies that applied and a fingerprint of their numbers.")
    seen: JsonObject = Field(description="The facts of that moment.")

    @computed_field(description="What the player may be told, by language.")  # type: ignore[prop-decorator]  # pydantic's own way
    @property
    def told(self) -> dict[str, str] | None:
        """The sentence of `workflows/gate/reason_sentences.py`."""
        refused = (self.seen.get("consents") or {}).get(f"{self.subject}/{self.seen.get('product')}") is False
        necessary = self.seen.get("message_class") in NECESSARY
        words = told_of(self.reason, self.subject, necessary=necessary, product_refused=refused)
        return None if words is None else dict(words)


class DecisionQuery(PageQuery):
    """Which decisions."""

    player: Filter | None = None
    effect: Annotated[Filter | None, Field(description="The id of a message or grant.")] = None
    rule: Annotated[Filter | None, Field(description="The rule that refused, or made wait.")] = None
    outcome: Outcome | None = None
    journey: Filter | None = None
    since: Annotated[Moment | None, Field(description="From this moment on.")] = None
    before: Annotated[Moment | None, Field(description="Before this moment.")] = None


@router.get("", responses=COMMON)
async def list_decisions(
    engine: EngineOf,
    key: Annotated[Key, needs("players:read")],
    query: Annotated[DecisionQuery, Query()],
) -> Page[GateDecision]:
    """What was allowed, refused and put off, the newest first, each with the facts, the rules and the policy."""
    chosen = where_given(
        select(gate_decisions).where(gate_decisions.c.brand == key.brand),
        (gate_decisions.c.player_id, query.player),
        (gate_decisions.c.effect_id, query.effect),
        (gate_decisions.c.rule, query.rule),
        (gate_decisions.c.outcome, query.outcome),
        (gate_decisions.c.journey, query.journey),
    )
    if query.since is not None:
        chosen = chosen.where(gate_decisions.c.at >= query.since)
    if query.before is not None:
        chosen = chosen.where(gate_decisions.c.at < query.before)
    chosen = query.newest_first(chosen, key.brand, gate_decisions.c.at, gate_decisions.c.id)
    async with engine.database.reading() as connection:
        rows = (await connection.execute(chosen)).all()
    page, token = query.page(key.brand, rows, lambda row: (row.at, row.id))
    return Page(items=[GateDecision.model_validate(row) for row in page], next_page_token=token)
