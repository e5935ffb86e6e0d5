"""Finding what a deployment declares of loyalty, and what it declares in vain."""

import ast
from collections.abc import Collection, Iterable, Iterator
from types import ModuleType
from typing import Final, get_args

from workflows.loyalty.point_currencies import currency, earn
from workflows.loyalty.program import Declaration
from workflows.loyalty.raffles import raffle
from workflows.loyalty.shop_items import SHOP_ORDER, Shop, shop
from workflows.loyalty.tier_ladders import ladder
from workflows.loyalty.tournaments import tournament
from workflows.loyalty.wheels import wheel
from workflows.source.functions import resolve

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
