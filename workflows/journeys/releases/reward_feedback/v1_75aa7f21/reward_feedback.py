"""J17, about rewards: did you like it?"""

from workflows import (
    FeedbackAnswered,
    Player,
    RewardCompleted,
    SupportCaseOpened,
    days,
    every,
    goal,
    hours,
    journey,
    on,
)


def thumb(answer: FeedbackAnswered) -> bool:
    """Whether an answer is a thumb or a yes or no."""
    return answer.kind in {"thumb", "yes_no"}


@journey(
    on(RewardCompleted),
    entry=every(days(14)),
    goal=goal(FeedbackAnswered, within=days(3), where=thumb),
    exit_on=[SupportCaseOpened],
    ends_after=days(4),
    control=10,
)
async def reward_feedback(player: Player, completed: RewardCompleted) -> None:
    """A day after a reward was used: one thumb, and the answer is kept with the player."""
    await player.sleep(hours(24))
    await player.send("quick-question", via=["in_app"], about="reward")
    answer = await player.event(FeedbackAnswered, within=days(3), where=thumb)
    await player.mark("answered", liked=None if answer is None else answer.score == 1, grant=completed.grant_id)
