"""Effects of many segments together: the best of many is mostly luck, so each is drawn towards the common effect."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from learning.differences import (
    CONFIDENCE,
    LEAST_CONVERSIONS,
    NORMAL,
    Conversion,
    Estimate,
    Interval,
    Moments,
    NoNumber,
    standard_error,
    z_of,
)

#: Players of the control group that a segment needs.
LEAST_CONTROL: Final = 100
#: Above this chance of so unlike effects by chance alone, no segment is said to differ.
ALIKE_ABOVE: Final = 0.1
#: Of segments that are told to differ at most such a part is so by chance alone.
LEAST_SURE: Final = 0.05
#: Arms of other experiments before it is said what stays of one.
LEAST_PAST: Final = 10
ALIKE: Final = "it is not shown to differ from the other players"
_INSIDE, _OTHERS = "inside", "others"


@dataclass(frozen=True, slots=True)
class SegmentEffects:
    """The effect in each segment, drawn towards the common one; `alike` says that no difference is shown."""

    overall: Estimate
    segments: Mapping[str, Estimate | NoNumber]
    #: How often segments are as unlike as these where the effect is the same in all.
    p_value: float

    @property
    def alike(self) -> bool:
        """Whether the segments are not shown to differ; then the common effect is the answer for each."""
        return self.p_value > ALIKE_ABOVE


#: The treated and the control share of some players.
Arms = tuple[Conversion, Conversion]


def segment_effects(shares: Mapping[str, Arms], confidence: float = CONFIDENCE) -> SegmentEffects | NoNumber:
    """Effects on a conversion by segment, from the treated and the control share of each; nobody is in two of them.

    A player's segment is the one they were in before they were assigned: one that the treatment can change says
    nothing. Variances between segments are estimated as DerSimonian and Laird do.
    """
    small = {name: NoNumber(why) for name, arms in shares.items() if (why := _too_few(*arms)) is not None}
    effects = {
        name: (treated.value - control.value, max(_error(treated, control) ** 2, 1e-12))
        for name, (treated, control) in shares.items()
        if name not in small
    }
    if not effects:
        return NoNumber("no segment has enough players in its control group")
    weights = {name: 1 / variance for name, (_, variance) in effects.items()}
    total = math.fsum(weights.values())
    overall = math.fsum(weights[name] * effect for name, (effect, _) in effects.items()) / total
    unlike = math.fsum(weights[name] * (effect - overall) ** 2 for name, (effect, _) in effects.items())
    freedom = len(effects) - 1
    scale = total - math.fsum(weight * weight for weight in weights.values()) / total
    between = max(0.0, (unlike - freedom) / scale) if scale > 0 else 0.0
    drawn = {
        name: _drawn_in(effect, variance, overall, between, 1 / total, z_of(confidence))
        for name, (effect, variance) in effects.items()
    }
    reach = z_of(confidence) * math.sqrt(1 / total)
    common = Estimate(overall, Interval(overall - reach, overall + reach))
    return SegmentEffects(common, {**drawn, **small}, chi_square_p(unlike, freedom))


def segments_that_differ(segments: Mapping[str, tuple[Arms, Arms]]) -> dict[str, Estimate | NoNumber]:
    """The effect in each segment that is shown to differ from that on the other players, given both; else why not.

    Segments may overlap, so each is held against whoever is not in it. Of those that are shown at most one in twenty is
    by chance, however many were looked at (Benjamini and Hochberg), and intervals are the wider the fewer were shown of
    many (Benjamini and Yekutieli): who picks the striking ones would else be wrong more often than said.
    """
    found: dict[str, Estimate | NoNumber] = {}
    chances: dict[str, float] = {}
    for name, (inside, others) in segments.items():
        said = segment_effects({_INSIDE: inside, _OTHERS: others})
        few = _too_few(*inside) or _too_few(*others)
        if few is not None or isinstance(said, NoNumber):
            found[name] = NoNumber(few or "too few players")
        else:
            chances[name] = said.p_value
    shown = _discovered(chances, LEAST_SURE)
    confidence = 1 - (1 - CONFIDENCE) * max(1, len(shown)) / max(1, len(chances))
    for name in chances:
        inside, others = segments[name]
        said = segment_effects({_INSIDE: inside, _OTHERS: others}, confidence)
        assert isinstance(said, SegmentEffects)
        found[name] = said.segments[_INSIDE] if name in shown else NoNumber(ALIKE)
    return found


def _discovered(chances: Mapping[str, float], level: float) -> frozenset[str]:
    """Which of many unlikely findings are told, so that of those told at most such a part is by chance."""
    ordered = sorted(chances, key=lambda name: (chances[name], name))
    last = max((n for n, name in enumerate(ordered, 1) if chances[name] <= level * n / len(ordered)), default=0)
    return frozenset(ordered[:last])


def _too_few(treated: Conversion, control: Conversion) -> str | None:
    if control.players < LEAST_CONTROL:
        return f"{control.players} players in the control group, and {LEAST_CONTROL} are needed"
    fewest = min(min(one.successes, one.players - one.successes) for one in (treated, control))
    if fewest < LEAST_CONVERSIONS:
        return f"each group needs {LEAST_CONVERSIONS} players who did and {LEAST_CONVERSIONS} who did not"
    return None


def _drawn_in(
    effect: float, variance: float, overall: float, between: float, of_overall: float, reach: float
) -> Estimate:
    own = between / (between + variance)
    estimate = own * effect + (1 - own) * overall
    # What is left of the segment's own doubt, and the doubt about the common effect it is drawn to.
    half = reach * math.sqrt(own * variance + (1 - own) ** 2 * of_overall)
    return Estimate(estimate, Interval(estimate - half, estimate + half))


def _error(treated: Conversion, control: Conversion) -> float:
    return standard_error(*(Moments(one.players, one.value, one.variance) for one in (treated, control)))


def chi_square_p(value: float, freedom: int) -> float:
    """The chance of a chi-square of at least `value`; by Wilson and Hilferty's cube root, within 0.002 of the truth."""
    if freedom <= 0 or value <= 0:
        return 1.0
    spread = 2 / (9 * freedom)
    return 1 - NORMAL.cdf(((value / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread))


@dataclass(frozen=True, slots=True)
class PastEffect:
    """What an arm of another experiment was found to bring, and the standard error of that."""

    effect: float
    error: float


def shrunk_by_past(effect: float, error: float, past: Sequence[PastEffect]) -> Estimate | NoNumber:
    """What of a winner's effect is likely to stay, given the effects of past experiments; they scatter around zero.

    Of how far past effects scatter their own errors are taken off: what chance did to them says nothing of what arms
    bring, and would let half of a winner stay where no arm ever brought anything.
    """
    if len(past) < LEAST_PAST:
        few = f"fewer than {LEAST_PAST} arms of other experiments so far; only the holdout group tells what stays"
        return NoNumber(few)
    spread = math.fsum(one.effect**2 - one.error**2 for one in past) / len(past)
    if spread <= 0:
        return NoNumber("other arms brought no more than chance alone makes of nothing, so expect little of it to stay")
    own = spread / (spread + error * error)
    half = z_of() * math.sqrt(own) * error
    return Estimate(own * effect, Interval(own * effect - half, own * effect + half))
