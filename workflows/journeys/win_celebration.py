"""J07: a big win."""

from typing import Annotated, Literal

from workflows import (
    BigWin,
    FeedbackAnswered,
    Form,
    GameFault,
    Player,
    WithdrawalRequested,
    days,
    every,
    goal,
    hours,
    journey,
    minutes,
    on,
)
from workflows.events import Pii

VIP_TIERS = ("gold", "platinum", "diamond", "black")


class BigWinCall(Form):
    """Call and congratulate. If they ask how to withdraw, help them do it. Do not talk them into playing on."""

    outcome: Literal["reached", "no_answer", "voicemail", "declined"]
    note: Annotated[str, Pii()] = ""


class FaultInWin(Form):
    """The game broke during a big win. Find out what was won, and tell the player yourself."""

    outcome: Literal["paid", "explained", "passed_on"]
    note: Annotated[str, Pii()] = ""


def thumb(answer: FeedbackAnswered) -> bool:
    """Whether an answer is a thumb up."""
    return answer.kind in {"thumb", "yes_no"} and answer.score == 1


@journey(
    on(BigWin),
    entry=every(hours(8)),
    goal=goal(FeedbackAnswered, within=days(2), where=thumb),
    ends_after=days(2),
    control=0,
    waives={"no-control": "A win is celebrated with whoever has it; nothing is given that could be compared."},
)
async def win_celebration(player: Player, win: BigWin) -> None:
    """Congratulate within seconds, show the way to the money, and have a person call a VIP; nothing to bet on.

    Should the game have broken during the win, a person has a quarter of an hour, and the celebration is over.
    """
    await player.send("big-win", via=["in_app"], amount=win.win_minor, by=minutes(30))
    if await player.event(GameFault, within=minutes(5)):
        await player.send("fault-note", via=["in_app", "email"])
        await player.ask(
            FaultInWin,
            team="support",
            due=minutes(15),
            escalate_to="support-lead",
            reason=f"The game {win.game_id} broke during a win of {win.win_minor} minor units.",
            forbidden=["no bonus instead of the win"],
            priority=99,
        )
        return
    if player.tier in VIP_TIERS:
        await player.ask(
            BigWinCall,
            team="vip",
            due=hours(2),
            escalate_to="vip-head",
            reason=f"A win of {win.win_minor} minor units.",
            forbidden=["no word to play on, no offer"],
            priority=75,
        )
    if await player.event(WithdrawalRequested, within=days(1)):
        return
    await player.send("quick-question", via=["in_app"], about="win")
