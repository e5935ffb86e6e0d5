"""Brazil: Portaria SPA/MF 1.231/2024 bans the bonus that draws somebody in, and allows what is for loyalty.

Where drawing in ends is our reading: with the second deposit. Before it any bonus counts as a welcome.
"""

from datetime import date
from typing import Final

from workflows.gate.policy import policy

POLICIES: Final = (policy("BR", since=date(2024, 8, 1), jurisdiction="BR", welcome_bonus=False),)
