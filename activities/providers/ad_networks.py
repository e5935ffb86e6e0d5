"""What any ad network that is told of audiences promises, whatever the shape of its API.

* JourneysError
  x AdNetworkUnavailable
    x LinesRefused
"""

from collections.abc import Sequence
from typing import Final, Protocol

from activities.audiences import Line
from workflows.errors import JourneysError

#: People in one request; the networks take ten times as many.
MOST: Final = 1_000


class AdNetworkUnavailable(JourneysError):
    """The ad network did not say that it did what it was asked; ask again later, it does nothing twice."""


class LinesRefused(AdNetworkUnavailable):
    """It cannot read some of the lines, at `positions` where it says which; without them it takes the others.

    Whether it has taken the others already differs by network, so they are said again.
    """

    def __init__(self, message: str, positions: frozenset[int] = frozenset()) -> None:
        super().__init__(message)
        self.positions = positions


class AdNetwork(Protocol):
    """An ad network's audiences. To add who is there, or take out who is not, changes nothing there."""

    async def add(self, audience: str, lines: Sequence[Line], *, agreed: bool) -> None:
        """Add people to an audience, at most `MOST`; `agreed`: each of them agreed to ads.

        Raises AdNetworkUnavailable unless all were taken in.
        """

    async def remove(self, audience: str, lines: Sequence[Line]) -> None:
        """Take people out of an audience, at most `MOST`. Raises AdNetworkUnavailable unless all were taken in."""
