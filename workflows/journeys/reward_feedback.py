"""J17, about rewards: did you like it?"""

from workflows import (
    Answer,
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


def kind_of(grant_id: str) -> str | None:
    """The kind of a reward that a journey gave, by its id; None of one that came from elsewhere."""
    _, given, step = grant_id.rpartition("/grant:")
    return step.partition("#")[0] if given else None


@journey(
    on(RewardCompleted),
    entry=every(days(14)),
    goal=goal(FeedbackAnswered, within=days(3), where=thumb),
    exit_on=[SupportCaseOpened],
    ends_after=days(4),
    control=10,
)
async def reward_feedback(player: Player, completed: RewardCompleted) -> None:
    """A day after a reward was used: one thumb, and `player.liked` knows what of it for the next offer."""
    await player.sleep(hours(24))
    about = kind_of(completed.grant_id)
    answer = await player.survey("reward-thumb", about=about, via=["in_app"], fallback=["email"], within=days(3))
    liked = answer.liked if isinstance(answer, Answer) else None
    await player.mark("answered", liked=liked, grant=completed.grant_id)
