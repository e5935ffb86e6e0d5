"""Malta: the Player Protection Directive of the MGA, enforceable since 12 January 2024.

A player who comes back from an exclusion waits 24 hours or 7 days, by the kind of exclusion. What is told of an end
does not say which, so it is seven days here.

Of the Directive's five markers of harm those are derived that can be told from play and payments: deposits against what
is usual, withdrawals taken back, and the use of the tools of player protection.
"""

from datetime import date, timedelta
from typing import Final

from workflows.gate.policy import policy

POLICIES: Final = (
    policy(
        "MT",
        since=date(2024, 1, 12),
        jurisdiction="MT",
        cooling_off=timedelta(days=7),
        harm_markers={"cancelled_withdrawals", "limit_raised", "spend_vs_norm"},
    ),
)
