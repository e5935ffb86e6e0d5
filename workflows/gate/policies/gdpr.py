"""The GDPR in the European Economic Area, and in the United Kingdom as its own.

Who objects to direct marketing or to the profiling behind it is not written to any more (art. 21); the first is a
withdrawn consent, the second a No to the channel `profiling`. One policy a country, for a player has one country.
"""

from datetime import date
from typing import Final

from workflows.gate.policy import policy

COUNTRIES: Final = (
    *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GR", "HR", "HU", "IE"),
    *("IS", "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK"),
)

POLICIES: Final = tuple(
    policy(f"GDPR-{country}", since=date(2018, 5, 25), jurisdiction=country, profiling_objection=True)
    for country in COUNTRIES
)
