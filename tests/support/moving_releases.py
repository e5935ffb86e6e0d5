# ruff: noqa: ARG001 - a journey takes the event that starts it
"""A journey with several releases, each a function of a test, for one run that moves between them."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from workflows import Player, again, days, journey
from workflows.run import JourneyRun

Play = Callable[[Player], Awaitable[object]]


def released(*plays: Play, ends_after: timedelta = days(60), chapters: int = 1) -> type[JourneyRun]:
    """A journey with these releases, 1, 2, …; what it is now is the last of them. It plays them so often."""
    made: list[type[JourneyRun]] = []
    for play in plays:

        @journey(ends_after=ends_after)
        async def moving(player: Player, nothing: None, play: Any = play, chapter: int = 1) -> object:
            """Whatever its release says."""
            result = await play(player)
            return result if chapter >= chapters else again(chapter=chapter + 1)

        made.append(moving)
    last = made[-1]
    last.definition = replace(last.definition, versions=dict(enumerate((one.definition for one in made), start=1)))
    return last
