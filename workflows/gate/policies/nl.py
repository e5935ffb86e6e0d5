"""The Netherlands: nothing is aimed at players under 24, no bonus during play, none that is based on a loss.

That a bonus may not bring somebody back or be for one game alone is not looked at: no fact says what a bonus is for.
"""

from datetime import date
from typing import Final

from workflows.gate.policy import policy

POLICIES: Final = (
    policy(
        "NL",
        since=date(2021, 10, 1),
        jurisdiction="NL",
        min_age=24,
        bonus_in_play=False,
        banned_rewards={"cashback"},
    ),
)
