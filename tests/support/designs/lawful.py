"""Policies of a deployment, as plain values beside its journeys."""

from datetime import date

from workflows import policy

ALONE = policy("lawful", since=date(2026, 1, 1), brand="acme", per_week=3)
SEVERAL = [ALONE, policy("lawful-gb", since=date(2026, 1, 1), jurisdiction="GB", jurisdictions={"GB"})]
