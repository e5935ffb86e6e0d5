"""`tournament`, `best`, `place`, `places`: what players are ranked by, when, and what the first of them get.

A tournament is a declaration; its instances follow from it and from the calendar alone, so every process knows them
without asking. A leaderboard is a tournament without prizes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from workflows.errors import LoyaltyDesignError
from workflows.events import Event
from workflows.field_types import Product
from workflows.local_time import DAY, WEEK, instant, zone
from workflows.loyalty.missions import Badge
from workflows.loyalty.names_and_zones import NAME_NEEDED, is_zone, zone_needed
from workflows.loyalty.point_currencies import PointCurrency
from workflows.rewards import RewardBase
from workflows.rewards.base import has_known_cost, value_of
from workflows.rules.failures import RuleFailure
from workflows.rules.measures import Amount, Measure, Period, total
from workflows.rules.where import Where, passes

__all__ = ["best", "place", "places", "tournament"]

#: First to reach a score is first; or those with one score share the prizes of their places.
Ties = Literal["first_to_reach", "split"]
#: Places that prizes may be declared for.
MOST_PLACES: Final = 100_000
#: Different values that a row holds for one entry.
MOST_VALUES: Final = 100
#: One event adds no more than this, and no less than the opposite.
MOST_OF_ONE: Final = 10**12
#: Scores go no further: beyond it not every reader of JSON is exact.
MOST_SCORE: Final = 2**53 - 1
#: The language of words without one.
ENGLISH: Final = "en"
SHORTEST_GRACE, LONGEST_GRACE = timedelta(minutes=1), timedelta(hours=24)
#: What nobody competes in: words on an account, money that goes out or comes back.
_NO_CONTEST: Final = ("compliance.", "consent.", "message.", "payment.withdrawal", "payment.reversed", "player.")
#: Years in which there may be instances: within them every date has a day before and after.
_FIRST_YEAR, _LAST_YEAR = 1971, 9000
#: The shortest that a period may be, whatever the clock does.
_LENGTHS: Final = {
    "day": timedelta(hours=23),
    "week": WEEK - timedelta(hours=1),
    "month": 28 * DAY - timedelta(hours=1),
}


@dataclass(frozen=True)
class Best:
    """The largest amount of one event, where a measure would add them up."""

    measure: Measure


def best(kind: type[Event], of: str | Amount, *, where: Where | None = None, name: str = "") -> Best:
    """Score the best single event of `kind`: a field of it, or a whole number that a function makes of it.

    A function needs a `name`, as measures do. Raises `DesignError`.
    """
    return Best(total(kind, of, where=where, name=name))


@dataclass(frozen=True)
class PlacePrize:
    """What each of the places from `first` to `last` gets."""

    first: int
    last: int
    gives: RewardBase | Badge

    @property
    def points(self) -> int:
        """The points of one place; 0 for a badge, and for what the bonus engine gives."""
        return self.gives.awarded_points if isinstance(self.gives, RewardBase) else 0

    @property
    def money(self) -> RewardBase | None:
        """What the bonus engine gives for one place; None for points and a badge."""
        return self.gives if isinstance(self.gives, RewardBase) and not self.points else None


def place(number: int, gives: RewardBase | Badge) -> PlacePrize:
    """The prize of one place; 1 is the winner."""
    return PlacePrize(number, number, gives)


def places(first: int, last: int, gives: RewardBase | Badge) -> PlacePrize:
    """The prize that each of the places `first` to `last` gets."""
    return PlacePrize(first, last, gives)


@dataclass(frozen=True)
class Instance:
    """One run of a tournament: what happens in [opens, closes) counts, if it is told before `cut`."""

    tournament: str
    on: date
    opens: datetime
    closes: datetime
    cut: datetime

    @cached_property
    def id(self) -> str:
        """Its name, with the date in the tournament's zone on which it opens."""
        return f"{self.tournament}:{self.on.isoformat()}"


