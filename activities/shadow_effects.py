"""The effect `withhold`: everything that a shadow run asks for comes here, is answered and written down, and not done.

It reads what the live effects read and writes no table of theirs. No provider is known here.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities import gate_facts
from activities.clock import Clock
from activities.database import Database
from activities.intake.intake import Intake
from activities.runs import RunOver
from activities.shadows import (
    ShadowStep,
    end_shadow_run,
    hold_shadow_run,
    record_shadow_step,
    steps_of,
    steps_of_verb,
)
from activities.step_log import recorded_outcome
from activities.ways_out import EVERY_WAY, WaysOut
from workflows.effects import (
    EFFECTS,
    WITHHOLD,
    Done,
    EffectInput,
    End,
    MoveTask,
    OpenTask,
    Started,
    StartJourney,
    Withheld,
    Withhold,
)
from workflows.field_types import Product
from workflows.gate.facts import Contact
from workflows.gate.policy_book import PolicyBook
from workflows.withheld import WAITING, Seen, TextFacts, contact_channels, decided_channels, entered_journey, would_be

_INPUTS: Final = {effect.name: effect.input for effect in EFFECTS if effect is not WITHHOLD}


class ShadowEffects:
    """Withholds effects, on Postgres. `templates` says of each what the gate asks, `product` what journeys are for."""

    def __init__(
        self,
        database: Database,
        intake: Intake,
        templates: Callable[[str], TextFacts],
        policies: PolicyBook,
        product: Product,
        clock: Clock,
        *,
        ways: WaysOut = EVERY_WAY,
    ) -> None:
        self.database = database
        self.ways = ways
        self.intake = intake
        self.templates = templates
        self.policies = policies
        self.product = product
        self.clock = clock

    @activity.defn(name=WITHHOLD.name)
    async def withhold(self, request: Withhold) -> Withheld:
        """Say what an effect would come to, the same however often this is tried. Raises `RunOver` when the run is.

        A shadow run is over when it ended, when its shadow was stopped, and when its player is gone.
        """
        withheld, now = _read(request), self.clock()
        async with self.database.transaction() as connection:
            if isinstance(withheld, End):
                return await self._end(connection, withheld, now)
            if not await hold_shadow_run(connection, request.run_id):
                raise RunOver(request.run_id)
            before = await steps_of(connection, request.run_id, request.step)
            if not isinstance(withheld, OpenTask | MoveTask) and (told := _final(before)) is not None:
                return Withheld(answer=told.answer)
            seen = await self._seen(connection, request, before, now)
            if isinstance(withheld, StartJourney):
                seen = await _with_entries(connection, request, withheld, seen)
            came = would_be(withheld, seen)
            await record_shadow_step(connection, request, came, now)
        return Withheld(answer=came.answer.model_dump(mode="json"))

    async def _seen(
        self, connection: AsyncConnection, request: Withhold, before: Sequence[ShadowStep], now: datetime
    ) -> Seen:
        """What the effect is judged by: the player's row as it is, without a lock, for nothing is handed over."""
        own = [
            Contact(one.at, channel, f"{request.run_id}/{one.step}")
            for one in await steps_of_verb(connection, request.run_id, "send")
            for channel in contact_channels(one.detail)
        ]
        player = await gate_facts.read_beside(
            connection,
            request.brand,
            request.player_id,
            request.beside,
            own,
            now,
            policies=self.policies,
            ways=self.ways,
        )
        if player is None:
            raise RunOver(request.run_id)
        rules = self.intake.rules.closing(await self.intake.closed.of(connection, request.brand))
        return Seen(
            now=now,
            policy=self.policies.of(request.brand, player.facts, now),
            product=self.product,
            rules=rules,
            templates=self.templates,
            state=player.state,
            facts=player.facts,
            beside=request.beside,
            decided={channel: what for one in before for channel, what in decided_channels(one.detail).items()},
        )

    async def _end(self, connection: AsyncConnection, end: End, now: datetime) -> Withheld:
        """Record the end; it succeeds without the player and without the run, or nothing could end the workflow."""
        async with self.intake.locked(connection, end.brand, [end.player_id], now) as players:
            for state in players.states.values():
                state.end_shadow(end.run_id)
        await end_shadow_run(connection, end, now)
        return Withheld(answer=Done().model_dump(mode="json"))


async def _with_entries(connection: AsyncConnection, request: Withhold, entry: StartJourney, seen: Seen) -> Seen:
    live = await recorded_outcome(connection, entry.model_copy(update={"run_id": request.beside}))
    entered = {
        journey: one.at
        for one in await steps_of_verb(connection, request.run_id, "start")
        if (journey := entered_journey(one.step, one.outcome)) is not None
    }
    return replace(seen, started=entered, started_beside=live and Started.model_validate(live.detail))


def _read(request: Withhold) -> EffectInput:
    """The effect that is withheld. Raises ApplicationError for one that only another release knows: it tries again."""
    kind = _INPUTS.get(request.effect)
    if kind is None:
        raise ApplicationError(f"This release withholds no effect {request.effect}; deploy the one that asks for it.")
    withheld: EffectInput = kind.model_validate({**request.request, "story": request.story})
    return withheld


def _final(before: Sequence[ShadowStep]) -> ShadowStep | None:
    """What an earlier attempt came to, of which Temporal never heard; a message that waits has come to nothing yet."""
    return next((one for one in before if one.outcome != WAITING), None)
