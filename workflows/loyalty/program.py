"""The loyalty program of a deployment: every declaration, by what can move it."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from workflows.loyalty.missions import Collection, PlayerMission, Step
from workflows.loyalty.point_currencies import EarnRule, PointCurrency
from workflows.loyalty.raffles import Raffle
from workflows.loyalty.shop_items import Shop, ShopItem
from workflows.loyalty.tier_ladders import Ladder
from workflows.loyalty.tournaments import Instance, Tournament
from workflows.loyalty.wheels import Wheel
from workflows.rewards import RewardBase
from workflows.rules.measures import Measure

#: A declaration that a module holds under a name.
Declaration = PointCurrency | EarnRule | Ladder | PlayerMission | Collection | Wheel | Tournament | Shop | Raffle


@dataclass(frozen=True)
class LoyaltyProgram:
    """What designers have declared of loyalty. An empty one costs nothing."""

    currencies: Mapping[str, PointCurrency] = field(default_factory=dict)
    #: By type of event.
    earn_rules: Mapping[str, tuple[EarnRule, ...]] = field(default_factory=dict)
    #: The ladder of the house; None: somebody else says which tier a player has.
    ladder: Ladder | None = None
    missions: Mapping[str, PlayerMission] = field(default_factory=dict)
    collections: Mapping[str, Collection] = field(default_factory=dict)
    wheels: Mapping[str, Wheel] = field(default_factory=dict)
    tournaments: Mapping[str, Tournament] = field(default_factory=dict)
    #: What all shops sell, by name.
    shop: Mapping[str, ShopItem] = field(default_factory=dict)
    raffles: Mapping[str, Raffle] = field(default_factory=dict)

    @cached_property
    def tournaments_about(self) -> Mapping[str, Sequence[Tournament]]:
        """By type of event: the tournaments that it may score in."""
        about: dict[str, list[Tournament]] = {}
        for one in self.tournaments.values():
            about.setdefault(one.measure.kind.type, []).append(one)
        return about

    @cached_property
    def missions_about(self) -> Mapping[str, Sequence[PlayerMission]]:
        """By type of event: the missions that it may move."""
        about: dict[str, list[PlayerMission]] = {}
        for one in self.missions.values():
            for kind in one.kinds:
                about.setdefault(kind.type, []).append(one)
        return about

    @cached_property
    def only_steps_about(self) -> Mapping[str, Mapping[str, Step]]:
        """By type of event and mission: the only step of one that is done by a number, for all who may see it."""
        about: dict[str, dict[str, Step]] = {}
        for one in self.missions.values():
            if len(one.steps) == 1 and not one.control and one.steps[0].measure.how != "distinct":
                about.setdefault(one.steps[0].measure.kind.type, {})[one.name] = one.steps[0]
        return about

    def instance_named(self, instance: str) -> tuple[Tournament, Instance] | None:
        """The instance of this id, past, present or to come, and whose it is."""
        declared = self.tournaments.get(instance.partition(":")[0])
        found = None if declared is None else declared.named(instance)
        return None if declared is None or found is None else (declared, found)

    def seat_named(self, instance: str, now: datetime) -> tuple[Tournament, Instance] | None:
        """The same of an instance that a player may have a seat in: the newest one, or the next."""
        found = self.instance_named(instance)
        if found is None:
            return None
        declared, named = found
        newest = declared.newest(now)
        return found if named in {newest, declared.next(newest)} else None

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
        missions: dict[str, PlayerMission] = {}
        collections: dict[str, Collection] = {}
        wheels: dict[str, Wheel] = {}
        tournaments: dict[str, Tournament] = {}
        sold: dict[str, ShopItem] = {}
        raffles: dict[str, Raffle] = {}
        for one in declarations:
            match one:
                case PointCurrency():
                    currencies[one.name] = one
                case EarnRule():
                    by_type.setdefault(one.kind.type, []).append(one)
                    currencies.setdefault(one.currency.name, one.currency)
                case Ladder():
                    ladder = one
                case PlayerMission():
                    missions[one.name] = one
                case Collection():
                    collections[one.name] = one
                case Wheel():
                    wheels[one.name] = one
                case Tournament():
                    tournaments[one.name] = one
                case Shop():
                    sold |= {each.name: each for each in one.items}
                    currencies.setdefault(one.paid_in.name, one.paid_in)
                case Raffle():
                    raffles[one.name] = one
        return cls(
            dict(sorted(currencies.items())),
            {kind: tuple(sorted(rules, key=lambda rule: rule.name)) for kind, rules in sorted(by_type.items())},
            ladder,
            dict(sorted(missions.items())),
            dict(sorted(collections.items())),
            dict(sorted(wheels.items())),
            dict(sorted(tournaments.items())),
            dict(sorted(sold.items())),
            dict(sorted(raffles.items())),
        )


#: Nothing is declared.
NO_PROGRAM = LoyaltyProgram()


def mistakes_among(declarations: Iterable[Declaration]) -> Iterator[str]:
    """A sentence for each pair of declarations that cannot stand together, and each prize that nobody declared."""
    declarations = [*declarations]
    yield from _unknown_prizes(declarations)
    currencies: dict[str, PointCurrency] = {}
    rules: dict[str, EarnRule] = {}
    ladders: list[Ladder] = []
    named: dict[tuple[type, str], Declaration] = {}
    shops: list[Shop] = []
    for one in declarations:
        if isinstance(one, Shop):
            shops.append(one)
            one = one.paid_in  # noqa: PLW2901 - its currency is declared once too
        if isinstance(one, Ladder):
            ladders.append(one)
            continue
        if isinstance(one, PlayerMission | Collection | Wheel | Tournament | Raffle):
            if named.setdefault((type(one), one.name), one) is not one:
                yield f"Two missions, collections, wheels, tournaments or raffles are called {one.name}; rename one."
            continue
        if isinstance(one, EarnRule) and rules.setdefault(one.name, one) is not one:
            yield f"Two earn rules are called {one.name}; give one of them a name= of its own."
        declared = one.currency if isinstance(one, EarnRule) else one
        if currencies.setdefault(declared.name, declared) != declared:
            yield f"The currency {declared.name} is declared twice and differently; share one declaration."
    if len(ladders) > 1:
        yield f"The ladders {ladders[0].name} and {ladders[1].name} both say which tier a player has; declare one."
    yield from _mistakes_of_shops(shops, ladders)


def _mistakes_of_shops(shops: Sequence[Shop], ladders: Sequence[Ladder]) -> Iterator[str]:
    items = [one for each in shops for one in each.items]
    for name in sorted({one.name for one in items if sum(other.name == one.name for other in items) > 1}):
        yield f"Two shops sell {name}; an item has one address, so rename one."
    paid = {one.paid_in.name for one in shops}
    for one in items:
        if isinstance(one.gives, RewardBase) and one.gives.awarded_points and one.into and one.into.name in paid:
            yield f"The item {one.name} sells {one.into.name}, which a shop is paid in: players would turn them round."
        if one.tier and all(one.tier not in {each.name for each in ladder.tiers} for ladder in ladders[:1]):
            yield f"The item {one.name} is sold from the tier {one.tier} on, and no ladder has it; declare a ladder."


def _unknown_prizes(declarations: Sequence[Declaration]) -> Iterator[str]:
    program = LoyaltyProgram.of(declarations)
    tiers = [] if program.ladder is None else [one.name for one in program.ladder.tiers]
    missions = [name for name, one in program.missions.items() if one.opt_in]
    giving: list[Wheel | Raffle] = [*program.wheels.values(), *program.raffles.values()]
    for one in giving:
        for prize in one.prizes:
            named: list[tuple[str | None, Container[str]]] = [
                (prize.opened_mission, missions),
                (None if prize.tickets is None else prize.tickets[0], program.raffles),
                (None if prize.lifts_to is None else prize.lifts_to[0], tiers),
            ]
            for name, known in named:
                if name is not None and name not in known:
                    yield (
                        f"{one.name} gives a {prize.name} of {name}, which is nothing here that can be given; declare "
                        "it, a mission with opt_in=True."
                    )
