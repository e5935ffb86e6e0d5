"""What people do here, and what each role lets them do; `docs/people.md` says it to people.

A role opens doors (`scopes`). Which of a team's tasks somebody answers depends on teams and skills, which are given
apart from it, except for what the role itself attests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: The skill of who signs for the house: given by the role alone.
EXECUTIVE: Final = "executive"


@dataclass(frozen=True)
class Role:
    """What a role lets a person do."""

    why: str
    scopes: frozenset[str]
    skills: frozenset[str] = frozenset()


ROLES: Final[Mapping[str, Role]] = {
    "manager": Role("works with players and answers tasks", frozenset({"tasks:work", "players:read"})),
    "head": Role(
        "leads managers, and takes what is passed up", frozenset({"tasks:work", "tasks:lead", "players:read"})
    ),
    "loyalty": Role("corrects points, a few alone", frozenset({"tasks:work", "players:read", "points:correct"})),
    "support": Role("answers players' questions", frozenset({"tasks:work", "players:read"})),
    "compliance": Role(
        "checks, excludes, erases, judges signs of harm, looks into what was done",
        frozenset({"tasks:work", "players:read", "players:erase", "players:export", "audit:read", "harm:review"}),
    ),
    "executive": Role(
        "is accountable, and signs",
        frozenset({"tasks:work", "players:read", "audit:read"}),
        skills=frozenset({EXECUTIVE}),
    ),
    "auditor": Role("reads what was done, and does nothing", frozenset({"audit:read"})),
    "designer": Role("writes journeys, and looks at how they run", frozenset({"journeys:manage"})),
    "operator": Role("keeps the engine running", frozenset({"journeys:manage"})),
    # Apart from everything else: who decides what others may does nothing of it.
    "admin": Role("says who works here, and as what", frozenset({"people:manage"})),
}


def scopes_of(roles: frozenset[str]) -> frozenset[str]:
    """The scopes of somebody with these roles; a role that is no more gives none."""
    return frozenset[str]().union(*(ROLES[role].scopes for role in roles if role in ROLES))


def skills_of(roles: frozenset[str]) -> frozenset[str]:
    """What these roles attest by themselves."""
    return frozenset[str]().union(*(ROLES[role].skills for role in roles if role in ROLES))