@dataclass(frozen=True, eq=False)
class Tournament:
    """A tournament as its designer declared it."""

    name: str
    score: Measure | Best
    every: Period
    timezone: str
    #: How long after the beginning of each period it opens, on the clock of its zone.
    after: timedelta
    #: How long it stays open; None: until the next one opens.
    lasts: timedelta | None
    opt_in: bool
    least_players: int
    most_players: int | None
    grace: timedelta
    ties: Ties
    least_score: int
    #: What one player can score on one day of its zone; None: any number.
    most: int | None
    #: The only currency whose amounts count.
    in_currency: str | None
    prizes: tuple[PlacePrize, ...]
    into: PointCurrency | None
    product: Product | None
    #: What players read of it, by language.
    words: Mapping[str, str]

    def said(self, language: str | None) -> str:
        """What a player of a language reads of it; in English, or the first that there is, where theirs is missing."""
        known = self.words.get(language or "") or self.words.get(ENGLISH)
        return known or next(iter(self.words.values()), "")

    @cached_property
    def measure(self) -> Measure:
        """What is counted, whichever way."""
        return self.score.measure if isinstance(self.score, Best) else self.score

    @cached_property
    def how(self) -> Literal["sum", "distinct", "best"]:
        """How events make a score: added up, counted by different values, or the largest alone."""
        if isinstance(self.score, Best):
            return "best"
        return "distinct" if self.score.how == "distinct" else "sum"

    @cached_property
    def zone(self) -> ZoneInfo:
        """Where its days begin and end."""
        return zone(self.timezone)

    @property
    def prize_points(self) -> int:
        """The points of all prizes of one instance together."""
        return sum((one.last - one.first + 1) * one.points for one in self.prizes)

    @property
    def prize_minor(self) -> int:
        """What the prizes of money of one instance may cost together, in minor units."""
        return sum(
            (one.last - one.first + 1) * (value_of(one.money) or 0) for one in self.prizes if one.money is not None
        )

    def instance_at(self, at: datetime) -> Instance | None:
        """The instance that holds a moment; None between two of them."""
        if self._found and (last := self._found[-1])[0] <= at < last[1]:
            return last[2]
        found = self.newest(at)
        if at >= found.closes:
            return None
        # Where a clock is put forward the next one may open before this one closes.
        self._found[:] = [(found.opens, min(found.closes, self.next(found).opens), found)]
        return found

    @cached_property
    def _found(self) -> "list[tuple[datetime, datetime, Instance]]":
        """The instance asked for last, from when until when it is the answer: nearly every event falls into it."""
        return []

    def newest(self, at: datetime) -> Instance:
        """The last instance that had opened at a moment, whether it is still open or not."""
        found = instance_on(self, self.every.start(at.astimezone(self.zone).date()))
        return found if found.opens <= at else self.before(found)

    def named(self, instance: str) -> Instance | None:
        """The instance of this id; None where none is called so."""
        try:
            on = date.fromisoformat(instance.removeprefix(f"{self.name}:"))
        except ValueError:
            return None
        if not _FIRST_YEAR <= on.year <= _LAST_YEAR:
            return None
        found = instance_on(self, self.every.start(on - timedelta(days=self.after.days)))
        return found if found.id == instance else None

    def before(self, one: Instance) -> Instance:
        """The instance before another."""
        return instance_on(self, self.every.start(self._period_of(one) - DAY))

    def next(self, one: Instance) -> Instance:
        """The instance after another."""
        return instance_on(self, self.every.after(self._period_of(one)))

    def amount(self, event: Event, failures: list[RuleFailure]) -> int:
        """What an event adds; 0 for one that does not count."""
        if not passes(self.measure.where, event, failures):
            return 0
        if self.in_currency is not None and getattr(event, "currency", None) != self.in_currency:
            return 0
        try:
            amount = 1 if self.how == "distinct" else self.measure.amount(event)
        except Exception as error:  # noqa: BLE001 - whatever a designer's function raises
            failures.append(RuleFailure(self.name, "measure", error, event.type))
            return 0
        return max(-MOST_OF_ONE, min(MOST_OF_ONE, amount))

    def _period_of(self, one: Instance) -> date:
        """The first day of the period that an instance belongs to."""
        return self.every.start(one.on - timedelta(days=self.after.days))


