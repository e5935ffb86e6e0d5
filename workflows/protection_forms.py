"""What the engine itself asks people about a player's protection, without a journey: forms, teams and time.

Such a task is opened in the transaction that restricts the player, or when the player contests it. Its answer is a
judgement (`compliance.harm_reviewed`) of the moment in which it is given.
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


PROTECTION_FORMS: Final[Mapping[str, type[Form]]] = MappingProxyType(
    {form.__name__: form for form in (HarmReview, ContestedRestriction)}
)
#: By form: how long it has.
DUE: Final[Mapping[str, timedelta]] = MappingProxyType(
    {HarmReview.__name__: REVIEW_DUE, ContestedRestriction.__name__: CONTEST_DUE}
)
#: By form: the step of such a task, which no run has.
STEPS: Final[Mapping[str, str]] = MappingProxyType(
    {HarmReview.__name__: "review:harm", ContestedRestriction.__name__: "review:contest"}
)
