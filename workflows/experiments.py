"""`experiment`: players drawn into arms by chance, what success is, and what stops an arm by itself."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from workflows.declaration import Goal
from workflows.errors import DesignError
from workflows.events import Event
from workflows.experiment_draw import CONTROL
from workflows.rules.failures import RuleFailure
from workflows.rules.where import Where, passes, require_event_type

__all__ = ["experiment", "looks", "no_more"]

MOST_ARMS: Final = 8
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")


@dataclass(frozen=True)
class Guardrail:
    """What must not become more frequent in any arm than in the control arm."""

    kind: type[Event]
    where: Where | None = None

    def broken_by(self, event: Event, failures: list[RuleFailure]) -> bool:
        """Whether `event` is such harm; a `where` that raises says no."""
        return isinstance(event, self.kind) and passes(self.where, event, failures)


def no_more(kind: type[Event], *, where: Where | None = None) -> Guardrail:
    """Stop an arm when such events are shown to come to more of its players than to those of the control arm.

    Of `HarmSignal` a review of signs that the engine derives itself counts too, whatever `where` says.
    """
    return Guardrail(require_event_type(kind, "no_more"), where)


@dataclass(frozen=True)
class LookPlan:
    """When the goal is judged, and how large an effect the experiment is to find."""

    every: timedelta
    #: The share of the control arm that is expected to reach the goal, and the rise to be found, in percent points.
    base: float
    detect: float
    power: float
    at_most: timedelta


def looks(
    every: timedelta, *, base: float, detect: float, power: float = 0.8, at_most: timedelta = timedelta(days=90)
) -> LookPlan:
    """Say beforehand when the goal is looked at and what is to be found: `base` percent reach it, `detect` points more.

    From these follows how many players it takes. Between two looks nothing is decided about the goal, so that looking
    often fools nobody; harm is watched all the time.
    """
    if every <= timedelta(0) or at_most < every:
        raise DesignError("looks(...) needs a positive time between two looks, and at_most= of at least that.")
    if not (0 < base < 100 and 0 < detect <= 100 - base and 0.5 <= power < 1):
        raise DesignError("looks(...) takes base= and detect= in percent, such as base=22, detect=5, and power=0.8.")
    return LookPlan(every, base, detect, power, at_most)


@dataclass(frozen=True, eq=False)
class Experiment:
    """An experiment as its designer declared it."""

    name: str
    version: int
    #: The planned share of each arm, in percent.
    arms: Mapping[str, int]
    goal: Goal
    guardrails: tuple[Guardrail, ...]
    plan: LookPlan | None

    @property
    def treatments(self) -> list[str]:
        """The arms that something is tried on."""
        return [arm for arm in self.arms if arm != CONTROL]

    @property
    def settings(self) -> tuple[object, ...]:
        """What may not differ under one version."""
        return (dict(self.arms), self.goal.kind.type, self.goal.within, tuple(one.kind.type for one in self.guardrails))


def experiment(
    name: str,
    *,
    version: int = 1,
    arms: Mapping[str, int],
    goal: Goal,
    guardrails: Sequence[Guardrail] = (),
    plan: LookPlan | None = None,
) -> Experiment:
    """Declare an experiment at the top of a module of journeys; a journey asks `await player.arm(it)`.

    Args:
        name: what it is called for ever; lower case, digits and `-`.
        version: another one draws everybody anew. Whoever was drawn stays in their arm, whatever `arms` says later.
        arms: percent of each, 100 together; one is `control`, which gets what players get anyway.
        goal: what success is, counted from the moment a player is drawn.
        guardrails: harm that stops an arm by itself.
        plan: when the goal is looked at; without one every look holds, and it takes longer to know.

    Raises `DesignError` where a value cannot be meant. Change arms, goal or guardrails only with a new version: results
    of two experiments under one name are results of neither.
    """
    at = f"experiment({name!r})"
    if not _NAME.fullmatch(name):
        raise DesignError(f"{at}: its name takes a-z, 0-9 and '-', begins with a letter and has at most 64 of them.")
    if not 1 <= version <= 1_000_000:
        raise DesignError(f"{at}: version= counts from 1.")
    # "held" is what every step comes to that meets a hold.
    wrong = [arm for arm in arms if not _NAME.fullmatch(arm) or arm == "held"]
    if wrong or CONTROL not in arms or not 2 <= len(arms) <= MOST_ARMS:
        raise DesignError(f"{at}: arms= names 2 to {MOST_ARMS} arms, such as push=50, and one of them is {CONTROL!r}.")
    if any(share < 1 or share != int(share) for share in arms.values()) or sum(arms.values()) != 100:
        raise DesignError(f"{at}: arms= are whole percent above 0 and 100 together, not {sum(arms.values())}.")
    if goal.same is not None:
        raise DesignError(f"{at}: its goal is counted from when a player is drawn and takes no same=.")
    return Experiment(name, version, dict(arms), goal, tuple(guardrails), plan)
