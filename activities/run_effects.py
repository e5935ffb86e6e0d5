"""Effects of a run upon itself: its end, its marks, fresh facts, another journey."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.clock import Clock
from activities.database import Database
from activities.intake.intake import Intake
from activities.journey_controls import held_by
from activities.messages import give_up_turns
from activities.outgoing.outbox import announce
from activities.player_rows import write_place
from activities.processes import Processes
from activities.rolling_release import retry_if_known_elsewhere
from activities.runs import RunOver, check_soon, end_active, hold_active, is_active, note_arrival
from activities.shop_purchases import run_is_over
from activities.step_log import record_steps, recorded_outcome
from activities.tables import players
from activities.tasks import cancel_of_run
from workflows.effects import (
    END,
    MARK,
    MATCH,
    READ_VALUE,
    REFRESH,
    RUN_OVER,
    START,
    Done,
    EffectInput,
    End,
    Held,
    Mark,
    Match,
    Matched,
    ReadValue,
    Refresh,
    Started,
    StartJourney,
    ValueRead,
)
from workflows.json_object import JsonObject
from workflows.loyalty.shop_items import SHOP_ORDER
from workflows.outgoing_events import OutgoingEvent
from workflows.player_facts import PlayerFacts
from workflows.player_state.active_run import come_to
from workflows.player_state.decisions import started_by
from workflows.player_state.journey_facts import journey_facts
from workflows.player_state.measured_values import read_value
from workflows.player_state.state import PlayerState


class RunEffects:
    """Ends, marks, refreshes and starts, on Postgres."""

    def __init__(self, database: Database, intake: Intake, clock: Clock, *, processes: Processes | None = None) -> None:
        self.database = database
        self.intake = intake
        self.clock = clock
        self.processes = processes or Processes(database, intake.rules)

    @activity.defn(name=END.name)
    async def end(self, request: End) -> Done:
        """Record the end, close what the run left open, and free the player for another entry.

        It succeeds without the player's row, which somebody may have removed, and without the run's, which a restore
        may have: nothing could ever end the workflow otherwise.
        """
        async with self.database.transaction() as connection:
            await end_run(connection, self.intake, request, self.clock())
        return Done()

    @activity.defn(name=MARK.name)
    async def mark(self, request: Mark) -> Done:
        """Write a marker into the story of the run."""
        now = self.clock()
        async with self.database.transaction() as connection:
            await hold_active(connection, request.run_id)
            if request.arrived is not None:
                await note_arrival(connection, request.run_id, request.arrived)
            await record_steps(connection, request, now, "marked", request.detail)
        return Done()

    @activity.defn(name=MATCH.name)
    async def match(self, request: Match) -> Matched | Held:
        """Whether the player is in the segment at this moment, the same however often this is tried."""
        segment = self.intake.rules.segments.get(request.segment)
        now = self.clock()
        async with self.database.transaction() as connection:
            stored = await locked_state(connection, request)
            await hold_active(connection, request.run_id)
            if (earlier := await recorded_outcome(connection, request)) is not None:
                outcome = earlier.outcome
            elif (held := await held_by(connection, request, now)) is not None:
                return held
            elif segment is None:
                known = request.segment in (await self.processes.look(connection)).segments
                retry_if_known_elsewhere(f"No segment is called {request.segment}.", known=known)
                outcome = "unknown_segment"
            else:
                state = PlayerState.from_json(request.brand, request.player_id, stored or {})
                place = come_to(state.runs, request.run_id, request.step, self.intake.rules.journeys)
                if place is not None:
                    await write_place(connection, request.brand, request.player_id, request.run_id, place)
                outcome = "yes" if segment.evaluate(state, now)[0] else "no"
            await record_steps(connection, request, now, outcome)
        return Matched(matches=outcome == "yes", unknown=outcome == "unknown_segment")

    @activity.defn(name=READ_VALUE.name)
    async def value(self, request: ReadValue) -> ValueRead | Held:
        """What a measure says about the player at this moment, the same however often this is tried."""
        now = self.clock()
        async with self.database.transaction() as connection:
            stored = await locked_state(connection, request)
            await hold_active(connection, request.run_id)
            if (earlier := await recorded_outcome(connection, request)) is not None:
                return ValueRead.model_validate(earlier.detail)
            if (held := await held_by(connection, request, now)) is not None:
                return held
            state = PlayerState.from_json(request.brand, request.player_id, stored or {})
            read = read_value(request, state, self.intake.rules, now)
            await record_steps(connection, request, now, "read", read.model_dump())
        return read

    @activity.defn(name=REFRESH.name)
    async def refresh(self, request: Refresh) -> PlayerFacts | Held:
        """The player's facts as of now."""
        now = self.clock()
        async with self.database.transaction() as connection:
            async with self.intake.locked(connection, request.brand, [request.player_id], now) as players:
                await hold_active(connection, request.run_id)
                if request.player_id not in players.states:
                    raise RunOver(request.run_id)
                if (held := await held_by(connection, request, now)) is not None:
                    return held
                state = players.states[request.player_id]
                come_to(state.runs, request.run_id, request.step, players.rules.journeys)
                facts = journey_facts(state)
            await record_steps(connection, request, now, "refreshed")
        return facts

    @activity.defn(name=START.name)
    async def start(self, request: StartJourney) -> Started | Held:
        """Enter the player into another journey, once however often this is tried."""
        journey = self.intake.rules.journeys.get(request.start)
        now = self.clock()
        if journey is None:
            refused = request.unknown_journey
            async with self.database.transaction() as connection:
                known = request.start in (await self.processes.look(connection)).journeys
                retry_if_known_elsewhere(str(refused.refused), known=known)
                await record_steps(connection, request, now, "refused", refused.model_dump())
            return refused
        async with self.database.transaction() as connection:
            async with self.intake.locked(connection, request.brand, [request.player_id], now) as players:
                mine = await hold_active(connection, request.run_id)
                if request.player_id not in players.states:
                    raise RunOver(request.run_id)
                if (earlier := await recorded_outcome(connection, request)) is not None:
                    return Started.model_validate(earlier.detail)
                come_to(players.states[request.player_id].runs, request.run_id, request.step, players.rules.journeys)
                if (held := await held_by(connection, request, now)) is not None:
                    return held
                if journey.name in players.rules.closed:
                    result = request.closed_journey
                else:
                    decisions = players.states[request.player_id].enter(journey, None, now, request.cause, mine)
                    players.record(request.player_id, decisions)
                    result = started_by(decisions)
            await record_steps(connection, request, now, result.outcome, result.model_dump())
        return result


