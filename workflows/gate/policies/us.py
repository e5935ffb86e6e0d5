"""The United States: the TCPA. Text messages from 8:00 to 21:00 on the recipient's clock, and no others."""

from datetime import date, time
from typing import Final

from workflows.gate.policy import policy
from workflows.gate.quiet_hours import Night

POLICIES: Final = (
    policy(
        "US",
        since=date(1992, 12, 20),
        jurisdiction="US",
        nights={Night(time(21), time(8), channels=frozenset({"sms"}))},
    ),
)
