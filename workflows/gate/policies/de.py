"""Germany: the state treaty on gambling of 2021.

No personal advertising to whom OASIS blocks: an exclusion of the kind `register`, which the house's rule honours. A
block is never over by its time: it ends only when the player has asked for that in writing (§ 8b(1)), and somebody
says so.

Off until a lawyer says on: advertising for slots and poker is banned from 06:00 to 21:00 in broadcasting and on the
internet, and whether a mail is that is not settled. Whoever is told so writes it beside their journeys:

    policy("DE-licence", since=date(2026, 1, 1), jurisdiction="DE", nights={Night(time(6), time(21))})
"""

from datetime import date
from typing import Final

from workflows.gate.policy import policy

POLICIES: Final = (policy("DE", since=date(2021, 7, 1), jurisdiction="DE", exclusions_lapse=False),)
