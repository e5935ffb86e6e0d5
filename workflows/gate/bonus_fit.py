"""How much bonus value fits a player: a share of what they paid in, and what fits everybody."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class BonusFit:
    """Within 30 days at most `percent` of what the player paid in, or `floor` of their currency where that is more.

    `floor` is written as {"EUR": 500}, in minor units; a currency that it leaves out has none.
    """

    percent: int
    floor: tuple[tuple[str, int], ...] | Mapping[str, int] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "floor", tuple(sorted(dict(self.floor).items())))

    def most(self, net_deposits: int, currency: str) -> int:
        """What fits a player who paid in so much; minor units."""
        return max(max(net_deposits, 0) * self.percent // 100, dict(self.floor).get(currency, 0))

    def __str__(self) -> str:
        floor = ", ".join(f"{amount} {currency}" for currency, amount in dict(self.floor).items())
        return f"{self.percent} %" + (f" or {floor}" if floor else "")
