"""J17: one question a quarter, and what follows from the answer."""

from typing import Annotated, Literal

from workflows import (
    FeedbackAnswered,
    Form,
    Player,
    Scheduled,
    SupportCaseOpened,
    count,
    days,
    every,
    goal,
    hours,
    journey,
    points,
    schedule,
)
from workflows.events import Pii
from workflows.journeys.segments import lost_today, regular

VIP_TIERS = ("gold", "platinum", "diamond")
POINTS = 50


class DetractorCall(Form):
    """Call the player who would not recommend us. Listen, and write down what is to be mended; offer nothing."""

    outcome: Literal["reached", "no_answer", "declined", "passed_on"]
    to_mend: Annotated[str, Pii()] = ""


def a_complaint(case: SupportCaseOpened) -> bool:
    """Whether a case is a complaint."""
    return case.topic == "complaint"


complaints = count(SupportCaseOpened, where=a_complaint, last=days(3), name="complaints")


def recommends(answer: FeedbackAnswered) -> bool:
    """Whether an answer says how likely the player would recommend us."""
    return answer.kind == "nps" and answer.score is not None


@journey(
    schedule("17:00", weekday="wednesday", segment=regular),
    entry=every(days(90)),
    goal=goal(FeedbackAnswered, within=days(7), where=recommends),
    ends_after=days(14),
    control=10,
)
async def feedback(player: Player, _: Scheduled) -> None:
    """Ask how likely the player would recommend us; call who would not, thank who would; points whatever they say.

    Nobody is asked on a day after losses or within three days of a complaint: it would be read as mockery.
    """
    if not await in_the_mood(player):
        await player.sleep(days(4))
        if not await in_the_mood(player):
            return
    await player.send("nps", via=["in_app"], fallback=["email"])
    answer = await player.event(FeedbackAnswered, within=days(7), where=recommends)
    if answer is None or answer.score is None:
        return
    await player.grant(points(POINTS))
    if answer.score <= 6:
        await player.ask(
            DetractorCall,
            team="vip" if player.tier in VIP_TIERS else "support",
            due=hours(24),
            escalate_to="support-lead",
            reason=f"Would recommend us with {answer.score} of 10.",
            forbidden=["no bonus for a better mark"],
            priority=60,
        )
    elif answer.score >= 9:
        await player.sleep(days(1))
        await player.send("review-ask", via=["in_app"])


async def in_the_mood(player: Player) -> bool:
    """Whether the player has neither lost today or yesterday nor complained lately."""
    if await player.value(complaints):
        return False
    return await player.value(lost_today) <= 0 and await player.value(lost_today, previous=True) <= 0
