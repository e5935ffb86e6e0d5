"""What an experiment has found so far, and what follows from it: a pure function of who was drawn and what they did.

Players count from the moment they were drawn, in the arm they were drawn into, whatever became of them; those whose
time for the goal is not over yet count neither for nor against anybody.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from learning.differences import LEAST_CONVERSIONS, Conversion, share_interval
from learning.evidence import (
    BROKEN_AT,
    STOPS_AT,
    Drawn,
    Harmed,
    harm_evidence,
    sample_ratio_evidence,
    sample_ratio_p_value,
)
from learning.experiment_money import MoneyFinding
from learning.power import detectable, players_needed
from learning.sequential import LEAST_PLAYERS, TAIL, boundaries, reach_at_any_time
from workflows.experiment_draw import CONTROL
from workflows.experiments import Experiment, LookPlan

#: Events may come so much later than they happened; before, nobody's time for the goal is over.
SETTLES: Final = timedelta(hours=48)
#: The size that intervals without a plan are narrowest at.
UNPLANNED: Final = 5_000

Verdict = Literal["running", "too_early", "better", "worse", "no_difference", "stopped", "broken"]


@dataclass(frozen=True, slots=True)
class Participant:
    """A player of an experiment: how they were drawn, and what they did since."""

    arm: str
    #: The chance of each arm when they were drawn, in percent; control alone where nothing was drawn.
    shares: Mapping[str, int]
    at: datetime
    reached: bool
    #: Guardrails, by the type of their event, that were met since.
    harmed: frozenset[str] = frozenset()
    player_id: str = ""


class FoundFigure(BaseModel):
    """Base of what is found."""

    model_config = ConfigDict(frozen=True)


class HarmFinding(FoundFigure):
    """One guardrail of one arm against the control arm."""

    guardrail: str
    harmed: int
    harmed_in_control: int
    #: The arm is stopped at 20, by each of its guardrails on its own.
    evidence: float


class ArmFinding(FoundFigure):
    """One arm against the control arm. Shares and differences are in percent points."""

    arm: str
    players: int
    #: Players whose time for the goal is over, and those among them who reached it.
    counted: int
    reached: int
    share: float | None
    share_from: float | None
    share_to: float | None
    difference: float | None = None
    #: The interval at the last look; with a plan it holds at all its looks together, without one at any moment.
    difference_from: float | None = None
    difference_to: float | None = None
    #: The standard error of the difference.
    error: float | None = None
    #: Why there is no difference yet.
    no_number: str | None = None
    #: Of an arm that brought more by the end of the plan: what is likely to stay of it, and why that cannot be said.
    stays: float | None = None
    stays_from: float | None = None
    stays_to: float | None = None
    no_stays: str | None = None
    #: The difference that as many players as there are now would show with a chance of 80 %.
    detectable: float | None = None
    harm: list[HarmFinding] = []
    #: What it brought in money by the end of the plan, by currency.
    money: list[MoneyFinding] = []
    verdict: Verdict


class ExperimentFindings(FoundFigure):
    """What an experiment has found as of a moment."""

    as_of: datetime
    players: int
    #: Players whose time for the goal is over, and players it takes by the plan.
    counted: int
    planned: int | None
    #: Looks at the goal so far, and how much of the plan was counted at each.
    looks: list[float]
    #: Evidence against the shares that were planned, which nobody believes any more at 1,000; and the usual p-value.
    sample_ratio_evidence: float
    sample_ratio_p: float
    arms: list[ArmFinding]
    #: When money was judged, for good; and why it is not told.
    money_at: datetime | None = None
    no_money: str | None = None
    verdict: Verdict
    sentence: str


def planned_players(arms: Mapping[str, int], plan: LookPlan) -> int:
    """How many players of all arms it takes to find what is looked for, in each arm against the control arm."""
    needed = 0
    for arm, share in arms.items():
        if arm != CONTROL:
            pair = share + arms[CONTROL]
            players = players_needed(plan.base / 100, plan.detect / 100, arms[CONTROL] / pair, power=plan.power)
            needed = max(needed, math.ceil(players * 100 / pair))
    return needed


def findings(
    tried: Experiment,
    participants: Sequence[Participant],
    *,
    looks: Sequence[float],
    stopped: Iterable[str],
    as_of: datetime,
) -> ExperimentFindings:
    """What is found as of a moment. `looks` are the shares of the plan counted at each look so far, this one included.

    Only players whom chance decided about are compared; the others were given the control arm for a reason.
    """
    drawn = [one for one in participants if len(one.shares) > 1]
    counted = [one for one in drawn if one.at + tried.goal.within + SETTLES <= as_of]
    evidence, p_value = _sample_ratio(drawn)
    broken, already = evidence >= BROKEN_AT, frozenset(stopped)
    # Each arm is one more chance to be fooled, so they share the error between them.
    tail = TAIL / len(tried.treatments)
    arms = [
        _arm_finding(tried, arm, drawn, counted, looks=looks, tail=tail, stopped=arm in already, broken=broken)
        for arm in tried.arms
    ]
    verdict = _verdict(arms, broken=broken)
    planned = None if tried.plan is None else planned_players(tried.arms, tried.plan)
    return ExperimentFindings(
        as_of=as_of,
        players=len(participants),
        counted=len(counted),
        planned=planned,
        looks=list(looks),
        sample_ratio_evidence=evidence,
        sample_ratio_p=p_value,
        arms=arms,
        verdict=verdict,
        sentence=_sentence(tried, arms, verdict, len(counted), planned),
    )


def share_of_plan(tried: Experiment, participants: Sequence[Participant], as_of: datetime) -> float:
    """Which part of the planned players has been counted; 0 without a plan."""
    if tried.plan is None:
        return 0.0
    counted = sum(len(one.shares) > 1 and one.at + tried.goal.within + SETTLES <= as_of for one in participants)
    return counted / planned_players(tried.arms, tried.plan)


def _sample_ratio(drawn: Sequence[Participant]) -> tuple[float, float]:
    """The strongest evidence of any arm that it got another share than it was to have, and the least p-value."""
    alike: defaultdict[tuple[tuple[str, int], ...], list[Participant]] = defaultdict(list)
    for one in drawn:
        alike[tuple(sorted(one.shares.items()))].append(one)
    strongest, least = 1.0, 1.0
    for arm in {arm for shares in alike for arm, _ in shares}:
        rows = [
            Drawn(sum(one.arm == arm for one in group), len(group), dict(shares)[arm] / 100)
            for shares, group in alike.items()
            if arm in dict(shares)
        ]
        strongest, least = max(strongest, sample_ratio_evidence(rows)), min(least, sample_ratio_p_value(rows))
    return strongest, least


def _arm_finding(
    tried: Experiment,
    arm: str,
    drawn: Sequence[Participant],
    counted: Sequence[Participant],
    *,
    looks: Sequence[float],
    tail: float,
    stopped: bool,
    broken: bool,
) -> ArmFinding:
    mine = _share(counted, arm)
    own = share_interval(mine)
    known = ArmFinding(
        arm=arm,
        players=sum(one.arm == arm for one in drawn),
        counted=mine.players,
        reached=mine.successes,
        share=100 * mine.value if mine.players else None,
        share_from=100 * own.low if mine.players else None,
        share_to=100 * own.high if mine.players else None,
        verdict="broken" if broken else "running",
    )
    if arm == CONTROL:
        return known
    harm = [_harm(one.kind.type, arm, drawn) for one in tried.guardrails]
    is_stopped = stopped or any(one.evidence >= STOPS_AT for one in harm)
    # Wrong shares hide what an arm brings, and never the harm that it does.
    update: dict[str, object] = {} if broken else _compared(tried, arm, counted, looks, tail)
    return known.model_copy(update={"harm": harm, **update, **({"verdict": "stopped"} if is_stopped else {})})


def _compared(
    tried: Experiment, arm: str, counted: Sequence[Participant], looks: Sequence[float], tail: float
) -> dict[str, object]:
    """What an arm brings beside the control arm, or why there is no number yet."""
    update: dict[str, object] = {"detectable": _detectable(counted, arm)}
    compared = _pooled(counted, arm)
    if compared is not None and tried.plan is None and compared[2] < LEAST_PLAYERS:
        update |= {"no_number": f"{compared[2]} players, and {LEAST_PLAYERS} are needed", "verdict": "too_early"}
    elif compared is None:
        fewest = f"{LEAST_CONVERSIONS} players who reached the goal and as many who did not"
        update |= {"no_number": f"each arm needs {fewest} before it is compared", "verdict": "too_early"}
    else:
        estimate, error, count = compared
        reach = boundaries(tuple(looks), tail)[-1] if tried.plan and looks else None
        if reach is None and tried.plan is None:
            reach = reach_at_any_time(count, UNPLANNED, 2 * tail)
        update |= {"difference": 100 * estimate, "error": 100 * error}
        if reach is None:
            update |= {"verdict": "too_early", "no_number": "the first look at the goal is still to come"}
        else:
            half = reach * error
            update |= {"difference_from": 100 * (estimate - half), "difference_to": 100 * (estimate + half)}
            update["verdict"] = _of_interval(estimate, half, over=bool(tried.plan and looks and looks[-1] >= 1))
    return update


def _of_interval(estimate: float, half: float, *, over: bool) -> Verdict:
    if abs(estimate) > half:
        return "better" if estimate > 0 else "worse"
    return "no_difference" if over else "running"


def _share(counted: Iterable[Participant], arm: str) -> Conversion:
    mine = [one.reached for one in counted if one.arm == arm]
    return Conversion(sum(mine), len(mine))


def _pooled(counted: Sequence[Participant], arm: str) -> tuple[float, float, int] | None:
    """The difference to the control arm, its standard error and the players of both; None while it is too early.

    Players are compared with those who were drawn with the same chances, and then taken together: when shares change,
    whoever comes later is somebody else, and one mean over all would compare them with those who came before.
    """
    pairs: defaultdict[tuple[tuple[str, int], ...], list[Participant]] = defaultdict(list)
    for one in counted:
        if one.arm in {arm, CONTROL} and arm in one.shares:
            pairs[tuple(sorted(one.shares.items()))].append(one)
    effects: list[tuple[float, float]] = []
    totals, others = Conversion(0, 0), Conversion(0, 0)
    for group in pairs.values():
        treated, control = _share(group, arm), _share(group, CONTROL)
        totals = Conversion(totals.successes + treated.successes, totals.players + treated.players)
        others = Conversion(others.successes + control.successes, others.players + control.players)
        if min(treated.players, control.players) > 0:
            variance = sum((one.variance + 0.25 / one.players) / one.players for one in (treated, control))
            effects.append((treated.value - control.value, variance))
    fewest = min((min(one.successes, one.players - one.successes) for one in (totals, others)), default=0)
    if not effects or fewest < LEAST_CONVERSIONS:
        return None
    weight = math.fsum(1 / variance for _, variance in effects)
    estimate = math.fsum(effect / variance for effect, variance in effects) / weight
    return estimate, math.sqrt(1 / weight), totals.players + others.players


def _detectable(counted: Sequence[Participant], arm: str) -> float | None:
    control, treated = _share(counted, CONTROL), _share(counted, arm)
    players = control.players + treated.players
    if not control.successes or not treated.players:
        return None
    return 100 * detectable(control.value, players, control.players / players)


def _harm(guardrail: str, arm: str, drawn: Sequence[Participant]) -> HarmFinding:
    met = [one for one in drawn if guardrail in one.harmed and one.arm in {arm, CONTROL} and arm in one.shares]
    evidence = harm_evidence(
        Harmed(one.arm == arm, one.shares[arm] / (one.shares[arm] + one.shares[CONTROL])) for one in met
    )
    mine = sum(one.arm == arm for one in met)
    return HarmFinding(guardrail=guardrail, harmed=mine, harmed_in_control=len(met) - mine, evidence=evidence)


def _verdict(arms: Sequence[ArmFinding], *, broken: bool) -> Verdict:
    if broken:
        return "broken"
    tried = [one.verdict for one in arms if one.arm != CONTROL]
    for verdict in ("better", "running", "too_early", "worse", "no_difference"):
        if verdict in tried:
            return verdict
    return "stopped"


# ---- the plain sentence ------------------------------------------------------------------------


def _sentence(
    tried: Experiment, arms: Sequence[ArmFinding], verdict: Verdict, counted: int, planned: int | None
) -> str:
    if verdict == "broken":
        harmful = [_of_arm(tried, one, arms) for one in arms if one.verdict == "stopped"]
        warning = (
            "The arms did not get the players they were to have, so nothing here can be trusted; "
            "find out why before anything else."
        )
        return " ".join([warning, *harmful])
    said = [_of_arm(tried, one, arms) for one in arms if one.arm != CONTROL]
    if verdict in {"running", "too_early"} and planned is not None:
        said.append(f"{counted:,} of {planned:,} planned players have been counted.")
    return " ".join(said)


def _of_arm(tried: Experiment, one: ArmFinding, arms: Sequence[ArmFinding]) -> str:
    control = next(arm for arm in arms if arm.arm == CONTROL)
    if one.verdict == "stopped":
        worst = max(one.harm, key=lambda harm: harm.evidence, default=None)
        if worst is None:
            return f"{one.arm} was stopped."
        return (
            f"{one.arm} was stopped because of harm: {worst.guardrail} came to {worst.harmed} of its players "
            f"and to {worst.harmed_in_control} in control."
        )
    if one.difference is None or one.share is None or control.share is None:
        return f"{one.arm}: too early to tell; {one.no_number}."
    goal = tried.goal.kind.type
    what = f"{one.arm}: {one.share:.1f} % reached {goal}, {control.share:.1f} % in control"
    if one.difference_from is None or one.difference_to is None:
        return f"{what}; {one.no_number}."
    span = f"between {_points(one.difference_from)} and {_points(one.difference_to)} points"
    return f"{what}: {_SAID.get(one.verdict, 'not decided yet, the difference lies')} {span}."


_SAID: Final[Mapping[Verdict, str]] = {
    "better": "it brings more,",
    "worse": "it brings less,",
    "no_difference": "no difference is shown, it lies",
}


def _points(value: float) -> str:
    return f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")
