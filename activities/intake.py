"""Events in: keep each once, advance the player, write what must be delivered. One transaction.

Everything that changes a player's state goes through `Intake.locked`, so that the player's row
lock orders it: events, ticks of the sweep, answers to tasks, entries by hand, ends of runs.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import orjson
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TIMESTAMP, Boolean, Integer, SmallInteger, Text

from activities.database import Database
from workflows.effects import RunInput
from workflows.events import Event, PlayerRegistered, ProfileUpdated
from workflows.state import (
    Decision,
    Ended,
    GoalReached,
    Mode,
    PlayerState,
    Rules,
    Start,
    Stop,
    Wake,
)

Receipt = Literal["accepted", "duplicate"]
CHANNEL = "deliveries"
PROTECTION, NORMAL = 0, 5
PROFILE_FIELDS = ("username", "email", "phone", "first_name", "birth_date")


@dataclass
class Players:
    """The locked players of one transaction, and everything decided about them so far."""

    states: dict[str, PlayerState]
    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    decisions: list[tuple[str, Decision]] = field(default_factory=list)
    answers: list[tuple[str, int, str, dict[str, Any]]] = field(default_factory=list)

    def decide(self, player_id: str, decisions: Iterable[Decision]) -> None:
        """Remember decisions; they are written when the transaction ends."""
        self.decisions += [(player_id, decision) for decision in decisions]

    def answer(self, player_id: str, run_id: str, step: str, answer: dict[str, Any]) -> bool:
        """Deliver a person's answer to a run; False when the run is over."""
        seq = self.states[player_id].next_seq(run_id)
        if seq is None:
            return False
        self.answers.append((run_id, seq, step, answer))
        return True


class Intake:
    """Takes facts in, for one set of journeys."""

    def __init__(self, database: Database, rules: Rules) -> None:
        self.database = database
        self.rules = rules

    async def take(
        self, brand: str, events: Sequence[tuple[str, Event]], now: datetime, *, mode: Mode = "live"
    ) -> list[Receipt]:
        """Take `(player id, event)` pairs of one brand in; one receipt each, in their order.

        When it returns, every accepted event is committed together with all it caused. When it
        raises, nothing of the batch is kept and the caller may send it again.
        """
        async with self.database.transaction() as connection:
            fresh = await _keep(connection, brand, events, history=mode == "history")
            receipts: list[Receipt] = []
            new: list[tuple[str, Event]] = []
            for player_id, event in events:
                identity = (event.event_source, event.event_id)
                if identity in fresh:
                    fresh.remove(identity)
                    new.append((player_id, event))
                    receipts.append("accepted")
                else:
                    receipts.append("duplicate")
            if new:
                ids = {player_id for player_id, _ in new}
                async with self.locked(connection, brand, ids, now, create=True) as players:
                    for player_id, event in new:
                        state = players.states[player_id]
                        players.decide(player_id, state.advance(event, self.rules, now, mode=mode))
                        if profile := _profile(event):
                            players.profiles.setdefault(player_id, {}).update(profile)
        return receipts

    @asynccontextmanager
    async def locked(
        self,
        connection: AsyncConnection,
        brand: str,
        player_ids: Iterable[str],
        now: datetime,
        *,
        create: bool = False,
    ) -> AsyncIterator[Players]:
        """Lock players in id order, yield their states, then write states and decisions back.

        Must run inside a transaction. Unknown players are left out unless `create`. Everybody
        locks in the same order, so two batches never wait for each other in a circle.
        """
        ids = sorted(set(player_ids))
        if create:
            await connection.execute(_CREATE, {"brand": brand, "ids": ids})
        rows = await connection.execute(_LOCK, {"brand": brand, "ids": ids})
        players = Players({row.id: PlayerState.from_json(brand, row.id, row.state) for row in rows})
        yield players
        await self._write(connection, brand, players, now)

    async def _write(self, connection: AsyncConnection, brand: str, players: Players, now: datetime) -> None:
        states = players.states
        if not states:
            return
        ids = sorted(states)
        await connection.execute(
            _UPDATE,
            {
                "brand": brand,
                "ids": ids,
                "states": [_json(states[i].to_json()) for i in ids],
                "profiles": [_json(players.profiles.get(i, {})) for i in ids],
                "moments": [states[i].next_moment for i in ids],
                "now": now,
            },
        )
        starts: list[tuple[str, Start]] = []
        ends: dict[str, tuple[datetime, str]] = {}
        goals: dict[str, datetime] = {}
        deliveries: list[tuple[str, int, str, dict[str, Any], int]] = [
            (run_id, seq, "answer", {"step": step, "answer": answer}, NORMAL)
            for run_id, seq, step, answer in players.answers
        ]
        for player_id, decision in players.decisions:
            match decision:
                case Start():
                    starts.append((player_id, decision))
                    if decision.refused is None and decision.arm == "treated":
                        given = _run_input(brand, states[player_id], decision)
                        deliveries.append((decision.run_id, 0, "start", given, NORMAL))
                case Wake():
                    wire = decision.event.redacted().to_wire()
                    deliveries.append((decision.run_id, decision.seq, "event", {"event": wire}, NORMAL))
                case Stop():
                    priority = PROTECTION if decision.protection else NORMAL
                    reason = {"reason": decision.reason}
                    deliveries.append((decision.run_id, decision.seq, "stop", reason, priority))
                case GoalReached():
                    goals[decision.run_id] = decision.at
                case Ended():
                    ends[decision.run_id] = (decision.at, decision.outcome)
        if starts:
            await connection.execute(_INSERT_RUNS, _run_rows(brand, starts))
        if goals:
            given_goals = {"ids": list(goals), "ats": list(goals.values())}
            await connection.execute(_REACH_GOALS, given_goals)
        if ends:
            await connection.execute(
                _END_RUNS,
                {
                    "ids": list(ends),
                    "ats": [at for at, _ in ends.values()],
                    "outcomes": [outcome for _, outcome in ends.values()],
                },
            )
        if deliveries:
            await connection.execute(
                _INSERT_DELIVERIES,
                {
                    "brand": brand,
                    "run_ids": [d[0] for d in deliveries],
                    "seqs": [d[1] for d in deliveries],
                    "kinds": [d[2] for d in deliveries],
                    "payloads": [_json(d[3]) for d in deliveries],
                    "priorities": [d[4] for d in deliveries],
                },
            )
            await connection.execute(_NOTIFY)


