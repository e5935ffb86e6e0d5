"""The effect behind `player.arm(...)`: draws a player into an arm of an experiment, once for ever."""

from datetime import datetime

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.clock import Clock
from activities.database import Database
from activities.experiment_rows import assigned, begun
from activities.journey_controls import held_by
from activities.runs import hold_active
from activities.step_log import record_steps, recorded_outcome
from activities.tables import players, runs
from workflows.effects import ASSIGN, AssignArm, Held
from workflows.experiment_draw import ArmAssigned
from workflows.gate.comparison import gets_no_offers
from workflows.gate.facts import holdout_place
from workflows.gate.policy_book import PolicyBook
from workflows.player_state.state import PlayerState


class ExperimentEffects:
    """Draws players into arms, on Postgres."""

    def __init__(self, database: Database, policies: PolicyBook, clock: Clock) -> None:
        self.database = database
        self.policies = policies
        self.clock = clock

    @activity.defn(name=ASSIGN.name)
    async def assign(self, request: AssignArm) -> ArmAssigned | Held:
        """The player's arm, the same however often this is tried. An arm that was stopped is answered as control.

        Who gets no offers anyway is not drawn: in an arm they would be players on whom nothing was tried.
        """
        now = self.clock()
        async with self.database.transaction() as connection:
            await hold_active(connection, request.run_id)
            if (earlier := await recorded_outcome(connection, request)) is not None:
                return ArmAssigned.model_validate(earlier.detail)
            if (held := await held_by(connection, request, now)) is not None:
                return held
            if await self._is_withheld(connection, request, now):
                result = ArmAssigned.withheld()
            else:
                experiment = await begun(connection, request, now)
                drawn = await assigned(connection, request, experiment, now)
                result = ArmAssigned.of(drawn, experiment.standing, now)
            # Versions of one experiment share the names of their steps and of their arms.
            detail = result.model_dump() | {"version": request.experiment_version}
            await record_steps(connection, request, now, result.arm, detail)
        return result

    async def _is_withheld(self, connection: AsyncConnection, request: AssignArm, now: datetime) -> bool:
        whose = (players.c.brand == request.brand, players.c.id == request.player_id)
        chosen = select(runs.c.arm, players.c.state).select_from(runs.outerjoin(players, and_(*whose)))
        row = (await connection.execute(chosen.where(runs.c.id == request.run_id))).one()
        player = PlayerState.from_json(request.brand, request.player_id, row.state or {})
        policy = self.policies.at(request.brand, player.jurisdiction, now)
        place = holdout_place(self.policies.drawn_as(request.brand), request.player_id, *player.accounts)
        return gets_no_offers(row.arm, place, policy)
