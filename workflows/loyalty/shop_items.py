"""`shop` and `item`: what players may buy for points, how many there are, and who may buy how often."""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Final, Literal

from workflows.errors import LoyaltyDesignError
from workflows.field_types import Product
from workflows.loyalty.missions import Badge, Piece
from workflows.loyalty.point_currencies import MOST_A_DAY, PointCurrency
from workflows.rewards import RewardBase
from workflows.rules.measures import Period
from workflows.rules.segments import Statistics

__all__ = ["item", "shop"]

#: The journey that delivers what is not settled in the purchase itself.
SHOP_ORDER: Final = "shop_order"
MOST_ITEMS: Final = 200
#: What an item that no shop sells is paid in.
NO_CURRENCY: Final = PointCurrency("")
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

#: Why an item is not sold, in the order in which it is asked; the gate's own reasons come besides.
PurchaseRefusal = Literal[
    "unknown",
    "price_changed",
    "not_visible",
    "not_open_yet",
    "over",
    "tier_too_low",
    "limit_reached",
    "not_enough_points",
    "closed",
    "too_many_orders",
    "out_of_stock",
]


@dataclass(frozen=True, eq=False)
class ShopItem:
    """A thing in the shop as its designer declared it. `stock` None: there is always one more."""

    name: str
    gives: RewardBase | Badge | Piece
    price: int
    stock: int | None
    #: So many a player in a period of the player's calendar; 0: any number. `per` None: ever.
    each: int
    per: Period | None
    tier: str
    seen_by: Callable[[Statistics], bool] | None
    since: datetime | None
    until: datetime | None
    product: Product | None
    #: What its points go into, where it gives points or a time in which they count more.
    into: PointCurrency | None
    #: What it is paid in, which its shop says.
    paid_in: PointCurrency = NO_CURRENCY

    @property
    def kind(self) -> str:
        """What the gate is asked about."""
        match self.gives:
            case Badge():
                return "badge"
            case Piece():
                return "piece"
            case _:
                return self.gives.name

    @property
    def settles_here(self) -> bool:
        """Whether the purchase itself gives it; all else is delivered by a journey."""
        return not isinstance(self.gives, RewardBase) or bool(self.gives.awarded_points or self.gives.boost)

    @property
    def pays_with(self) -> frozenset[str | None] | None:
        """The products whose points buy it, points that are open to all among them; None: any points do.

        What is won in one kind of gambling never pays for another; a thing is no gambling.
        """
        return None if self.product is None else frozenset({self.product, None})

    @cached_property
    def version(self) -> str:
        """What a player agreed to buy, as a few letters, copied into the purchase."""
        gives = self.gives.model_dump_json() if isinstance(self.gives, RewardBase) else repr(self.gives)
        said = f"{self.price}{gives}{self.product}"
        return hashlib.sha256(said.encode()).hexdigest()[:12]


def stock_of(item: str) -> str:
    """The name of an item's stock among what all players share."""
    return f"shop:{item}"


def item(
    name: str,
    gives: RewardBase | Badge | Piece,
    *,
    price: int,
    stock: int | None = None,
    each: int = 0,
    per: Period | None = None,
    tier: str = "",
    seen_by: Callable[[Statistics], bool] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    product: Product | None = None,
    into: PointCurrency | None = None,
) -> ShopItem:
    """A thing that a shop sells for `price` points: a reward, a parcel (`gift`), a badge or a piece.

    `stock` is how many there are in all; `each` how many one player may buy, in all or `per` day, week or month of
    theirs. From `tier` on it may be bought, `seen_by` says who sees it, and it is sold in [since, until). `product` is
    the kind of gambling it is for, where the reward does not say so. Raises `LoyaltyDesignError`.
    """
    own = gives.product if isinstance(gives, RewardBase) else None
    if own is not None and product not in {None, own}:
        raise LoyaltyDesignError(f"item({name!r}) is for {own} by its reward; drop product={product!r}.")
    made = ShopItem(name, gives, price, stock, each, per, tier, seen_by, since, until, own or product, into)
    for mistake in _mistakes_of(made):
        raise LoyaltyDesignError(f"item({name!r}) {mistake}")
    return made


def _mistakes_of(made: ShopItem) -> Iterator[str]:
    since, until = made.since, made.until
    if not NAME.fullmatch(made.name):
        yield "needs a name of small letters, digits, - and _, which is its address."
    if not 0 < made.price <= MOST_A_DAY:
        yield f"costs {made.price}; ask for 1 to {MOST_A_DAY:,} points."
    if (made.stock is not None and made.stock < 1) or made.each < 0:
        yield "needs a stock= of 1 or more and an each= that is not below 0."
    if made.per is not None and not made.each:
        yield f"says per={made.per.name} and not how many; add each=1."
    if any(one is not None and one.tzinfo is None for one in (since, until)):
        yield "is sold in [since, until); say the zone of both, such as tzinfo=UTC."
    elif since is not None and until is not None and until <= since:
        yield "is over before it is sold; until= comes after since=."
    if made.settles_here and isinstance(made.gives, RewardBase) and made.into is None:
        yield f"gives {made.gives.name}; say into which currency, such as into=house_points."
    if isinstance(made.gives, RewardBase) and made.gives.boost is not None and made.product is None:
        yield "makes points count more; say of which kind of gambling, such as product='casino'."


@dataclass(frozen=True, eq=False)
class Shop:
    """A shop as its designer declared it."""

    name: str
    items: tuple[ShopItem, ...]
    paid_in: PointCurrency


def shop(name: str, *items: ShopItem, paid_in: PointCurrency) -> Shop:
    """Declare a shop: what it sells, and the currency of points that pays for it. Raises `LoyaltyDesignError`."""
    at = f"shop({name!r})"
    if not 1 <= len(items) <= MOST_ITEMS or len({one.name for one in items}) != len(items):
        raise LoyaltyDesignError(f"{at} needs 1 to {MOST_ITEMS} items, each of another name.")
    turned = [one.name for one in items if isinstance(one.gives, RewardBase) and one.gives.awarded_points]
    if any(one.into == paid_in for one in items if one.name in turned):
        raise LoyaltyDesignError(f"{at} sells {paid_in.name} for {paid_in.name}: {', '.join(turned)}.")
    return Shop(name, tuple(replace(one, paid_in=paid_in) for one in items), paid_in)
