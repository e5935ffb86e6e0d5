"""What the engine itself asks people about a reward of which nobody can say whether the player has it."""

from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import Field

from workflows.events.base import Pii
from workflows.forms import Form

#: Who can look into the bonus engine.
TEAM: Final = "payments"
DUE: Final = timedelta(hours=4)
PRIORITY: Final = 70
STEP: Final = "review:grant"
#: What nobody may do meanwhile.
FORBIDDEN: Final = ("give the reward again by hand",)


class GrantInDoubt(Form):
    """The bonus engine does not say what became of a reward. Look there: has the player got it, or did you void it?"""

    outcome: Literal["given", "voided"]
    note: Annotated[str, Pii(), Field(max_length=4000)] = ""