@lru_cache(maxsize=4_096)
def instance_on(declared: Tournament, start: date) -> Instance:
    """The instance of the period that begins on a date."""
    opens = _opening(declared, start)
    closes = _opening(declared, declared.every.after(start)) if declared.lasts is None else opens + declared.lasts
    return Instance(declared.name, opens.astimezone(declared.zone).date(), opens, closes, closes + declared.grace)


def _opening(declared: Tournament, start: date) -> datetime:
    minutes_in = declared.after // timedelta(minutes=1) % (24 * 60)
    clock = time(*divmod(minutes_in, 60))
    return instant(start + timedelta(days=declared.after.days), clock, declared.zone)


@lru_cache(maxsize=4_096)
def board_of(brand: str, instance: str) -> int:
    """The number under which the standings of an instance are kept: a hash, so nobody need hand it out."""
    return int.from_bytes(hashlib.sha256(f"{brand}\x00{instance}".encode()).digest()[:8], "big") >> 1


def run_of(brand: str, instance: str) -> str:
    """The id of the workflow of an instance, which is also the run that its prizes are won in."""
    return f"tournament:{brand}:{instance}"


def draw_of(board: int, player_id: str) -> int:
    """What decides between two whom score, moment and number of events leave equal: a hash that anybody recomputes.

    Nobody chooses it: it follows from the instance's name and from an id that the player had before.
    """
    return int.from_bytes(hashlib.sha256(f"{board}\x00{player_id}".encode()).digest()[:8], "big") >> 1


def tournament(
    name: str,
    score: Measure | Best,
    *,
    every: Period,
    timezone: str,
    after: timedelta = timedelta(0),
    lasts: timedelta | None = None,
    opt_in: bool = False,
    players: tuple[int, int | None] = (2, None),
    grace: timedelta = timedelta(minutes=15),
    ties: Ties = "first_to_reach",
    least_score: int = 1,
    most: int | None = None,
    in_currency: str | None = None,
    prizes: Sequence[PlacePrize] = (),
    into: PointCurrency | None = None,
    product: Product | None = None,
    budget: int = 0,
    budget_minor: int = 0,
    words: str | Mapping[str, str] = "",
) -> Tournament:
    """Rank players by a measure, anew in every day, week or month of a zone; without `prizes` it is a leaderboard.

    It opens `after` the beginning of the period and stays open for `lasts`, else until the next one opens. What
    happened in it counts if it is told within `grace` of the end. `players` are the fewest for whom prizes are paid
    and, with `opt_in`, the most who may register. `most` is what one player can score a day. `budget`
    are the points of all prizes together, `budget_minor` what those of money may cost.
    `words` say it to players, in English or by language.

    Raises `LoyaltyDesignError` for what cannot be fair or safe.
    """
    made = Tournament(
        name, score, every, timezone, after, lasts, opt_in, players[0], players[1], grace, ties, least_score, most,
        in_currency, tuple(prizes), into, product, {ENGLISH: words} if isinstance(words, str) else dict(words),
    )  # fmt: skip
    at = f"tournament({name!r})"
    # What is no measure cannot be asked the rest.
    for wrong in _wrong_score(made) or [*_wrong_times(made), *_wrong_prizes(made, budget, budget_minor)]:
        raise LoyaltyDesignError(f"{at} {wrong}")
    return made


def _wrong_score(made: Tournament) -> list[str]:
    """What of the score is no contest, the first thing first."""
    score: Any = made.score
    if not isinstance(score, Measure | Best):
        return [f"ranks by a measure such as count(RoundCompleted), or best(...), not by {score!r}."]
    measure = made.measure
    told = measure.kind
    # Every event that the engine computes is told to runs and never counted.
    derived = getattr(told, "derived", False)
    is_money = isinstance(measure.of, str) and measure.of.endswith("_minor")
    bonus = isinstance(measure.of, str) and measure.of.startswith("bonus_")
    refusals = (
        (not made.name.isidentifier(), NAME_NEEDED),
        (not measure.is_counted, "ranks by a number that is counted, not by one that is usual for the player."),
        (
            measure.last is not None or measure.per is not None,
            "counts within its own window; drop last= and per= of its measure.",
        ),
        (derived, f"counts {told.__name__}, which the engine makes itself; count what players do."),
        (
            told.type.startswith(_NO_CONTEST),
            f"counts {told.__name__}, and nobody should compete in that; rank by play, deposits or visits.",
        ),
        (bonus, "counts bonus money, which is not the player's own."),
        (
            is_money and made.in_currency is None,
            "adds up money of any currency; say which one counts, such as in_currency='EUR'.",
        ),
        (
            made.how == "distinct" and measure.most > MOST_VALUES,
            f"counts up to {measure.most} different values; up to {MOST_VALUES} fit into a player's row.",
        ),
        (made.least_score < 1, "has a least_score below 1: whoever did nothing would be ranked."),
    )
    return [sentence for is_wrong, sentence in refusals if is_wrong]


