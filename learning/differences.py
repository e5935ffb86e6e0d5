"""Shares, means and ratios with their intervals, and the difference between two arms.

Everything takes figures of players who were counted once each, and answers a `NoNumber` with its reason where too few
were: a figure that cannot be trusted is not shown smaller, it is not shown.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

#: Conversions, and players who did not convert, that an arm needs before arms are compared.
LEAST_CONVERSIONS: Final = 10
#: Answers before a Net Promoter Score is a number.
LEAST_ANSWERS: Final = 50
NORMAL: Final = NormalDist()
#: 95 %, both sides.
CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class NoNumber:
    """There is no figure, and why; a sentence for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class Interval:
    """From where to where the truth lies, at 95 % unless the maker says otherwise. Bounds may be infinite."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    @property
    def decided(self) -> bool:
        """Whether zero lies outside."""
        return 0.0 not in self


@dataclass(frozen=True, slots=True)
class Conversion:
    """How many of how many."""

    successes: int
    players: int

    @property
    def value(self) -> float:
        """From 0 to 1; 0 of nobody."""
        return self.successes / self.players if self.players else 0.0

    @property
    def variance(self) -> float:
        """Of one player's answer, yes being 1."""
        return self.value * (1 - self.value)


@dataclass(frozen=True, slots=True)
class Moments:
    """Number, mean and sample variance of one figure a player."""

    players: int
    mean: float
    variance: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Moments":
        """Those of the figures of one arm; the variance of fewer than two is 0."""
        count = len(values)
        mean = math.fsum(values) / count if count else 0.0
        spread = math.fsum((value - mean) ** 2 for value in values)
        return cls(count, mean, spread / (count - 1) if count > 1 else 0.0)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Treated less control, with its interval."""

    estimate: float
    interval: Interval


def z_of(confidence: float = CONFIDENCE) -> float:
    """How many standard errors a two-sided interval reaches."""
    return NORMAL.inv_cdf(0.5 + confidence / 2)


def share_interval(share: Conversion, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's interval, which stays within 0 and 1; of nobody all of it."""
    if not share.players:
        return Interval(0.0, 1.0)
    n, p, z = share.players, share.value, z_of(confidence)
    scale = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def mean_interval(moments: Moments, confidence: float = CONFIDENCE) -> Interval | NoNumber:
    """Of a mean. For money of few players use `money.money_difference`: there a few decide, and this is too narrow."""
    if moments.players < 2:
        return NoNumber("fewer than two players")
    half = z_of(confidence) * math.sqrt(moments.variance / moments.players)
    return Interval(moments.mean - half, moments.mean + half)


def nps_interval(promoters: int, detractors: int, answers: int) -> Estimate | NoNumber:
    """The Net Promoter Score from -100 to 100 with its adjusted Wald interval; the estimate itself is not adjusted."""
    if answers < LEAST_ANSWERS:
        return NoNumber(f"{answers} answers, and {LEAST_ANSWERS} are needed")
    n, up, down = answers + 3, (promoters + 0.75) / (answers + 3), (detractors + 0.75) / (answers + 3)
    centre, half = up - down, z_of() * math.sqrt((up + down - (up - down) ** 2) / n)
    estimate = 100 * (promoters - detractors) / answers
    return Estimate(estimate, Interval(max(-100.0, 100 * (centre - half)), min(100.0, 100 * (centre + half))))


def difference_of_shares(
    treated: Conversion, control: Conversion, confidence: float = CONFIDENCE
) -> Estimate | NoNumber:
    """Newcombe's interval of the difference of two conversions, from -1 to 1."""
    if (reason := _too_few(treated, control)) is not None:
        return reason
    estimate = treated.value - control.value
    mine, other = share_interval(treated, confidence), share_interval(control, confidence)
    low = estimate - math.hypot(treated.value - mine.low, other.high - control.value)
    high = estimate + math.hypot(mine.high - treated.value, control.value - other.low)
    return Estimate(estimate, Interval(max(-1.0, low), min(1.0, high)))


def difference_over(groups: Mapping[str, tuple[Conversion, Conversion]]) -> Estimate | NoNumber:
    """What players of several groups gained on average, from the treated and the control share of each, by name.

    Each group weighs by its treated players, and is compared within itself: groups whose shares differ anyway, or with
    another part of control, would else make an effect by themselves. It holds for these groups, not for a next one.
    """
    if (reason := _why_not_over(groups)) is not None:
        return reason
    treated = sum(one.players for one, _ in groups.values())
    weighed = [(one.players / treated, one, other) for one, other in groups.values()]
    estimate = math.fsum(weight * (one.value - other.value) for weight, one, other in weighed)
    variance = math.fsum(
        weight * weight * sum(each.variance / each.players for each in pair) for weight, *pair in weighed
    )
    half = z_of() * math.sqrt(variance)
    return Estimate(estimate, Interval(estimate - half, estimate + half))


