"""Somebody plays in another way than before: a person looks, and no machine says a word."""

from typing import Annotated, Literal

from workflows import (
    Form,
    Player,
    RoundCompleted,
    SegmentEntered,
    SessionLogin,
    Statistics,
    choices,
    days,
    entered,
    journey,
    level,
    per,
    segment,
    week_days,
)
from workflows.events import Pii

VIP_TIERS = ("gold", "platinum", "diamond", "black")

stakes = level(RoundCompleted, "stake_minor")
games = choices(RoundCompleted, "category")
visits = week_days(SessionLogin)


@segment
def stakes_changed(player: Statistics) -> bool:
    """Stakes half as much again in the last four weeks as in the eight before, or as much less.

    It is asked of everybody: who stakes far more may need help, and no objection to profiling ends that.
    """
    return player.changed(stakes, to_protect=True)


@segment
def games_changed(player: Statistics) -> bool:
    """Plays other kinds of games in the last four weeks than in the eight before."""
    return player.changed(games)


@segment
def days_changed(player: Statistics) -> bool:
    """Comes at the weekend and came on weekdays before, or the other way."""
    return player.changed(visits)


class StakesReview(Form):
    """The player stakes far more than before. Look whether they can afford it and still enjoy it; offer nothing."""

    outcome: Literal["well", "talk", "passed_on"]
    note: Annotated[str, Pii()] = ""


class HostLook(Form):
    """A player you look after plays in another way than before. Call if you see why, and offer nothing unasked."""

    outcome: Literal["called", "left_alone", "passed_on"]
    note: Annotated[str, Pii()] = ""


@journey(
    entered(stakes_changed),
    entered(games_changed),
    entered(days_changed),
    entry=per("event_id"),
    ends_after=days(14),
    waives={
        "no-goal": "A person looks; there is nothing that the player should do.",
        "no-control": "Nothing is said or given that could be compared.",
    },
)
async def pattern_change(player: Player, seen: SegmentEntered) -> None:
    """Higher stakes are looked at by somebody trained in safer play, any other change of a VIP by their host.

    It sends nothing and gives nothing. Only where the person who looked says so, a talk follows (`loss_checkin`). What
    changed for everybody else is kept as the mark `pattern`, for whoever plans what to offer to whom. Of who objected
    to being profiled higher stakes alone are seen, for their protection.
    """
    if seen.segment == "stakes_changed":
        change = await player.changed(stakes, to_protect=True)
    elif seen.segment == "games_changed":
        change = await player.changed(games)
    else:
        change = await player.changed(visits)
    if not change:
        return
    why = f"{change.why} Now: {change.to}."
    if seen.segment == "stakes_changed" and change.to == "higher":
        await look_at_stakes(player, why)
    elif player.objects_to_profiling:
        # Stakes that fell are nobody's business: they protect from nothing.
        return
    elif player.tier in VIP_TIERS:
        await player.ask(
            HostLook,
            team="vip",
            due=days(3),
            escalate_to="vip-head",
            reason=why,
            forbidden=["no offer unasked"],
        )
    else:
        await player.mark("pattern", of=seen.segment, to=change.to)


async def look_at_stakes(player: Player, why: str) -> None:
    """Have it looked at by a trained person, and the player talked to if they say so."""
    looked = await player.ask(
        StakesReview,
        team="safer-play",
        skill="rg",
        due=days(2),
        escalate_to="safer-play-lead",
        reason=why,
        forbidden=["no offer, no bonus, no word to play on"],
        priority=75,
    )
    if looked is not None and looked.outcome == "talk":
        await player.start("loss_checkin")
