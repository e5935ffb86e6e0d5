"""What a worker learns with: the draw and the score as effects, the watch over experiments, the nightly scoring."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from activities.clock import Clock
from activities.database import Database
from activities.experiments import ExperimentEffects
from activities.intake.intake import Intake
from activities.loops.experiment_watch import ExperimentWatch
from activities.loops.score_learning import ScoreLearning
from activities.scores import ScoreEffects
from workflows.experiments import Experiment


@dataclass(frozen=True)
class LearnedParts:
    """The parts of one worker."""

    experiments: ExperimentEffects
    scores: ScoreEffects
    watch: ExperimentWatch
    learning: ScoreLearning

    @classmethod
    def of(
        cls, database: Database, intake: Intake, declared: Mapping[tuple[str, int], Experiment], clock: Clock
    ) -> "LearnedParts":
        """The parts over one database; `declared` are the experiments of the deployment."""
        return cls(
            experiments=ExperimentEffects(database, clock),
            scores=ScoreEffects(database, clock),
            watch=ExperimentWatch(database, intake, declared, clock),
            learning=ScoreLearning(database, intake, clock),
        )

    @property
    def effects(self) -> Sequence[Callable[..., Any]]:
        """What journeys ask for."""
        return [self.experiments.assign, self.scores.score]

    @property
    def upkeep(self) -> Sequence[Callable[..., Any]]:
        """What schedules start."""
        return [self.watch.watch, self.learning.learn, self.learning.score]