def _wrong_times(made: Tournament) -> list[str]:
    length = _LENGTHS[made.every.name]
    refusals = (
        (not is_zone(made.timezone), zone_needed(made.timezone)),
        (bool(made.after % timedelta(minutes=1)), "opens after= whole minutes."),
        (
            not timedelta(0) <= made.after < length,
            f"opens after={made.after}, which is not within its {made.every.name}.",
        ),
        (
            made.lasts is not None and not timedelta(0) < made.lasts <= length,
            f"lasts {made.lasts}, so that two of its instances would overlap; a {made.every.name} is the most.",
        ),
        (
            not SHORTEST_GRACE <= made.grace <= LONGEST_GRACE,
            "takes late events for grace= of a minute to a day, such as minutes(15).",
        ),
    )
    return [sentence for is_wrong, sentence in refusals if is_wrong]


def _wrong_prizes(made: Tournament, budget: int, budget_minor: int) -> list[str]:
    least, most = made.least_players, made.most_players
    ordered = sorted(made.prizes, key=lambda one: one.first)
    gaps = [one for one in made.prizes if not 1 <= one.first <= one.last <= MOST_PLACES]
    pairs = [*pairwise(ordered)]
    money = [one.money for one in made.prizes if one.money is not None]
    foreign = [one for one in money if one.product not in {None, made.product}]
    vague = [one for one in money if one.settled_here or not has_known_cost(one)]
    has_points = any(one.points for one in made.prizes)
    fast = made.lasts is not None and made.lasts < DAY
    refusals = (
        (
            least < 1 or (most is not None and most < max(2, least)),
            "needs players=(least, most) with least up to most.",
        ),
        (most is not None and not made.opt_in, "has seats for some players only; players take seats by opt_in=True."),
        (bool(gaps), f"has a prize for places that are none; a place is a number from 1 to {MOST_PLACES:,}."),
        (any(a.last >= b.first for a, b in pairs), "has two prizes for one place."),
        (any(a.points < b.points for a, b in pairs), "gives more for a lower place than for a higher one."),
        (bool(vague), "gives what has no price here; give points, a badge, spins or money, and the rest by a journey."),
        (bool(foreign), "gives a prize of another product than it is about."),
        (bool(money) and made.ties == "split", "shares prizes that cannot be parted; only points can be split."),
        (budget_minor < made.prize_minor, f"needs budget_minor= of its prizes of money, {made.prize_minor:,} in all."),
        (bool(made.prizes) and least < 2, "would pay the only player there is; write players=(2, None) or more."),
        (bool(made.prizes) and made.product is None, "needs product=, for a prize is about one kind of gambling."),
        (has_points and made.into is None, "gives points; say into which currency, such as into=house_points."),
        (has_points and budget < made.prize_points, f"needs budget= of its {made.prize_points:,} points of prizes."),
        (bool(made.prizes) and fast, "has prizes and lasts less than a day, which pays for playing fast."),
        (
            bool(made.prizes) and made.how == "sum" and made.most is None,
            "has prizes and no most=: without a cap of a day it pays whoever plays without end.",
        ),
        (made.most is not None and made.most < 1, "has a most= below 1."),
    )
    return [sentence for is_wrong, sentence in refusals if is_wrong]


def day_in(declared: Tournament, at: datetime) -> str:
    """The day of a moment in the tournament's zone, counted from 1970; for scores without a cap of a day always one."""
    if declared.most is None:
        return ""
    return str(at.astimezone(declared.zone).date().toordinal() - _EPOCH)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).date().toordinal()
