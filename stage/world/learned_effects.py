"""What players teach, on the stage: an arm that was drawn, a score, a channel or an hour that was chosen."""

from collections.abc import Callable

from stage.errors import StageError
from stage.world.state import WorldState
from workflows.effect_input import EffectInput
from workflows.effects import AssignArm, ReadScore
from workflows.experiment_draw import ArmAssigned, ExperimentStanding, draw
from workflows.gate.comparison import gets_no_offers
from workflows.gate.facts import GateFacts, holdout_place
from workflows.gate.send_choice import SeenByChoice, choose
from workflows.player_facts import ScoreRead
from workflows.scores import read_score
from workflows.send_choices import Choose, Chosen


class LearnedEffects:
    """Draws and reads as production does, with the same functions; `record` writes the story."""

    def __init__(
        self,
        world: WorldState,
        record: Callable[..., None],
        facts: Callable[[EffectInput], GateFacts | None],
    ) -> None:
        self._world = world
        self._record = record
        self._facts = facts

    def assign(self, request: AssignArm) -> ArmAssigned:
        """The player's arm, drawn now unless it was before."""
        world = self._world
        if self._is_withheld(request):
            return self._told(request, ArmAssigned.withheld())
        tried = (request.experiment, request.experiment_version)
        standing = world.learned.experiments.get(tried, ExperimentStanding())
        key = (*tried, request.player_id)
        if key not in world.learned.assignments:
            world.learned.assignments[key] = draw(
                request.brand, request.player_id, tried, request.arms, standing, world.now
            )
        return self._told(request, ArmAssigned.of(world.learned.assignments[key], standing, world.now))

    def _is_withheld(self, request: AssignArm) -> bool:
        world, player = self._world, self._world.players.get(request.player_id)
        policy = world.policies.at(world.brand, None if player is None else player.jurisdiction, world.now)
        place = holdout_place(world.brand, request.player_id, *([] if player is None else player.accounts))
        return gets_no_offers(world.runs[request.run_id].arm, place, policy)

    def _told(self, request: AssignArm, result: ArmAssigned) -> ArmAssigned:
        self._record(request, result.arm, **result.model_dump(), version=request.experiment_version)
        return result

    def choose(self, request: Choose) -> Chosen:
        """The channel and the hour of a message."""
        world, facts = self._world, self._facts(request)
        template = world.templates.get(request.template)
        if template is None:
            raise StageError(f"{request.journey} sends {request.template}, which is no template here.")
        player = world.players.get(request.player_id)
        seen = SeenByChoice(
            facts=facts,
            policy=world.policies.of(world.brand, facts, world.now),
            message_class=template.message_class,
            suppress_if_active_today=template.suppress_if_active_today,
            product=world.product,
            hours={} if player is None else player.hours,
            heard=world.learned.channels.heard(request.player_id, world.now),
        )
        chosen = choose(request, seen, world.now)
        self._record(request, "chosen", **chosen.model_dump(mode="json"))
        return chosen

    def score(self, request: ReadScore) -> ScoreRead:
        """The newest word on a score of the player."""
        world = self._world
        told = world.learned.scores.get((request.player_id, request.score))
        read = read_score(request.score, told, world.players.get(request.player_id), world.now)
        self._record(request, "read", **read.model_dump(mode="json"))
        return read
