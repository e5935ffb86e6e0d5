"""J04: what the player likes to play."""

from workflows import (
    FeedbackAnswered,
    GameSessionStarted,
    HarmSignal,
    Player,
    RoundCompleted,
    choices,
    count,
    days,
    distinct,
    every,
    goal,
    journey,
    milestone,
    mission,
    month,
    on,
    threshold,
)

sessions = count(GameSessionStarted, per=month)
kinds_of_game = distinct(GameSessionStarted, "category", last=days(90))
played_lately = choices(RoundCompleted, "category")
#: Of the house's own program (`workflows.programs.casino`), by what is liked; where it is not deployed there is none.
MISSIONS = {"slot": "five_slots", "live": "three_live_tables"}
FOR_ALL = "three_games"


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
    """After twenty rounds, or three sessions in a month: a tip for what is liked, a mission, news, and one thumb.

    Who plays three kinds or more is an explorer, and is told of everything that is new; who has gone over to another
    kind in the last weeks hears of that one, however much was staked on the old. The mission is one of the house's
    program, open to everybody: here the player need not ask for it, and nobody hears of one they are through with.
    No money is offered.
    """
    explorer = await player.value(kinds_of_game) >= 3
    about = None if explorer else await liked(player)
    await player.send("favourite-tip", via=["in_app"], fallback=["email"], about=about)
    await player.sleep(days(1))
    opened = MISSIONS.get(about or "", FOR_ALL)
    if await player.award(mission(opened)):
        await player.send("mission-for-you", via=["in_app"], fallback=["email"], mission=opened)
    await player.sleep(days(6))
    await player.refresh()
    news_of = None if explorer else await liked(player)
    await player.send("new-in-your-kind", via=["in_app"], fallback=["email"], about=news_of)
    await player.sleep(days(7))
    await player.send("quick-question", via=["in_app"], about="game")
    answer = await player.event(FeedbackAnswered, within=days(3))
    await player.mark("preference", explorer=explorer, about=about, liked=None if answer is None else answer.score == 1)


async def liked(player: Player) -> str | None:
    """The kind of games the player has gone over to lately; without such a change, where most was staked ever."""
    change = await player.changed(played_lately)
    return change.to if change else player.favourite_category
