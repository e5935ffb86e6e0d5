"""J04: what the player likes to play."""

from workflows import (
    FeedbackAnswered,
    GameSessionStarted,
    HarmSignal,
    Player,
    RoundCompleted,
    count,
    days,
    distinct,
    every,
    goal,
    journey,
    milestone,
    month,
    on,
    threshold,
)

sessions = count(GameSessionStarted, per=month)
kinds_of_game = distinct(GameSessionStarted, "category", last=days(90))


def worrying(signal: HarmSignal) -> bool:
    """Whether a signal of harm ends every offer."""
    return signal.strength != "weak"


@journey(
    milestone(RoundCompleted, 20),
    threshold(sessions, 3),
    entry=every(days(90)),
    goal=goal(GameSessionStarted, within=days(14)),
    exit_on=[on(HarmSignal, where=worrying)],
    ends_after=days(30),
    control=10,
)
async def game_preference(player: Player, _: RoundCompleted | GameSessionStarted) -> None:
    """After twenty rounds, or three sessions in a month: a tip for what is liked, news of it, and one thumb.

    Who plays three kinds or more is an explorer, and is told of everything that is new. Nothing is offered.
    """
    explorer = await player.value(kinds_of_game) >= 3
    about = None if explorer else player.favourite_category
    await player.send("favourite-tip", via=["in_app"], fallback=["email"], about=about)
    await player.sleep(days(7))
    await player.refresh()
    changed = player.favourite_category != about and not explorer
    await player.send(
        "new-in-your-kind", via=["in_app"], fallback=["email"], about=player.favourite_category if changed else about
    )
    await player.sleep(days(7))
    await player.send("quick-question", via=["in_app"], about="game")
    answer = await player.event(FeedbackAnswered, within=days(3))
    await player.mark("preference", explorer=explorer, about=about, liked=None if answer is None else answer.score == 1)
