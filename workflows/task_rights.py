"""Who may answer a task: its team, its skill, and never twice the same pair of eyes. Pure: both theatres ask here.

A task may name steps of its run whose answerers may not answer it (`not_by=`), and want the same answer from several
people (`approvals=`). Everybody counts once, by id, whatever name they go by. A key that names nobody who is registered
may be in anybody's hands: it answers no such task, and whoever acts through one that answered an earlier step is it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

#: How a team and a skill are spelt.
GIVEN: Final = r"[a-z0-9][a-z0-9._-]{0,63}"
#: The most pairs of eyes a task may want.
MOST_APPROVALS: Final = 5
Rule = Literal["team", "skill", "earlier", "again", "nameless"]


@dataclass(frozen=True, slots=True)
class Signature:
    """Somebody who has approved the answer of a task, or may not because they answered `step` before."""

    signer_id: str
    signer: str
    #: The step of the run that bars them; None for who has approved.
    step: str | None = None
    #: The key that was used, if any; a key that named nobody who is registered signed as itself.
    key_id: str | None = None

    def is_of(self, name: str, signer_id: str, key_id: str | None) -> bool:
        """Whether somebody is this pair of eyes, or may be. Whom an older record has by name is recognised by that."""
        if signer_id == self.signer_id or name.casefold() == self.signer.casefold():
            return True
        was_nameless = self.key_id is not None and self.signer_id == self.key_id
        return was_nameless and key_id == self.key_id


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
    key_id: str | None = None,
    signatures: Sequence[Signature] = (),
) -> NotTheirs | None:
    """Why somebody may not work on a task of `team` and `skill`; None when they may. `teams` of None is any team's.

    `signatures` are those of its round, and of whoever answered a step that bars them. `key_id` is the key they use.
    """
    if teams is not None and team not in teams:
        return NotTheirs("team", f"This task is for the team {team}, which {name} is not in.")
    if skill is not None and skill not in skills:
        return NotTheirs("skill", f"This task asks for the skill {skill}, which {name} does not have now.")
    # Who answered before may not answer at all; who gave this answer may give another one.
    for one in sorted(signatures, key=lambda one: one.step is None):
        if one.is_of(name, signer_id, key_id):
            known = "" if name == one.signer else f" as {one.signer}"
            if one.step is None:
                return NotTheirs("again", f"{name} gave this answer{known}; it waits for another pair of eyes.")
            return NotTheirs("earlier", f"{name} answered {one.step}{known}; this asks for another pair of eyes.")
    return None
