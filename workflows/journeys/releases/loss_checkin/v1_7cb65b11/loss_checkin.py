"""J16: a person talks to a player who may be coming to harm."""

from typing import Annotated, Literal

from workflows import (
    DayStreak,
    Form,
    HarmSignal,
    LimitChanged,
    Player,
    days,
    every,
    goal,
    hours,
    journey,
    on,
    streak_of_days,
)
from workflows.events import Pii
from workflows.journeys.releases.loss_checkin.v1_7cb65b11.segments import lost_today

NO_OFFER = ["no offer, no bonus, no free play, now or later in this talk"]
TRIES = 3


class LossCheckin(Form):
    """Call the player, as somebody trained in safer play. Ask how they are; offer limits and a time-out, no bonus."""

    outcome: Literal["reached", "no_answer", "declined", "escalated"]
    limit_set: bool = False
    note: Annotated[str, Pii()] = ""


class SaferPlayReview(Form):
    """Look at the player once more: has play become calmer, or is more needed?"""

    outcome: Literal["calmer", "unchanged", "worse"]
    note: Annotated[str, Pii()] = ""


def worrying(signal: HarmSignal) -> bool:
    """Whether a signal of harm asks for a talk."""
    return signal.strength != "weak"


def tighter(change: LimitChanged) -> bool:
    """Whether a player has limited themselves more than before."""
    return change.direction == "tighter"


@journey(
    streak_of_days(lost_today, 3, where=lambda lost: lost > 0, name="losing"),
    on(HarmSignal, where=worrying),
    entry=every(days(7)),
    goal=goal(LimitChanged, within=days(30), where=tighter),
    ends_after=days(60),
    waives={"no-control": "Nobody is left without a talk for the sake of a comparison."},
)
async def loss_checkin(player: Player, sign: DayStreak | HarmSignal | None) -> None:
    """A talk by a trained person after three losing days or a sign of harm; never an automatic word, never a bonus.

    It ends by talking and not by being ignored: whom three calls do not reach is told of the tools, and looked at
    again after a week and after a month.
    """
    strong = isinstance(sign, HarmSignal) and sign.strength == "strong"
    reason = f"Signs of harm: {sign.indicator}." if isinstance(sign, HarmSignal) else "Three losing days in a row."
    if isinstance(sign, DayStreak):
        # A day is judged in the night, when nobody is called.
        await player.until("10:00")
    for _ in range(TRIES):
        talk = await player.ask(
            LossCheckin,
            team="safer-play",
            skill="rg",
            due=hours(1) if strong else hours(4),
            escalate_to="safer-play-lead",
            reason=reason,
            forbidden=NO_OFFER,
            priority=95 if strong else 90,
        )
        if talk is not None and talk.outcome != "no_answer":
            break
        await player.sleep(hours(12))
        await player.until("11:00")
    else:
        await player.send("safer-play", via=["in_app", "email"])
    await player.sleep(days(7))
    await review(player, "A week after a talk about safer play.")
    await player.sleep(days(23))
    await review(player, "A month after a talk about safer play.")


async def review(player: Player, reason: str) -> SaferPlayReview | None:
    """Have the player looked at again."""
    return await player.ask(
        SaferPlayReview,
        team="safer-play",
        skill="rg",
        due=days(2),
        escalate_to="safer-play-lead",
        reason=reason,
        forbidden=NO_OFFER,
        priority=80,
    )
