"""Finding what a deployment declares of loyalty, and what it declares in vain."""

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Final, get_args

from workflows.declaration import Journey
from workflows.loyalty.point_currencies import currency, earn
from workflows.loyalty.program import Declaration
from workflows.loyalty.raffles import raffle
from workflows.loyalty.shop_items import SHOP_ORDER, Shop, shop
from workflows.loyalty.tier_ladders import Ladder, ladder
from workflows.loyalty.tournaments import tournament
from workflows.loyalty.wheels import wheel
from workflows.rewards import tier_upgrade
from workflows.source.functions import names_around, resolve

#: What declares something that only its name in the module lets anybody find.
_DECLARING: Final = (currency, earn, ladder, raffle, shop, tournament, wheel)


def declared_loyalty(modules: Iterable[ModuleType]) -> list[Declaration]:
    """Every declaration that a module holds under a name, alone or in a list, each once."""
    found: dict[int, Declaration] = {}
    for module in modules:
        for one in vars(module).values():
            for each in one if isinstance(one, list | tuple) else [one]:
                if isinstance(each, get_args(Declaration)):
                    found[id(each)] = each
    return [*found.values()]


def undelivered(declarations: Iterable[Declaration], journeys: Collection[str]) -> Iterator[str]:
    """A sentence for what a shop sells and nothing would ever bring."""
    for one in declarations:
        ordered = [each.name for each in one.items if not each.settles_here] if isinstance(one, Shop) else []
        if ordered and SHOP_ORDER not in journeys:
            yield (
                f"The shop {one.name} sells {', '.join(ordered)}, which the journey {SHOP_ORDER} brings and nobody "
                f"plays; name it in SHIPPED_JOURNEYS."
            )


def asks_engine_for_a_tier(journey: Journey, verb_calls: Mapping[ast.Call, str]) -> int | None:
    """The line where a journey asks the bonus engine for a tier; None where it does not."""
    function: Any = journey.function
    names = names_around(function)
    for call, verb in verb_calls.items():
        reward = call.args[0] if verb == "grant" and call.args else None
        if isinstance(reward, ast.Call) and resolve(reward.func, names) is tier_upgrade:
            return call.lineno
    return None


def has_ladder(declarations: Sequence[Declaration]) -> bool:
    """Whether a deployment itself says which tier a player has."""
    return any(isinstance(one, Ladder) for one in declarations)


def two_givers_of_tiers(declarations: Sequence[Declaration], journeys: Mapping[str, int]) -> Iterator[str]:
    """A sentence for each of the journeys that asks the bonus engine for a tier where a ladder says who has which."""
    ladder_name = next((one.name for one in declarations if isinstance(one, Ladder)), None)
    for name, line in journeys.items() if ladder_name is not None else ():
        yield (
            f"Journey {name}, line {line}: it asks the bonus engine for a tier, and the ladder {ladder_name} says "
            "who has which; write player.award(tier_upgrade(...))."
        )


def nameless_loyalty(tree: ast.Module, module: ModuleType) -> Iterator[str]:
    """A sentence for each declaration that stands alone on its line: nobody would ever find it."""
    for node in tree.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called = resolve(node.value.func, vars(module))
            if any(called is one for one in _DECLARING):
                word = getattr(called, "__name__", "")
                yield (
                    f"{module.__name__}, line {node.lineno}: {word}(...) stands alone and nobody finds it; give it a "
                    f"name, such as wagering = {word}(...)."
                )