def _why_not_over(groups: Mapping[str, tuple[Conversion, Conversion]]) -> NoNumber | None:
    """What keeps groups from being put together: each is compared within itself, so none may be without spread."""
    for group, pair in groups.items():
        for arm, one in zip(("treated", "control"), pair, strict=True):
            if not 0 < one.successes < one.players:
                did = "nobody did" if not one.successes else "everybody did"
                who = f"of {one.players} {arm} players of {group}"
                return NoNumber(f"{who} {did}: nothing tells how far chance reaches")
    for which_arm, name in enumerate(("treated", "control")):
        successes = sum(pair[which_arm].successes for pair in groups.values())
        players = sum(pair[which_arm].players for pair in groups.values())
        if min(successes, players - successes) < LEAST_CONVERSIONS:
            return NoNumber(
                f"each arm needs {LEAST_CONVERSIONS} players who did and {LEAST_CONVERSIONS} who did not; "
                f"{name} are {successes} who did and {players - successes} who did not"
            )
    return None


def relative_lift(treated: Conversion, control: Conversion) -> Estimate | NoNumber:
    """How much larger the treated share is, 0.1 being a tenth more; by the delta method on the log of the ratio."""
    if (reason := _too_few(treated, control)) is not None:
        return reason
    log = math.log(treated.value / control.value)
    error = math.sqrt(sum((1 - one.value) / one.successes for one in (treated, control)))
    half = z_of() * error
    return Estimate(math.expm1(log), Interval(math.expm1(log - half), math.expm1(log + half)))


def difference_of_means(treated: Moments, control: Moments, confidence: float = CONFIDENCE) -> Estimate | NoNumber:
    """Welch's difference of two means, by the normal approximation.

    Wrong for money while an arm has fewer than 1,000 players; `money.money_difference` knows when.
    """
    if min(treated.players, control.players) < 2:
        return NoNumber("fewer than two players in an arm")
    half = z_of(confidence) * standard_error(treated, control)
    estimate = treated.mean - control.mean
    return Estimate(estimate, Interval(estimate - half, estimate + half))


def standard_error(treated: Moments, control: Moments) -> float:
    """Of the difference of two means."""
    return math.sqrt(treated.variance / max(1, treated.players) + control.variance / max(1, control.players))


def ratio_moments(numerators: Sequence[float], denominators: Sequence[float]) -> Moments | NoNumber:
    """A ratio of two sums over the same players, such as stakes a round, as if it were a mean: by the delta method.

    Cap both sides on the same players, or the ratio is of two different groups.
    """
    over, under = Moments.of(numerators), Moments.of(denominators)
    if over.players < 2 or under.mean == 0:
        return NoNumber("nobody has what it is divided by")
    half = z_of() * math.sqrt(under.variance / under.players)
    if abs(under.mean) <= half:
        return NoNumber("what it is divided by is not shown to be above zero")
    ratio = over.mean / under.mean
    residuals = [(a - ratio * b) / under.mean for a, b in zip(numerators, denominators, strict=True)]
    return Moments(over.players, ratio, Moments.of(residuals).variance)


def fieller(over: float, under: float, variances: tuple[float, float, float]) -> Estimate | NoNumber:
    """A ratio of two estimates with their variances and covariance, such as the cost of one incremental player.

    No number where the interval of what it is divided by touches zero: then it has no end.
    """
    of_over, of_under, together = variances
    z2 = z_of() ** 2
    under_left = under * under - z2 * of_under
    if under_left <= 0:
        return NoNumber("the effect it is divided by is not shown to differ from zero")
    cross = over * under - z2 * together
    root = math.sqrt(max(0.0, cross * cross - under_left * (over * over - z2 * of_over)))
    return Estimate(over / under, Interval((cross - root) / under_left, (cross + root) / under_left))


def cost_per_incremental(cost: float, treated: Conversion, control: Conversion) -> Estimate | NoNumber:
    """What one player costs who converted because of the treatment; `cost` is of the whole treated arm."""
    gain = difference_of_shares(treated, control)
    if isinstance(gain, NoNumber):
        return gain
    if gain.interval.low <= 0:
        return NoNumber("the gain is not shown to be above zero")
    scale = cost / treated.players
    return Estimate(scale / gain.estimate, Interval(scale / gain.interval.high, scale / gain.interval.low))


def _too_few(treated: Conversion, control: Conversion) -> NoNumber | None:
    fewest = min(count for one in (treated, control) for count in (one.successes, one.players - one.successes))
    if fewest >= LEAST_CONVERSIONS:
        return None
    return NoNumber(f"an arm has {fewest} players who did or did not do it, and {LEAST_CONVERSIONS} of each are needed")
