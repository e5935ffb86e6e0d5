"""`pause_promotions`: a journey's pause is an event of the player, kept and in force with the step that says so."""

from datetime import datetime

from temporalio import activity

from activities.clock import Clock
from activities.database import Database
from activities.intake.intake import Intake
from activities.player_rows import accounts_of
from activities.runs import RunOver, hold_active
from activities.step_log import record_steps, recorded_outcome
from workflows.effects import PAUSE_PROMOTIONS, PausedUntil, PausePromotions
from workflows.player_state.active_run import come_to
from workflows.player_state.harm_response import paused_by


class PromotionPauses:
    """Pauses promotions for runs."""

    def __init__(self, database: Database, intake: Intake, clock: Clock) -> None:
        self.database = database
        self.intake = intake
        self.clock = clock

    @activity.defn(name=PAUSE_PROMOTIONS.name)
    async def pause(self, request: PausePromotions) -> PausedUntil:
        """Pause once, however often this is tried, at every account of the person."""
        now, player_id = self.clock(), request.player_id
        async with self.database.transaction() as connection:
            ids = [player_id, *await accounts_of(connection, request.brand, player_id)]
            async with self.intake.locked(connection, request.brand, ids, now) as players:
                await hold_active(connection, request.run_id)
                if player_id not in players.states:
                    raise RunOver(request.run_id)
                if (earlier := await recorded_outcome(connection, request)) is not None:
                    return PausedUntil(until=datetime.fromisoformat(earlier.detail["until"]))
                state = players.states[player_id]
                come_to(state.runs, request.run_id, request.step, players.rules.journeys)
                await self.intake.tell(connection, players, player_id, paused_by(request, now), now)
                until = state.watch.paused_until
                assert until is not None
            await record_steps(connection, request, now, "paused", {"until": until.isoformat(), "why": request.why})
        return PausedUntil(until=until)
