"""`@journey`: from one async function to a durable workflow."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, get_args

from workflows.declaration import MOST_PRIORITY, USUAL_PRIORITY, Entry, Goal, Journey, JourneyFunction, once
from workflows.errors import DesignError
from workflows.events import Event
from workflows.field_types import BRAND, Product
from workflows.local_time import hours
from workflows.player import Player
from workflows.rules.triggers import On, Trigger
from workflows.rules.triggers import on as trigger_on
from workflows.run import JourneyRun
from workflows.workflow_class import workflow_class

__all__ = ["journey"]


def journey(
    *triggers: Trigger,
    ends_after: timedelta,
    entry: Entry = once,
    goal: Goal | None = None,
    exit_on: Sequence[type[Event] | Trigger] = (),
    control: int = 0,
    late_after: timedelta = hours(24),
    listens: Sequence[type[Event]] = (),
    waives: Mapping[str, str] | None = None,
    brands: Sequence[str] = (),
    product: Product | None = None,
    vip: bool = False,
    earned: bool = False,
    one_of: str | None = None,
    priority: int = USUAL_PRIORITY,
    budget: Mapping[str, int] | None = None,
    approval: str | None = None,
) -> Callable[[JourneyFunction], type[JourneyRun]]:
    """Make a journey of an async function `(player, trigger event)`.

    Args:
        triggers: what starts it, any of nine kinds: `on(...)` (`entered(...)` and `left(...)` are such), `milestone`,
            `streak`, `inactive`, `threshold`, `streak_of_days`, `birthday`, `anniversary`, `schedule`. Without any it
            starts only by hand or from another journey.
        ends_after: a run is over this long after entry, wherever it stands.
        entry: how often one player may enter: `once`, `always`, `every(period)`, `per(field)`.
        goal: what success is; measured in both arms, it ends nothing.
        exit_on: events that end the run at once.
        control: percent of players who play it without its marketing and bonuses, to compare with.
        late_after: a trigger older than this when we learn of it enters nobody.
        listens: event types the code waits for that cannot be read off it.
        waives: rules of `journeys check` that this journey breaks on purpose, each with its reason.
        brands: whose players may enter; those of every brand unless given.
        product: the kind of gambling it is about: casino, betting, bingo or lottery; the deployment's unless given.
        vip: whether what it gives is a VIP reward, for which laws ask more of what is known of the player.
        earned: whether what it gives is the player's due and no offer, such as what was paid for with points.
        one_of: the name of a group of journeys of which a player plays one at a time.
        priority: who goes first, 0 to 100. One of a group ends the runs of lower ones in it as `outranked`, and is
            not entered while one as high is under way: that entry does not count, and is shown with its reason.
        budget: by currency ("EUR") the bonus value that it may give all players together in a day (UTC), minor units.
        approval: the team that is asked when a reward would exceed a budget, the player's, its own or the brand's;
            without it such a reward is refused.

    Raises `DesignError` where a value cannot be meant.

    The function becomes a workflow class under its own name and module, so there is one journey
    of a name and its module must be importable without side effects. A run in flight replays the
    function: changing the order of its verbs breaks it unless guarded by `workflow.patched`.
    """

    def build(function: JourneyFunction) -> type[JourneyRun]:
        name = function.__name__
        _check(function, ends_after, control)
        definition = Journey(
            name=name,
            function=function,
            triggers=tuple(trigger_on(trigger) for trigger in triggers),
            entry=entry,
            goal=goal,
            exit_on=tuple(_exit(name, rule) for rule in exit_on),
            ends_after=ends_after,
            control=control,
            late_after=late_after,
            listens=frozenset(listens),
            waives=dict(waives or {}),
            brands=_brands(name, brands),
            product=_product(name, product),
            vip=vip,
            earned=earned,
            one_of=_group(name, one_of),
            priority=_priority(name, priority),
            budget=_budget(name, budget or {}),
            approval=approval,
        )
        return workflow_class(definition, Player)

    return build


def _check(function: JourneyFunction, ends_after: timedelta, control: int) -> None:
    name = function.__name__
    if not inspect.iscoroutinefunction(function):
        raise DesignError(f"Journey {name} must be an async function: write `async def {name}`.")
    if not name.isascii():
        raise DesignError(f"Journey {name}: its name travels in ids and headers; use ASCII letters.")
    if not 0 <= control <= 100:
        raise DesignError(f"Journey {name}: control is a percentage from 0 to 100, not {control}.")
    if not isinstance(ends_after, timedelta):
        raise DesignError(f"Journey {name}: ends_after must be a duration such as days(14), not {ends_after!r}.")
    if ends_after <= timedelta(0):
        raise DesignError(f"Journey {name}: ends_after must be a positive duration.")


def _brands(name: str, brands: Sequence[str]) -> frozenset[str]:
    wrong = [brands] if isinstance(brands, str) else [one for one in brands if not re.fullmatch(BRAND, one)]
    if wrong:
        raise DesignError(
            f"Journey {name}: brands= takes a list of brands, each of 1 to 32 of the characters a-z, 0-9 and '-', "
            f"not {wrong[0]!r}."
        )
    return frozenset(brands)


def _product(name: str, product: Product | None) -> Product | None:
    if product not in {None, *get_args(Product)}:
        raise DesignError(f"Journey {name}: product= is one of {', '.join(get_args(Product))}, not {product!r}.")
    return product


def _group(name: str, one_of: str | None) -> str | None:
    if one_of is not None and not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", one_of):
        raise DesignError(f'Journey {name}: one_of= is a name such as "offers", not {one_of!r}.')
    return one_of


def _priority(name: str, priority: object) -> int:
    if isinstance(priority, bool) or not isinstance(priority, int) or not 0 <= priority <= MOST_PRIORITY:
        raise DesignError(f"Journey {name}: priority= is a whole number from 0 to {MOST_PRIORITY}, not {priority!r}.")
    return priority


def _budget(name: str, budget: Mapping[str, Any]) -> Mapping[str, int]:
    for currency, most in budget.items():
        if not re.fullmatch(r"[A-Z]{3}", currency) or isinstance(most, bool) or not isinstance(most, int) or most < 0:
            raise DesignError(
                f'Journey {name}: budget= gives a currency its minor units a day, such as {{"EUR": 50_000}}, '
                f"not {currency!r}: {most!r}."
            )
    return dict(budget)


def _exit(name: str, rule: type[Event] | Trigger) -> On:
    exit_rule = trigger_on(rule)
    if not isinstance(exit_rule, On):
        raise DesignError(f"Journey {name}: exit_on takes event types and on(...), not {exit_rule.key}.")
    return exit_rule
