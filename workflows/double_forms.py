"""What the engine itself asks people about two accounts that are likely one person's."""

from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import Field

from workflows.events.base import Pii
from workflows.forms import Form

#: Who can compare documents and payment accounts.
TEAM: Final = "data-quality"
DUE: Final = timedelta(days=7)
PRIORITY: Final = 30
STEP: Final = "review:double"
#: What nobody may do meanwhile.
FORBIDDEN: Final = ("tell the player of the other account", "close one of the accounts only because of this")


class DoubleAccount(Form):
    """Are these two accounts one person's? Then they are joined, and what protects one protects both."""

    outcome: Literal["one_person", "two_people"]
    note: Annotated[str, Pii(), Field(max_length=4000)] = ""
