from datetime import timedelta

from workflows import (
    Form,
    Player,
    PlayerRegistered,
    SessionLogin,
    TierChanged,
    again,
    journey,
    minutes,
    on,
    once,
    per,
    points,
)
from workflows.declaration import Again

CHAPTERS = 3


class CrashQuestion(Form):
    """Which word comes to your mind?"""

    word: str


@journey(on(PlayerRegistered), entry=once, ends_after=minutes(30))
async def crash_chapters(player: Player, registered: PlayerRegistered, chapter: int = 1) -> Again | None:
    """One mail a chapter."""
    await player.send("crash-word", via=["email"], word=f"chapter{chapter}")
    await player.event(SessionLogin, within=timedelta(seconds=1), fresh=True)
    return again(chapter=chapter + 1) if chapter < CHAPTERS else None


@journey(on(TierChanged), entry=per("to"), ends_after=minutes(30))
async def crash_ask(player: Player, change: TierChanged) -> None:
    """A question to a person, and a mail with the answer."""
    answer = await player.ask(CrashQuestion, team="crash", due=minutes(20), escalate_to="crash-head")
    if answer is None:
        return
    await player.send("crash-word", via=["email"], word=answer.word)
    await player.grant(points(7))