async def end_run(connection: AsyncConnection, intake: Intake, request: End, now: datetime) -> None:
    """End a run in the books, in a transaction: its row, its tasks, its story, its player. The first end stays.

    One that was refused as over ends nothing that has begun under its id since; comparing begins that anew.
    """
    async with intake.locked(connection, request.brand, [request.player_id], now) as players:
        for state in players.states.values():
            known = state.runs.get(request.run_id)
            may_go_on = request.outcome == RUN_OVER and known is not None and not known.stopping
            if may_go_on and await is_active(connection, request.run_id):
                # Refused because the books did not have it, and entered again since, after Postgres was set back.
                await check_soon(connection, [request.run_id])
                return
            state.end(request.run_id, now)
    if await end_active(connection, request.run_id, request.outcome, now):
        await cancel_of_run(connection, request.run_id, f"The journey ended: {request.outcome}.", now)
        await give_up_turns(connection, request.run_id)
        if request.journey == SHOP_ORDER:
            await run_is_over(connection, request.brand, request.player_id, request.run_id, now)
        await record_steps(connection, request, now, request.outcome, request.detail)
        announce(connection, OutgoingEvent.about("run.ended", request, now))


async def locked_state(connection: AsyncConnection, request: EffectInput) -> JsonObject | None:
    """The player's stored state, locked until the transaction ends; None for one we never heard of."""
    whose = (players.c.brand == request.brand, players.c.id == request.player_id)
    state: JsonObject | None = await connection.scalar(select(players.c.state).where(*whose).with_for_update())
    return state
