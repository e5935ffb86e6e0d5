"""What a worker learns with: draws, scores and choices as effects, the watch over experiments, the nightly scoring."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from activities.clock import Clock
from activities.database import Database
from activities.experiments import ExperimentEffects
from activities.intake.intake import Intake
from activities.loops.channel_learning import ChannelLearning
from activities.loops.experiment_watch import ExperimentWatch
from activities.loops.score_learning import ScoreLearning
from activities.scores import ScoreEffects
from activities.send_choices import SendChoices
from activities.ways_out import WaysOut
from content.templates import Catalogue
from workflows.field_types import Product
from workflows.gate.policy_book import PolicyBook
from workflows.source.journey_loading import Registry


@dataclass(frozen=True)
class LearnedParts:
    """The parts of one worker."""

    experiments: ExperimentEffects
    scores: ScoreEffects
    choices: SendChoices
    watch: ExperimentWatch
    learning: ScoreLearning

    @classmethod
    def of(
        cls,
        database: Database,
        intake: Intake,
        registry: Registry,
        policies: PolicyBook,
        clock: Clock,
        *,
        templates: Catalogue,
        product: Product,
        ways: WaysOut,
    ) -> "LearnedParts":
        """The parts over one database, for what a deployment declares."""
        return cls(
            experiments=ExperimentEffects(database, policies, clock),
            scores=ScoreEffects(database, clock),
            choices=SendChoices(database, registry.journeys, templates, policies, product, clock, ways=ways),
            watch=ExperimentWatch(database, intake, registry.experiments, clock),
            learning=ScoreLearning(
                database,
                intake,
                clock,
                reads_scores=registry.reads_scores,
                channels=ChannelLearning(database, clock),
            ),
        )

    @property
    def effects(self) -> Sequence[Callable[..., Any]]:
        """What journeys ask for."""
        return [self.experiments.assign, self.scores.score, self.choices.choose]

    @property
    def upkeep(self) -> Sequence[Callable[..., Any]]:
        """What schedules start."""
        return [self.watch.watch, self.learning.learn, self.learning.score]
