"""Who took part in an experiment and what they did since, read from what was drawn and from the events."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.experiment_money import judged_at, with_money
from activities.experiment_rows import (
    ExperimentRow,
    events_since_drawn,
    list_assignments,
    list_looks,
    met_since_drawn,
    past_effects,
    reviewed_since_drawn,
)
from learning.experiment_findings import ExperimentFindings, Participant, findings
from learning.lasting_effects import with_past
from workflows.declaration import Goal
from workflows.events import HarmSignal
from workflows.experiments import Experiment, Guardrail
from workflows.rules.failures import RuleFailure


async def participants_of(
    connection: AsyncConnection, experiment: ExperimentRow, tried: Experiment, known_at: datetime | None = None
) -> list[Participant]:
    """Everybody who was drawn, with what is known of them; with `known_at` what was known then, whenever it is asked.

    History that was imported counts for nobody: it happened before anybody was drawn, or says so.
    """
    everybody = await list_assignments(connection, experiment)
    drawn = {one.player_id: one for one in everybody if known_at is None or one.at <= known_at}
    reached: set[str] = set()
    harmed: dict[str, set[str]] = {}
    counted: list[Goal | Guardrail] = [tried.goal, *tried.guardrails]
    # Without a condition the first event says it all, so Postgres answers and no event is read.
    plain = {one.kind.type for one in counted if one.where is None}
    for met in await met_since_drawn(connection, experiment, sorted(plain), known_at):
        known = drawn.get(met.player_id)
        if known is None:
            continue
        goal = tried.goal
        if goal.where is None and goal.kind.type == met.type and met.first_at < known.at + goal.within:
            reached.add(met.player_id)
        if any(one.where is None and one.kind.type == met.type for one in tried.guardrails):
            harmed.setdefault(met.player_id, set()).add(met.type)
    if any(one.kind is HarmSignal for one in tried.guardrails):
        for player in drawn.keys() & await reviewed_since_drawn(connection, experiment, known_at):
            harmed.setdefault(player, set()).add(HarmSignal.type)
    kinds = {one.kind.type: one.kind for one in counted if one.where is not None}
    failures: list[RuleFailure] = []
    async for row in events_since_drawn(connection, experiment, sorted(kinds), known_at):
        known = drawn.get(row.player_id)
        if known is None:
            continue
        kind = kinds[row.type]
        wire = {"type": kind.wire_type, "data": row.data, "id": row.id, "source": row.source}
        event = kind.from_wire({**wire, "time": row.occurred_at.isoformat()})
        if row.occurred_at < known.at + tried.goal.within and tried.goal.matches(event, failures):
            reached.add(row.player_id)
        for guardrail in tried.guardrails:
            if guardrail.broken_by(event, failures):
                harmed.setdefault(row.player_id, set()).add(guardrail.kind.type)
    return [
        Participant(one.arm, one.shares, one.at, player in reached, frozenset(harmed.get(player, ())), player)
        for player, one in drawn.items()
    ]


async def findings_of(
    connection: AsyncConnection,
    experiment: ExperimentRow,
    tried: Experiment,
    now: datetime,
    known_at: datetime | None = None,
) -> ExperimentFindings:
    """What an experiment has found, now or by an earlier moment; with a plan, as sure as the looks made by then."""
    as_of = known_at or now
    people = await participants_of(connection, experiment, tried, known_at)
    looks = [one for one in await list_looks(connection, experiment) if one.at <= as_of]
    counted = [one.counted for one in looks]
    found = findings(tried, people, looks=counted, stopped=experiment.stopped_by(as_of), as_of=as_of)
    found = with_past(found, await past_effects(connection, experiment, as_of))
    at = judged_at(tried, experiment.started_at, looks, found)
    if isinstance(at, str):
        return found.model_copy(update={"no_money": at})
    then = await participants_of(connection, experiment, tried, at)
    return await with_money(connection, experiment, tried, then, found, at)
