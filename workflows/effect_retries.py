"""How an effect that failed is tried again."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True)
class Retries:
    """How an effect that failed is tried again: for ever, after pauses that grow."""

    initial_interval: timedelta
    backoff_coefficient: float
    maximum_interval: timedelta


UNTIL_THE_WORLD_ANSWERS = Retries(
    initial_interval=timedelta(milliseconds=500),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=30),
)
"""Infrastructure comes back, so an effect is tried for ever; a refusal is an answer, not an error."""

#: After the first hour it is tried less often: whoever mends it then needs hours, and every attempt is work for all.
SLOW_AFTER: Final = timedelta(hours=1)
SLOW_INTERVAL: Final = timedelta(minutes=10)
