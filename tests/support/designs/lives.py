"""Chapters, forks, other journeys, questions nobody answers."""

from temporalio.exceptions import ApplicationError

from tests.support.designs.facts import Ping, Pong
from workflows import Again, Form, Player, again, always, days, hours, journey, minutes, on, once


class Question(Form):
    """What do you think?"""

    opinion: str


@journey(on(Ping, where=lambda ping: ping.name == "chapters"), entry=always, ends_after=days(3000))
async def chaptered(player: Player, ping: Ping, chapter: int = 1) -> Again | None:
    """Three chapters of one event each; an event too many is carried into the next."""
    pong = await player.event(Pong, within=days(1000))
    await player.mark("chapter", number=chapter, heard=pong.name if pong else None)
    return again(chapter=chapter + 1) if chapter < 3 else None


@journey(on(Ping, where=lambda ping: ping.name == "fork"), entry=always, ends_after=days(30), control=0)
async def forking(player: Player, ping: Ping) -> None:
    """Split, start another journey twice, refresh."""
    part = player.split("half", a=50, b=50)
    first = await player.start(other)
    second = await player.start("other")
    await player.refresh()
    await player.mark("forked", part=part, first=bool(first), second=second.refused, language=player.language)


@journey(entry=once, ends_after=days(30))
async def other(player: Player, nothing: None) -> None:
    """Started only from another journey or by hand."""
    await player.mark("played", trigger=nothing is None)


@journey(on(Ping, where=lambda ping: ping.name == "ask"), entry=always, ends_after=days(30))
async def asking(player: Player, ping: Ping) -> None:
    """Ask with nobody to escalate to."""
    answer = await player.ask(Question, team="desk", due=hours(4))
    await player.mark("answered", opinion=answer.opinion if answer else None)


@journey(on(Ping, where=lambda ping: ping.name == "rest"), entry=always, ends_after=days(30))
async def resting(player: Player, ping: Ping) -> None:
    """Park, so that a test can cancel, stop or signal it."""
    await player.sleep(days(1))
    await player.send("deposit-help", via=["in_app"])
    await player.sleep(minutes(1))


@journey(on(Ping, where=lambda ping: ping.name == "fail"), entry=always, ends_after=days(30))
async def failing(player: Player, ping: Ping) -> None:
    """Give up in Temporal's own way."""
    raise ApplicationError("This run cannot go on.")


@journey(entry=always, ends_after=days(90))
async def attentive(player: Player, nothing: None) -> None:
    """Wait for one event among many."""
    await player.mark("began", part=player.split("half", a=50, b=50))
    came = await player.event(Pong, within=days(9), where=lambda pong: pong.name == "right")
    await player.mark("heard", it=came is not None, at=player.now.isoformat())
