"""What every reward has, what one may cost, and how a wrong one is refused where it is written.

Money is integer minor units of the player's currency, percent is whole percent, wagering is how many times the
bonus must be staked, time is `timedelta` (whole seconds on the wire).
"""

from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Final, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from workflows.errors import RewardDesignError
from workflows.field_types import Id, Product, Seconds

__all__ = ["USUAL_VALIDITY", "USUAL_WAGER", "Cost", "Deposits", "RewardBase"]

#: The United Kingdom's ceiling since 19 January 2026 (LCCP SR 5.1.1), and so the default where one is needed.
USUAL_WAGER: Final = 10
USUAL_VALIDITY: Final = timedelta(days=7)
#: What the house keeps of a stake, on average.
HOUSE_EDGE: Final = 0.04
#: What a reward is worth hangs on no moment where no deposits are looked at.
_NO_MOMENT: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _lasting(duration: timedelta) -> timedelta:
    if not timedelta(minutes=1) <= duration <= timedelta(days=366):
        raise ValueError("should last between a minute and 366 days")
    return duration


Amount = Annotated[int, Field(ge=1, le=10**12)]
Ids = Annotated[tuple[Id, ...], Field(max_length=100)]
Wager = Annotated[int, Field(ge=0, le=100)]
Percent = Annotated[int, Field(ge=1, le=100)]
Window = Annotated[Seconds, AfterValidator(_lasting)]


@dataclass(frozen=True)
class Cost:
    """In minor units; None where it cannot be said. `how` is the rule, as a phrase."""

    most: int | None
    expected: int | None
    how: str


#: One player's approved deposits: when, in order, and how much in minor units.
Deposits: TypeAlias = tuple[Sequence[datetime], Sequence[int]]


@dataclass(frozen=True)
class Boost:
    """Points of these games, or of all, count `factor` percent for so long."""

    factor: int
    lasts: timedelta
    games: tuple[str, ...] = ()


class RewardBase(BaseModel):
    """What every reward has; use one of its kinds.

    An unknown field is an error: a worker that dropped a newer limit would give more than was meant. Fields travel in
    the order they stand in, and a bonus engine may refuse other bytes under the same key: a new one comes last.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: The kind of gambling it can be used on; None: whatever its terms say.
    product: ClassVar[Product | None] = None
    #: Whether it is for a deposit that comes after it, so that its cost hangs on that.
    for_deposit: ClassVar[bool] = False
    #: Whether it is what a player has earned and no offer: control groups and holdouts get it too.
    earned: ClassVar[bool] = False
    #: Whether it is given here and at once, and no bonus engine hears of it, where a wheel or `award` gives it.
    settled_here: ClassVar[bool] = False
    #: Which terms the player reads; `terms-<kind>` unless said otherwise.
    terms: Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]*$")] = ""
    #: How long the player may take and use it, from the moment it is offered. Whole seconds on the wire.
    valid: Window = USUAL_VALIDITY

    @model_validator(mode="before")
    @classmethod
    def _own_terms(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and not data.get("terms"):
            return {**data, "terms": f"terms-{cls.model_fields['kind'].default}"}
        return data

    @property
    def name(self) -> str:
        """The step's name in a run's story, which is the kind: `grant:free_spins#1`."""
        return str(getattr(self, "kind", ""))

    @property
    def awarded_points(self) -> int:
        """The points that `award` gives for it without the bonus engine; 0 where only the engine can give it."""
        return 0

    @property
    def boost(self) -> "Boost | None":
        """The time in which points count more, where `multiply` gives it without the bonus engine."""
        return None

    @property
    def opened_mission(self) -> str | None:
        """The mission that it begins, by name."""
        return None

    @property
    def tickets(self) -> tuple[str, int] | None:
        """The raffle that it gives tickets of, and how many."""
        return None

    @property
    def lifts_to(self) -> tuple[str, timedelta | None] | None:
        """The tier that it lifts to, and for how long at least; None: until the next review."""
        return None

    @abstractmethod
    def cost(self, granted_at: datetime, deposits: Deposits) -> Cost:
        """What it may cost, granted at that moment to a player with these deposits, later ones included.

        Nobody's play is in a log of payments, so the expected cost is a reckoning and carries its rule. It assumes
        that the reward is taken and played to its end: what players leave unused makes the real cost lower.
        """


class RewardWithoutCost(RewardBase):
    """What every reward shares that gives no money; use one of its kinds."""

    def cost(self, granted_at: datetime, deposits: Deposits) -> Cost:  # noqa: ARG002 - whenever, to whomever
        """No money."""
        return Cost(0, 0, "no money")


def value_of(reward: RewardBase) -> int | None:
    """What budgets count of a reward: the most it may cost, or else what it is expected to; None: nobody can say."""
    cost = reward.cost(_NO_MOMENT, ((), ()))
    return max((value for value in (cost.most, cost.expected) if value is not None), default=None)


def has_known_cost(reward: RewardBase) -> bool:
    """Whether it can be said before it is given, whoever gets it, what it costs the house: no money, or so much."""
    return not reward.for_deposit and (reward.settled_here or bool(value_of(reward)))


def after_wagering(bonus: float, wager_x: int) -> int:
    """What is left of a bonus when its wagering has been played through."""
    return round(bonus * max(0.0, 1 - HOUSE_EDGE * wager_x))


def first_deposit_within(deposits: Deposits, after: datetime, until: datetime) -> int:
    """The amount of the first deposit in this time, in minor units; 0 for none."""
    times, amounts = deposits
    index = bisect_right(times, after)
    return amounts[index] if index < len(times) and times[index] <= until else 0


_R = TypeVar("_R", bound=RewardBase)
#: Fields whose parameter has another name than the field without its unit.
_PARAMETERS: Final = {
    "match_pct": "percent",
    "pct": "percent",
    "game_ids": "games",
    "provider_campaign_id": "campaign",
    "entity_id": "the id",
    "factor_x100": "factor times 100",
    "min_odds_x1000": "min_odds times 1000",
    "points": "count",
}


def several(names: Iterable[str]) -> tuple[str, ...]:
    """The names; one name where several may stand would otherwise become its letters."""
    return (names,) if isinstance(names, str) else tuple(names)


def declare(cls: type[_R], **values: object) -> _R:
    """The reward with these values of its fields.

    Raises:
        RewardDesignError: no player could be given it; the sentence speaks of the parameters a designer writes.
    """
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        kind = cls.model_fields["kind"].default
        wrong = "; ".join(_sentence(part["loc"], part["msg"], part["input"]) for part in error.errors())
        raise RewardDesignError(f"{kind}(...) cannot be granted: {wrong}.") from error


def _sentence(place: tuple[int | str, ...], message: str, value: object) -> str:
    message = message.removeprefix("Value error, ").removeprefix("Input ").replace("String should", "should")
    if not place:
        return message
    field = str(place[0])
    shown = str(value) if isinstance(value, timedelta) else repr(value)
    return f"{_PARAMETERS.get(field, field.removesuffix('_minor').removesuffix('_x'))} {message}, not {shown}"
