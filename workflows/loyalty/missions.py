"""`player_mission`, `step`, `badge`, `collection`: what a player may set out to do, and what it gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import FunctionType
from typing import Final

from workflows.errors import LoyaltyDesignError
from workflows.events import Event
from workflows.field_types import Product
from workflows.loyalty.point_currencies import PointCurrency
from workflows.rewards import RewardBase
from workflows.rules.measures import Measure, Period
from workflows.rules.segments import Statistics

__all__ = ["badge", "collection", "piece", "player_mission", "step"]

#: Steps of one mission, and different values that a step may ask for: both stand in the player's row.
MOST_STEPS: Final = 10
MOST_MARKS: Final = 30
MOST_TARGET: Final = 10**12
#: The mark of an async function, whose answer would be yes whatever it says.
COROUTINE: Final = 0x80


@dataclass(frozen=True)
class Badge:
    """Something a player wears."""

    name: str


def badge(name: str) -> Badge:
    """A badge; a player has it once."""
    return Badge(name)


@dataclass(frozen=True)
class Collection:
    """Pieces that belong together, and the badge for having all of them."""

    name: str
    pieces: tuple[str, ...]
    gives: Badge


def collection(name: str, *, pieces: Sequence[str], gives: Badge) -> Collection:
    """A set of pieces; the last one that was missing gives the badge. Raises `LoyaltyDesignError`."""
    if len({*pieces}) != len(pieces) or not 2 <= len(pieces) <= MOST_MARKS:
        raise LoyaltyDesignError(f"collection({name!r}) needs 2 to {MOST_MARKS} pieces, each of another name.")
    return Collection(name, tuple(pieces), gives)


@dataclass(frozen=True)
class Piece:
    """One piece of a collection."""

    collection: Collection
    name: str


def piece(of: Collection, name: str) -> Piece:
    """A piece of `of`. Raises `LoyaltyDesignError` for one that it does not have."""
    if name not in of.pieces:
        raise LoyaltyDesignError(f"piece({name!r}) is none of {of.name}; it has {', '.join(of.pieces)}.")
    return Piece(of, name)


@dataclass(frozen=True)
class Step:
    """So much of a measure, counted from the mission's beginning on."""

    name: str
    measure: Measure
    target: int


def step(name: str, measure: Measure, target: int) -> Step:
    """A part of a mission: a count, a total or a number of different values of an event, from the beginning on.

    Raises `LoyaltyDesignError`: a mission has its own window, so the measure has none.
    """
    at = f"step({name!r})"
    if not measure.is_counted:
        raise LoyaltyDesignError(f"{at} counts a measure such as count(DepositApproved), not {measure!r}.")
    if measure.last is not None or measure.per is not None:
        raise LoyaltyDesignError(f"{at} is counted within its mission's own window; drop last= and per=.")
    most = MOST_MARKS if measure.how == "distinct" else MOST_TARGET
    if not 0 < target <= most:
        raise LoyaltyDesignError(f"{at} asks for {target}; ask for 1 to {most:,}.")
    return Step(name, measure, target)


Visible = Callable[[Statistics], bool]


@dataclass(frozen=True, eq=False)
class PlayerMission:
    """A mission as its designer declared it."""

    name: str
    function: Visible
    steps: tuple[Step, ...]
    gives: RewardBase | Badge | Piece
    into: PointCurrency | None
    product: Product
    #: Points that all players together may claim of it in a week of UTC.
    budget: int
    opt_in: bool
    again: Period | None
    #: How long it lasts from its beginning; None: as long as its period, or for ever.
    lasts: timedelta | None
    claim: timedelta
    #: Missions that must have been completed before.
    after: tuple[str, ...] = field(default=())
    #: Percent of the players who never see it.
    control: int = 0
    #: By language: what it says instead of the docstring.
    words: Mapping[str, str] = field(default_factory=dict)

    def description(self, language: str | None = None) -> str:
        """What the player reads: the first sentence of the function's docstring, or its words in their language."""
        return self.words.get(language or "") or (self.function.__doc__ or "").strip().partition("\n")[0]

    @property
    def kinds(self) -> frozenset[type[Event]]:
        """The events that move it."""
        return frozenset(one.measure.kind for one in self.steps)

    @property
    def prize_kind(self) -> str:
        """What the gate is asked about."""
        match self.gives:
            case Badge():
                return "badge"
            case Piece():
                return "piece"
            case _:
                return self.gives.name

    @property
    def points(self) -> int:
        """The points it gives; 0 for a badge or a piece."""
        return self.gives.awarded_points if isinstance(self.gives, RewardBase) else 0


def player_mission(
    *steps: Step,
    gives: RewardBase | Badge | Piece,
    into: PointCurrency | None = None,
    product: Product | None = None,
    budget: int = 0,
    opt_in: bool = False,
    again: Period | None = None,
    lasts: timedelta | None = None,
    claim: timedelta = timedelta(days=7),
    after: "Sequence[PlayerMission]" = (),
    control: int = 0,
    words: Mapping[str, str] | None = None,
) -> Callable[[Visible], PlayerMission]:
    """Declare a mission; the function below says who may see it.

    It begins with the player's word where `opt_in`, else with the release; with `again` there is one of each day, week
    or month of the player's. Done, it is claimed within `claim`, and the gate is asked then. `budget` are the points
    that all players together may claim of it a week. `words={"uk": "…"}` says the docstring's first sentence in other
    languages. Raises `LoyaltyDesignError`.
    """

    def declare(function: Visible) -> PlayerMission:
        at = f"mission {getattr(function, '__name__', function)!s}"
        if not isinstance(function, FunctionType) or function.__code__.co_flags & COROUTINE:
            raise LoyaltyDesignError(f"{at}: @player_mission belongs on a plain function of the player's statistics.")
        if not 1 <= len(steps) <= MOST_STEPS or len({one.name for one in steps}) != len(steps):
            raise LoyaltyDesignError(f"{at}: give it 1 to {MOST_STEPS} steps, each of another name.")
        if product is None:
            raise LoyaltyDesignError(f"{at}: say product=, for an incentive is about one kind of gambling.")
        made = PlayerMission(
            function.__name__,
            function,
            steps,
            gives,
            into,
            product,
            budget,
            opt_in,
            again,
            lasts,
            claim,
            tuple(one.name for one in after),
            control,
            dict(words or {}),
        )
        _check_prize(at, made)
        return made

    return declare


def _check_prize(at: str, made: PlayerMission) -> None:
    if isinstance(made.gives, RewardBase):
        if not made.points:
            raise LoyaltyDesignError(f"{at}: it gives {made.gives.name}; give points here, and money by a journey.")
        if made.into is None:
            raise LoyaltyDesignError(f"{at}: say into which currency its points go, such as into=house_points.")
        if made.budget < made.points:
            raise LoyaltyDesignError(f"{at}: say budget=, the points that all players may claim of it in a week.")
    if made.lasts is not None and not made.opt_in:
        raise LoyaltyDesignError(f"{at}: lasts= runs from the player's word on; add opt_in=True, or write again=week.")
    if made.claim <= timedelta(0) or (made.lasts is not None and made.lasts <= timedelta(0)):
        raise LoyaltyDesignError(f"{at}: claim= and lasts= are times that pass, such as claim=days(3).")
    if not 0 <= made.control < 100:
        raise LoyaltyDesignError(f"{at}: control= is a share of the players in percent, from 0 to 99.")
