"""Whose a task is when it opens: the player's host's, else somebody's with the skill, the language and the time. Pure.

Who says how many minutes of their day tasks may take is given tasks; who says nothing takes them from the pool.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody who may work on a task, by the rules of its team and its skill."""

    id: str
    #: How histories name them.
    name: str
    languages: frozenset[str] = frozenset()
    #: Minutes of a day that tasks may take; None: they are given none.
    minutes: int | None = None
    #: Minutes that the tasks in their hands take.
    taken: int = 0


@dataclass(frozen=True, slots=True)
class OutOfOffice:
    """Somebody is not here now; `stand_in` is who looks after their players meanwhile, by id."""

    stand_in: str | None = None


def assignee(
    able: Sequence[Colleague], host: str | None, away: Mapping[str, OutOfOffice], *, language: str | None, minutes: int
) -> Colleague | None:
    """Who is given a task that takes `minutes`; None leaves it to whoever takes it from the team.

    A host is given the task whatever they have in hand: the player knows them. `language` is the player's; who speaks
    it comes before who does not say.
    """
    known = {one.id: one for one in able}
    theirs = present(host, away)
    if theirs is not None and theirs in known:
        return known[theirs]
    free = [
        one for one in able if one.id not in away and one.minutes is not None and one.taken + minutes <= one.minutes
    ]
    spoken = (language or "").partition("-")[0].lower()
    speaking = [one for one in free if spoken and spoken in one.languages]
    chosen = speaking or [one for one in free if not one.languages or not spoken]
    return min(chosen, key=lambda one: (one.taken / (one.minutes or 1), one.name), default=None)


def present(host: str | None, away: Mapping[str, OutOfOffice]) -> str | None:
    """The host, or who stands in for them and is here; None where everybody in the row is away."""
    seen = set[str]()
    while host is not None and host in away and host not in seen:
        seen.add(host)
        host = away[host].stand_in
    return None if host in seen else host