async def _keep(
    connection: AsyncConnection,
    brand: str,
    events: Sequence[tuple[str, Event]],
    *,
    history: bool,
) -> set[tuple[str, str]]:
    """Insert events; the identities that were new. Sorted, so that two batches cannot deadlock."""
    rows = {(e.event_source, e.event_id): (p, e) for p, e in reversed(events)}
    ordered = sorted(rows)
    kept = await connection.execute(
        _INSERT_EVENTS,
        {
            "brand": brand,
            "sources": [source for source, _ in ordered],
            "ids": [event_id for _, event_id in ordered],
            "types": [rows[k][1].type for k in ordered],
            "players": [rows[k][0] for k in ordered],
            "ats": [rows[k][1].occurred_at for k in ordered],
            "data": [_json(rows[k][1].to_wire()["data"]) for k in ordered],
            "history": history,
        },
    )
    return {(row.source, row.id) for row in kept}


def _run_input(brand: str, state: PlayerState, start: Start) -> dict[str, Any]:
    trigger = None if start.trigger is None else start.trigger.redacted().to_wire()
    return RunInput(
        run_id=start.run_id,
        brand=brand,
        player_id=state.player_id,
        journey=start.journey,
        entered_at=start.entered_at,
        ends_at=start.ends_at,
        trigger=trigger,
        facts=state.snapshot(),
    ).model_dump(mode="json", exclude_defaults=True)


def _run_rows(brand: str, starts: list[tuple[str, Start]]) -> dict[str, Any]:
    return {
        "brand": brand,
        "ids": [s.run_id for _, s in starts],
        "players": [p for p, _ in starts],
        "journeys": [s.journey for _, s in starts],
        "arms": [s.arm for _, s in starts],
        "states": ["ended" if s.refused else "active" for _, s in starts],
        "entered": [s.entered_at for _, s in starts],
        "ends": [s.ends_at for _, s in starts],
        "triggers": [_json(s.cause) for _, s in starts],
        "ended": [s.entered_at if s.refused else None for _, s in starts],
        "outcomes": [f"refused:{s.refused}" if s.refused else None for _, s in starts],
        "goals": [s.goal_until for _, s in starts],
    }


