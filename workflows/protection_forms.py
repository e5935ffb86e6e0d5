"""What the engine itself asks people about a player's protection, without a journey: forms, teams and time.

Such a task is opened in the transaction that restricts the player or makes a check due, or when the player contests.
Its answer becomes an event of the moment in which it is given: `compliance.harm_reviewed`, or
`compliance.affordability_changed`.
"""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import Field

from workflows.events.base import Pii
from workflows.forms import Form
from workflows.local_time import DAY, WEEK

#: Who may answer: people trained for it, with a key of the scope of the same meaning.
TEAM: Final = "compliance"
SKILL: Final = "harm_review"
#: What nobody may do meanwhile.
FORBIDDEN: Final = ("offer a bonus", "invite to play", "promise that the restriction will be lifted")
#: A review is due in a day; a player who contests is answered in a week (Malta's directive asks it of lifts).
REVIEW_DUE: Final = DAY
CONTEST_DUE: Final = WEEK
CHECK_DUE: Final = 2 * DAY
PRIORITY: Final = 90


class HarmReview(Form):
    """How strong are the signs of harm with this player, and what was done?"""

    to: Literal["none", "weak", "medium", "strong"]
    reason: Annotated[str, Pii(), Field(min_length=1, max_length=4000)]


class ContestedRestriction(Form):
    """The player contests being restricted: how strong are the signs of harm, and what were they answered?"""

    to: Literal["none", "weak", "medium", "strong"]
    reason: Annotated[str, Pii(), Field(min_length=1, max_length=4000)]
    answer_to_player: Annotated[str, Pii(), Field(min_length=1, max_length=4000)]


class AffordabilityReview(Form):
    """The player has paid in more than may go unlooked at: what did the check of what they can afford show?"""

    result: Literal["pass", "fail"]
    reason: Annotated[str, Pii(), Field(min_length=1, max_length=4000)]


PROTECTION_FORMS: Final[Mapping[str, type[Form]]] = MappingProxyType(
    {form.__name__: form for form in (HarmReview, ContestedRestriction, AffordabilityReview)}
)
#: By form: how long it has.
DUE: Final[Mapping[str, timedelta]] = MappingProxyType(
    {
        HarmReview.__name__: REVIEW_DUE,
        ContestedRestriction.__name__: CONTEST_DUE,
        AffordabilityReview.__name__: CHECK_DUE,
    }
)
#: By form: the step of such a task, which no run has.
STEPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        HarmReview.__name__: "review:harm",
        ContestedRestriction.__name__: "review:contest",
        AffordabilityReview.__name__: "review:affordability",
    }
)
