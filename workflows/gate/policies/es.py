"""Spain: royal decree 958/2020 on advertising.

Its art. 13 allowed a bonus only to customers of thirty days and more. The Supreme Court annulled 13.1 and 13.3
(527/2024), and a bill of 2025 would restore them. So it is off, and no number here is stricter than the house's. Once a
lawyer says that it holds again:

    policy("ES-bonus", since=date(2027, 1, 1), jurisdiction="ES", bonus_after=days(30))
"""

from datetime import date
from typing import Final

from workflows.gate.policy import policy

POLICIES: Final = (policy("ES", since=date(2024, 1, 1), jurisdiction="ES"),)