def _profile(event: Event) -> dict[str, Any]:
    """The personal data an event brings, which lives in the player's profile and nowhere else."""
    match event:
        case PlayerRegistered():
            found = {name: getattr(event, name) for name in PROFILE_FIELDS}
            return {k: str(v) for k, v in found.items() if v is not None}
        case ProfileUpdated():
            changed = {k: v for k, v in event.changed.items() if k in PROFILE_FIELDS}
            return {k: None if v is None else str(v) for k, v in changed.items()}
        case _:
            return {}


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _arrays(statement: str, **types: Any) -> Any:
    return text(statement).bindparams(
        *(bindparam(name, type_=ARRAY(kind) if kind is not Boolean else Boolean) for name, kind in types.items())
    )


_INSERT_EVENTS = _arrays(
    """
    INSERT INTO events (brand, source, id, type, player_id, occurred_at, data, history)
    SELECT :brand, source, id, type, player_id, occurred_at, data::jsonb, :history
    FROM unnest(:sources, :ids, :types, :players, :ats, :data)
      AS t (source, id, type, player_id, occurred_at, data)
    ON CONFLICT DO NOTHING
    RETURNING source, id
    """,
    sources=Text,
    ids=Text,
    types=Text,
    players=Text,
    ats=TIMESTAMP(timezone=True),
    data=Text,
    history=Boolean,
)
_CREATE = _arrays("INSERT INTO players (brand, id) SELECT :brand, unnest(:ids) ON CONFLICT DO NOTHING", ids=Text)
_LOCK = _arrays(
    "SELECT id, state FROM players WHERE brand = :brand AND id = ANY(:ids) ORDER BY id FOR UPDATE",
    ids=Text,
)
_UPDATE = _arrays(
    """
    UPDATE players p
    SET state = t.state::jsonb, profile = p.profile || t.profile::jsonb,
        next_moment = t.moment, updated_at = :now
    FROM unnest(:ids, :states, :profiles, :moments) AS t (id, state, profile, moment)
    WHERE p.brand = :brand AND p.id = t.id
    """,
    ids=Text,
    states=Text,
    profiles=Text,
    moments=TIMESTAMP(timezone=True),
)
_INSERT_RUNS = _arrays(
    """
    INSERT INTO runs (id, brand, player_id, journey, arm, state, entered_at, ends_at, trigger,
                      ended_at, outcome, goal_until)
    SELECT id, :brand, player_id, journey, arm, state, entered_at, ends_at, trigger::jsonb,
           ended_at, outcome, goal_until
    FROM unnest(:ids, :players, :journeys, :arms, :states, :entered, :ends, :triggers, :ended,
                :outcomes, :goals)
      AS t (id, player_id, journey, arm, state, entered_at, ends_at, trigger, ended_at, outcome,
            goal_until)
    """,
    ids=Text,
    players=Text,
    journeys=Text,
    arms=Text,
    states=Text,
    entered=TIMESTAMP(timezone=True),
    ends=TIMESTAMP(timezone=True),
    triggers=Text,
    ended=TIMESTAMP(timezone=True),
    outcomes=Text,
    goals=TIMESTAMP(timezone=True),
)
_REACH_GOALS = _arrays(
    "UPDATE runs r SET goal_at = t.at FROM unnest(:ids, :ats) AS t (id, at) WHERE r.id = t.id",
    ids=Text,
    ats=TIMESTAMP(timezone=True),
)
_END_RUNS = _arrays(
    """
    UPDATE runs r SET state = 'ended', ended_at = t.at, outcome = t.outcome
    FROM unnest(:ids, :ats, :outcomes) AS t (id, at, outcome) WHERE r.id = t.id
    """,
    ids=Text,
    ats=TIMESTAMP(timezone=True),
    outcomes=Text,
)
_INSERT_DELIVERIES = _arrays(
    """
    INSERT INTO deliveries (run_id, seq, brand, kind, payload, priority)
    SELECT run_id, seq, :brand, kind, payload::jsonb, priority
    FROM unnest(:run_ids, :seqs, :kinds, :payloads, :priorities)
      AS t (run_id, seq, kind, payload, priority)
    """,
    run_ids=Text,
    seqs=Integer,
    kinds=Text,
    payloads=Text,
    priorities=SmallInteger,
)
_NOTIFY = text(f"SELECT pg_notify('{CHANNEL}', '')")
