"""Watches over experiments: stops an arm that does harm, closes one whose shares are wrong, looks at goals as planned.

It acts on harm and on what is broken alone. That an arm is better or worse is told to people, and they decide.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.clock import Clock
from activities.database import Database
from activities.experiment_participants import participants_of
from activities.experiment_rows import (
    ExperimentRow,
    LookRow,
    close_experiment,
    list_experiments,
    list_looks,
    note_look,
    runs_in_arm,
    stop_arm,
)
from activities.intake.intake import Intake
from activities.loops.maintenance import heartbeating
from activities.step_log import record_steps
from learning.experiment_findings import ExperimentFindings, findings, share_of_plan
from workflows.background.maintenance import WATCH, WatchedExperiments
from workflows.effects import EffectInput
from workflows.experiments import Experiment

logger = logging.getLogger(__name__)

#: What a run ends as whose arm was stopped because of harm.
STOPPED_BY_HARM: Final = "experiment_harm"
#: Why nobody is drawn any more when the arms did not get their shares.
BROKEN: Final = "sample_ratio"
ARMS_STOPPED: Final = Counter(
    "journeys_experiment_arms_stopped_total", "Arms that were stopped because of harm.", ["experiment", "arm"]
)
BROKEN_EXPERIMENTS: Final = Counter(
    "journeys_experiments_broken_total", "Experiments closed because their arms had wrong shares.", ["experiment"]
)


class ExperimentWatch:
    """Looks at every experiment of the deployment, as an activity."""

    def __init__(
        self, database: Database, intake: Intake, experiments: Mapping[tuple[str, int], Experiment], clock: Clock
    ) -> None:
        self.database = database
        self.intake = intake
        self.experiments = experiments
        self.clock = clock

    @activity.defn(name=WATCH)
    async def watch(self) -> WatchedExperiments:
        """Look at each experiment once. One that is not declared here is not: it goes to control in a day."""
        async with heartbeating():
            return await self.look()

    async def look(self) -> WatchedExperiments:
        """Look at each, closed ones too: what they gave may still do harm. What was done to them."""
        seen = stopped = broken = 0
        async with self.database.reading() as connection:
            known = await list_experiments(connection)
        for experiment in known:
            arms = set(experiment.stopped)
            tried = self.experiments.get((experiment.name, experiment.version))
            try:
                if tried is not None:
                    found = await self._look_at(experiment, tried)
                    seen += 1
                    for one in found.arms:
                        if one.verdict == "stopped" and one.arm not in arms:
                            arms.add(one.arm)
                            await self._stop(experiment, one.arm)
                            stopped += 1
                    if found.verdict == "broken" and experiment.closed is None:
                        await self._close(experiment)
                        broken += 1
            except Exception:
                # It goes to control in a day; the others are looked at all the same.
                logger.exception("Experiment %s v%s cannot be looked at.", experiment.name, experiment.version)
            await self._end_runs(experiment, sorted(arms))
        return WatchedExperiments(seen=seen, stopped=stopped, broken=broken)

    async def _look_at(self, experiment: ExperimentRow, tried: Experiment) -> ExperimentFindings:
        now = self.clock()
        async with self.database.transaction() as connection:
            people = await participants_of(connection, experiment, tried)
            before = await list_looks(connection, experiment)
            looks = [one.counted for one in before]
            counted = share_of_plan(tried, people, now)
            due = _is_due(experiment, tried, len(before), now) and counted > max(looks, default=0.0)
            if due:
                looks.append(counted)
            found = findings(tried, people, looks=looks, stopped=experiment.stopped_by(now), as_of=now)
            look = LookRow(len(looks), now, counted, found.model_dump(mode="json")) if due else None
            await note_look(connection, experiment, look, now)
        return found

    async def _close(self, experiment: ExperimentRow) -> None:
        async with self.database.transaction() as connection:
            await close_experiment(connection, experiment, BROKEN)
        BROKEN_EXPERIMENTS.labels(experiment.name).inc()
        logger.error(
            "The arms of %s v%s in %s did not get their shares; nobody is drawn any more.",
            *(experiment.name, experiment.version, experiment.brand),
        )

    async def _stop(self, experiment: ExperimentRow, arm: str) -> None:
        async with self.database.transaction() as connection:
            await stop_arm(connection, experiment, arm, "harm", self.clock())
        ARMS_STOPPED.labels(experiment.name, arm).inc()
        logger.error(
            "The arm %s of %s v%s in %s does harm and was stopped; its runs end.",
            *(arm, experiment.name, experiment.version, experiment.brand),
        )

    async def _end_runs(self, experiment: ExperimentRow, arms: Sequence[str]) -> None:
        """End the runs of stopped arms, each with its player's row locked; what was left at a look ends at the next."""
        try:
            async with self.database.reading() as connection:
                runs = [run for arm in arms for run in await runs_in_arm(connection, experiment, arm)]
        except Exception:
            logger.exception("Runs of %s v%s cannot be found.", experiment.name, experiment.version)
            return
        for run in runs:
            step = EffectInput(
                brand=experiment.brand, player_id=run.player_id, journey=run.journey, run_id=run.run_id, step="stop"
            )
            try:
                async with self.database.transaction() as connection:
                    await self._end_run(connection, step)
            except Exception:
                logger.exception("The run %s of a stopped arm cannot be ended.", run.run_id)

    async def _end_run(self, connection: AsyncConnection, step: EffectInput) -> None:
        now = self.clock()
        async with self.intake.locked(connection, step.brand, [step.player_id], now) as players:
            state = players.states.get(step.player_id)
            decisions = [] if state is None else state.stop(step.run_id, STOPPED_BY_HARM, now)
            if decisions:
                players.record(step.player_id, decisions)
        if decisions:
            await record_steps(connection, step, now, STOPPED_BY_HARM, {"by": "the engine", "reason": "harm"})


def _is_due(experiment: ExperimentRow, tried: Experiment, made: int, now: datetime) -> bool:
    """Whether a planned look at the goal has come; what nobody was there for is made up for by one."""
    plan = tried.plan
    if plan is None or experiment.closed is not None or now > experiment.started_at + plan.at_most + plan.every:
        return False
    return (now - experiment.started_at) // plan.every > made
