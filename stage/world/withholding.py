"""The effect `withhold` in memory: what shadow runs ask for is answered as in production, written down and not done."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from temporalio.exceptions import ApplicationError

from stage.errors import StageError
from stage.world.bonus_budgets import bonus_value
from stage.world.records import WithheldRecord
from stage.world.state import WorldState
from workflows.channels import CHANNELS
from workflows.effects import EFFECTS, RUN_OVER, START, Done, EffectInput, End, Started, Withheld, Withhold
from workflows.gate.facts import Contact, GateFacts, facts_of, had_bonus
from workflows.withheld import Seen, TextFacts, WouldBe, contact_channels, decided_channels, entered_journey, would_be

_INPUTS = {effect.name: effect.input for effect in EFFECTS}
_EVERYWHERE = frozenset(CHANNELS)


class WithheldEffects:
    """Withholds what shadow runs ask for. `contacts` are the messages that players got in the last week."""

    def __init__(self, world: WorldState, contacts: Callable[[str], Sequence[Contact]]) -> None:
        self._world = world
        self._contacts = contacts

    def withhold(self, request: Withhold) -> Withheld:
        """Say what an effect would come to. Raises ApplicationError when the shadow run is over."""
        world, run = self._world, self._world.shadow_runs[request.run_id]
        withheld: EffectInput = _INPUTS[request.effect].model_validate(request.request)
        if run.ended_at is not None and not isinstance(withheld, End):
            raise ApplicationError(f"Shadow run {run.run_id} is over.", type=RUN_OVER, non_retryable=True)
        run.step = request.step
        came = WouldBe(withheld.outcome, Done()) if isinstance(withheld, End) else self._would_be(request, withheld)
        world.withheld += [
            WithheldRecord(one.at, run.run_id, one.step, one.outcome, one.detail) for one in request.story
        ]
        world.withheld.append(WithheldRecord(world.now, run.run_id, request.step, came.outcome, came.detail))
        if isinstance(withheld, End):
            world.player(request.player_id).end_shadow(run.run_id)
            if run.ended_at is None:
                run.ended_at, run.outcome = world.now, withheld.outcome
        return Withheld(answer=came.answer.model_dump(mode="json"))

    def _would_be(self, request: Withhold, withheld: EffectInput) -> WouldBe:
        world = self._world
        before = [one for one in world.withheld if (one.run_id, one.step) == (request.run_id, request.step)]
        facts = self._facts(request)
        return would_be(
            withheld,
            Seen(
                now=world.now,
                policy=world.policies.of(world.brand, facts, world.now),
                product=world.product,
                rules=world.rules,
                templates=self._template,
                state=world.player(request.player_id),
                facts=facts,
                beside=request.beside,
                decided={channel: what for one in before for channel, what in decided_channels(one.detail).items()},
                started_beside=self._started_beside(request),
                started={
                    journey: one.at
                    for one in world.withheld
                    if one.run_id == request.run_id and (journey := entered_journey(one.step, one.outcome)) is not None
                },
            ),
        )

    def _started_beside(self, request: Withhold) -> Started | None:
        told = [one for one in self._world.story if (one.run_id, one.step) == (request.beside, request.step)]
        started = [one for one in told if request.effect == START.name and one.outcome in {"started", "refused"}]
        return Started.model_validate(started[0].detail) if started else None

    def _facts(self, request: Withhold) -> GateFacts:
        """As for a run instead of the live one: what that sent does not count, what this one would have sent does."""
        world = self._world
        others = [one for one in self._contacts(request.player_id) if not one.step.startswith(f"{request.beside}/")]
        own = [
            Contact(one.at, channel, f"{one.run_id}/{one.step}")
            for one in world.withheld
            if one.run_id == request.run_id
            for channel in contact_channels(one.detail)
        ]
        addresses = world.addresses.get(request.player_id, _EVERYWHERE)
        state = world.player(request.player_id)
        granted = any(
            grant.player_id == request.player_id and grant.run_id != request.beside and grant.status != "refused"
            for grant in world.grants
        )
        facts = facts_of(
            state,
            addresses=addresses,
            contacts=[*others, *own],
            now=world.now,
            birth_date=world.birth_dates.get(request.player_id),
            had_bonus=had_bonus(state, granted_here=granted),
        )
        return replace(facts, bonus_value=bonus_value(world, request.player_id, but=request.beside))

    def _template(self, name: str) -> TextFacts:
        template = self._world.templates.get(name)
        if template is None:
            raise StageError(f"A shadow sends {name}, which is no template here.")
        return template
