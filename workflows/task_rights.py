"""Who may answer a task: its team, its skill, and never twice the same pair of eyes. Pure: both theatres ask here.

A task may name steps of its run whose answerers may not answer it (`not_by=`), and want the same answer from several
people (`approvals=`). Everybody counts once, by id, whatever name they go by.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

#: How a team and a skill are spelt.
GIVEN: Final = r"[a-z0-9][a-z0-9._-]{0,63}"
#: The most pairs of eyes a task may want.
MOST_APPROVALS: Final = 5
Rule = Literal["team", "skill", "earlier", "again"]


@dataclass(frozen=True, slots=True)
class Signature:
    """Somebody who has approved the answer of a task, or may not because they answered `step` before."""

    signer_id: str
    signer: str
    #: The step of the run that bars them; None for who has approved.
    step: str | None = None


@dataclass(frozen=True, slots=True)
class NotTheirs:
    """Why somebody may not answer a task: the rule, and the sentence for them."""

    rule: Rule
    sentence: str


def refusal(
    team: str,
    skill: str | None,
    *,
    name: str,
    signer_id: str,
    teams: Collection[str] | None,
    skills: Collection[str],
    signatures: Sequence[Signature] = (),
) -> NotTheirs | None:
    """Why somebody may not work on a task of `team` and `skill`; None when they may. `teams` of None is any team's.

    `signatures` are those of its round, and of whoever answered a step that bars them. Whom an older record has by name
    alone is recognised by that.
    """
    if teams is not None and team not in teams:
        return NotTheirs("team", f"This task is for the team {team}, which {name} is not in.")
    if skill is not None and skill not in skills:
        return NotTheirs("skill", f"This task asks for the skill {skill}, which {name} does not have now.")
    for one in signatures:
        if signer_id == one.signer_id or name.casefold() == one.signer.casefold():
            known = "" if name == one.signer else f" as {one.signer}"
            if one.step is None:
                return NotTheirs("again", f"{name} gave this answer{known}; it waits for another pair of eyes.")
            return NotTheirs("earlier", f"{name} answered {one.step}{known}; this asks for another pair of eyes.")
    return None
