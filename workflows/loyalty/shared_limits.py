"""What all players share: a budget of a day, a stock, the seats of a tournament; and what one of them takes of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LimitShare:
    """What a prize takes of what all players share on a day of the wheel: the limit's name, how much, of how much."""

    limit: str
    amount: int
    most: int
