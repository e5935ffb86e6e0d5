"""The world in memory: its state, its runs on a virtual Temporal, and the clock they share.

It implements the effects contract of `workflows/effects.py` and asks the same pure functions as production:
`PlayerState` decides who enters, wakes and stops, `policy` decides what may be sent and granted.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Self

from pydantic import BaseModel
from temporalio.worker import WorkflowRunner

from content.template_files import TemplateFacts
from stage.errors import StageError
from stage.virtual_temporal.server import SUGGEST_CONTINUE_AS_NEW, Latency, StageRun, VirtualTemporal, at_once
from stage.world.effects import Effects
from stage.world.faults import Faults
from stage.world.player_buttons import Button, press
from stage.world.records import Chance, RunRecord, ShadowRunRecord
from stage.world.shop import buy_item
from stage.world.state import BRAND, Answers, WorldState, nobody
from workflows.effects import EffectInput
from workflows.field_types import Product
from workflows.gate.policies import HOUSE
from workflows.gate.policy import Policy
from workflows.gate.policy_book import PolicyBook
from workflows.source.journey_loading import Registry
from workflows.temporal_internals import object_of


class World(WorldState):
    """A casino of its own, at a moment of its own.

    Args:
        registry: the journeys of this casino.
        templates: what class each template is; sending an unknown one is an error.
        now: the moment it begins at.
        policy: the house's numbers of the gate; those of the engine unless given. The policy of the player's
            jurisdiction applies besides.
        product: what a journey is about that does not say so.
        answers: how people answer tasks; nobody does unless given.
        faults: how providers fail; they never do unless given.
        latency: how long an attempt of an effect takes; no time unless given.
        control: every journey's control share in percent, instead of its own.
        seed: another one gives the runs another chance, where they use any.
        brand: a part of every run's id, so that arms and splits fall as for this brand in production, and whose
            journeys are played; those of all brands unless given.
        runner: how the SDK runs a journey; without its sandbox unless given.
        on_effect: hears every effect with its input and its result.
        suggest_after: the length of a history at which a run is told to begin a new chapter; a server's unless given.

    A mistake in a journey's code is raised as StageError from whichever call moved the clock. Give runs that are
    still open back with `close()`, or use the world as a context manager.
    """

    def __init__(
        self,
        registry: Registry,
        templates: Mapping[str, TemplateFacts],
        now: datetime,
        *,
        policy: Policy | None = None,
        answers: Answers = nobody,
        faults: Faults | None = None,
        latency: Latency = at_once,
        control: int | None = None,
        seed: int = 0,
        brand: str = BRAND,
        runner: WorkflowRunner | None = None,
        on_effect: Callable[[datetime, str, EffectInput, BaseModel], None] | None = None,
        suggest_after: int = SUGGEST_CONTINUE_AS_NEW,
        product: Product = "casino",
    ) -> None:
        played = registry if control is None else with_control(registry, control)
        if brand == BRAND:
            played = for_every_brand(played)
        temporal = VirtualTemporal(
            played.workflows,
            Effects(self).perform,
            now,
            seed=seed,
            runner=runner,
            latency=latency,
            step_of=self._step_of,
            closed=self._closed,
            suggest_after=suggest_after,
        )
        super().__init__(
            played,
            templates,
            temporal,
            policies=PolicyBook(policy or HOUSE, own=played.policies),
            product=product,
            answers=answers,
            faults=faults,
            brand=brand,
            on_effect=on_effect,
        )
        self.chance = Chance(seed)
        self.purchases = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take down every run that is still open; the records stay."""
        self.temporal.close()

    def advance_to(self, until: datetime) -> None:
        """Let time pass."""
        self.temporal.advance_to(until)

    def press(self, player_id: str, button: Button, name: str, *, key: str = "", client_seed: str = "") -> str | None:
        """A player presses a button of a mission, a tournament or a wheel now; why it was not done, None if it was."""
        return press(self, player_id, button, name, key=key, client_seed=client_seed)

    def rival(self, tournament: str, name: str, score: int) -> None:
        """Somebody made up has this score in the present instance of a tournament."""
        self.boards.rival(tournament, name, score)

    def buy(self, player_id: str, item: str) -> str | None:
        """A player buys an item of the shop now for what it costs; why it was not sold, None if it was."""
        return buy_item(self, player_id, item)

    def finish(self) -> None:
        """Let time pass until nothing more is due."""
        self.temporal.finish()

    # ---- what the virtual Temporal asks and reports ----------------------------------------------

    def _step_of(self, run: StageRun) -> str | None:
        """The last step a run is known to have reached: one it has recorded itself, or one that had an effect."""
        unsent = getattr(object_of(run.instance), "story", None)
        if unsent:
            step: str = unsent[-1].step
            return step
        record = self._record_of(run)
        return None if record is None else record.step

    def _record_of(self, run: StageRun) -> RunRecord | ShadowRunRecord | None:
        return self.runs.get(run.workflow_id) or self.shadow_runs.get(run.workflow_id)

    def _closed(self, run: StageRun) -> None:
        """A run that fails without recording its end keeps its player in it for ever: that is a mistake."""
        record = self._record_of(run)
        if run.status != "failed" or record is None or record.outcome is not None:
            return
        cause = self.temporal.failure_of(run)
        step = self._step_of(run)
        raise StageError(
            f"{run.workflow_type} failed in run {run.workflow_id} at {self.now.isoformat()}"
            + (f" after step {step}" if step else "")
            + f": {type(cause).__name__}: {cause}. Catch what may be expected; this player could never leave the run."
        ) from cause


def with_control(registry: Registry, percent: int) -> Registry:
    """The same journeys with another share of players in their control arms."""
    return replace(registry, journeys={n: replace(j, control=percent) for n, j in registry.journeys.items()})


def for_every_brand(registry: Registry) -> Registry:
    """The same journeys, open to the players of a stage that is no brand's."""
    return replace(registry, journeys={n: replace(j, brands=frozenset()) for n, j in registry.journeys.items()})
