"""The effect behind `player.arm(...)`: draws a player into an arm of an experiment, once for ever."""

from temporalio import activity

from activities.clock import Clock
from activities.database import Database
from activities.experiment_rows import assigned, begun
from activities.journey_controls import held_by
from activities.runs import hold_active
from activities.step_log import record_steps, recorded_outcome
from workflows.effects import ASSIGN, AssignArm, Held
from workflows.experiment_draw import ArmAssigned


class ExperimentEffects:
    """Draws players into arms, on Postgres."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    @activity.defn(name=ASSIGN.name)
    async def assign(self, request: AssignArm) -> ArmAssigned | Held:
        """The player's arm, the same however often this is tried. An arm that was stopped is answered as control."""
        now = self.clock()
        async with self.database.transaction() as connection:
            await hold_active(connection, request.run_id)
            if (earlier := await recorded_outcome(connection, request)) is not None:
                return ArmAssigned.model_validate(earlier.detail)
            if (held := await held_by(connection, request, now)) is not None:
                return held
            experiment = await begun(connection, request, now)
            drawn = await assigned(connection, request, experiment, now)
            result = ArmAssigned.of(drawn, experiment.standing)
            await record_steps(connection, request, now, result.arm, result.model_dump())
        return result
