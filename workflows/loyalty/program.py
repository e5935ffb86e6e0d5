"""The loyalty program of a deployment: every declaration, by what can move it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from workflows.loyalty.point_currencies import EarnRule, PointCurrency
from workflows.loyalty.tier_ladders import Ladder
from workflows.rules.measures import Measure

#: A declaration that a module holds under a name.
Declaration = PointCurrency | EarnRule | Ladder


@dataclass(frozen=True)
class LoyaltyProgram:
    """What designers have declared of loyalty. An empty one costs nothing."""

    currencies: Mapping[str, PointCurrency] = field(default_factory=dict)
    #: By type of event.
    earn_rules: Mapping[str, tuple[EarnRule, ...]] = field(default_factory=dict)
    #: The ladder of the house; None: somebody else says which tier a player has.
    ladder: Ladder | None = None

    @property
    def measures(self) -> list[Measure]:
        """What is counted about a player for its sake."""
        return [] if self.ladder is None else self.ladder.measures

    @classmethod
    def of(cls, declarations: Iterable[Declaration]) -> "LoyaltyProgram":
        """The program of these declarations."""
        currencies: dict[str, PointCurrency] = {}
        by_type: dict[str, list[EarnRule]] = {}
        ladder: Ladder | None = None
        for one in declarations:
            match one:
                case PointCurrency():
                    currencies[one.name] = one
                case EarnRule():
                    by_type.setdefault(one.kind.type, []).append(one)
                    currencies.setdefault(one.currency.name, one.currency)
                case Ladder():
                    ladder = one
        return cls(
            dict(sorted(currencies.items())),
            {kind: tuple(sorted(rules, key=lambda rule: rule.name)) for kind, rules in sorted(by_type.items())},
            ladder,
        )


#: Nothing is declared.
NO_PROGRAM = LoyaltyProgram()


def mistakes_among(declarations: Iterable[Declaration]) -> Iterator[str]:
    """A sentence for each pair of declarations that cannot stand together."""
    currencies: dict[str, PointCurrency] = {}
    rules: dict[str, EarnRule] = {}
    ladders: list[Ladder] = []
    for one in declarations:
        if isinstance(one, Ladder):
            ladders.append(one)
            continue
        if isinstance(one, EarnRule) and rules.setdefault(one.name, one) is not one:
            yield f"Two earn rules are called {one.name}; give one of them a name= of its own."
        declared = one.currency if isinstance(one, EarnRule) else one
        if currencies.setdefault(declared.name, declared) != declared:
            yield f"The currency {declared.name} is declared twice and differently; share one declaration."
    if len(ladders) > 1:
        yield f"The ladders {ladders[0].name} and {ladders[1].name} both say which tier a player has; declare one."
