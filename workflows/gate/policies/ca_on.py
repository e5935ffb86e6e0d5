"""Ontario: the Registrar's standards for internet gaming.

Nobody under 19 (standard 3), and offers only after a consent that was given in Ontario (standard 2.05): one from
elsewhere, or of which nobody knows where, does not count.

A Canadian whose province is not known is taken for one of Ontario, the only province here, and their consent from
somewhere in Canada does not count.
"""

from datetime import date
from typing import Final

from workflows.gate.policy import policy

POLICIES: Final = (
    policy(
        "CA-ON",
        since=date(2022, 4, 4),
        jurisdiction="CA-ON",
        min_age=19,
        consent_given_here=True,
        consent_given_in={"CA-ON"},
    ),
)
