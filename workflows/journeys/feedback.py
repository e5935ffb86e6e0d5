"""J17: one question a quarter, and what follows from the answer."""

from typing import Annotated, Literal

from workflows import (
    Answer,
    FeedbackAnswered,
    Form,
    NoAnswer,
    NotAwarded,
    Player,
    Scheduled,
    days,
    every,
    goal,
    hours,
    journey,
    points,
    schedule,
)
from workflows.events import Pii
from workflows.journeys.segments import regular

VIP_TIERS = ("gold", "platinum", "diamond", "black")
POINTS = 50


class DetractorCall(Form):
    """Call the player who would not recommend us. Listen, and write down what is to be mended; offer nothing."""

    outcome: Literal["reached", "no_answer", "declined", "passed_on"]
    to_mend: Annotated[str, Pii()] = ""


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

    Nobody is asked who has just lost or complained: it would be read as mockery. They are asked once more, days later.
    """
    answer = await ask(player)
    if isinstance(answer, NoAnswer) and answer.reason == "sore":
        await player.sleep(days(4))
        answer = await ask(player)
    if not isinstance(answer, Answer) or answer.score is None:
        return
    await thank(player)
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


async def ask(player: Player) -> Answer | NoAnswer:
    """The question, where the player is or by mail."""
    return await player.survey("recommend", via=["in_app"], fallback=["email"], within=days(7))


async def thank(player: Player) -> None:
    """As many points for every answer: of the house's own program, or the casino's where that is not deployed."""
    thanked = await player.award(points(POINTS), into="house_points")
    if isinstance(thanked, NotAwarded) and thanked.reason == "not_declared":
        await player.grant(points(POINTS))
