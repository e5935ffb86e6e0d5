"""How many in a row, by the events' own time: what comes a little late is put where it belongs."""

from bisect import insort
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

#: So many of the newest hits are kept with their times. A miss older than all of them changes nothing.
REMEMBERED: Final = 16


@dataclass(slots=True)
class StreakState:
    """The hits since the newest miss, in microseconds since 1970, and in one number those before the newest 16.

    Of two events at one instant the one that arrived first counts as the earlier.
    """

    hits: list[int] = field(default_factory=list)
    broken: int | None = None
    #: How many hits came before `hits`, when the first of them was, and when the last.
    older: int = 0
    since: int = 0
    upto: int = 0

    def hit(self, at: datetime, within: timedelta | None) -> int:
        """Count an event that continues the streak; its length now, 0 if the event lies before the newest miss."""
        moment = micros(at)
        if self.broken is not None and moment < self.broken:
            return 0
        if self.older and moment < self.upto:
            self.older += 1
        else:
            insort(self.hits, moment)
        length, since = self._length(within)
        while len(self.hits) > REMEMBERED:
            self.upto = self.hits.pop(0)
            self.older, self.since = _longer(self.older, self.since, self.upto, within)
        return length if since <= moment else 0

    def miss(self, at: datetime) -> None:
        """Count an event that breaks the streak: hits after it still stand."""
        moment = micros(at)
        if self.broken is not None and moment < self.broken:
            return
        self.broken = moment
        # A hit at the very same instant arrived before this, so it is broken too.
        while self.hits and self.hits[0] <= moment:
            del self.hits[0]
        if self.older and self.upto <= moment:
            self.older = self.since = self.upto = 0

    def _length(self, within: timedelta | None) -> tuple[int, int]:
        length, since = self.older, self.since
        for moment in self.hits:
            length, since = _longer(length, since, moment, within)
        return length, since


def join_streaks(one: StreakState, other: StreakState) -> StreakState:
    """The streak of who has had both: hits since the newest miss of either.

    Exact unless more than 16 hits in a row lie between two misses: of what is one number it is only known from when to
    when it was.
    """
    broken = max((at for at in (one.broken, other.broken) if at is not None), default=None)
    joined = StreakState(
        hits=sorted(at for at in (*one.hits, *other.hits) if broken is None or at > broken), broken=broken
    )
    for part in (one, other):
        if part.older and (broken is None or part.upto > broken):
            joined.since = min(part.since, joined.since) if joined.older else part.since
            joined.older += part.older
            joined.upto = max(part.upto, joined.upto)
    while len(joined.hits) > REMEMBERED:
        joined.upto = joined.hits.pop(0)
        joined.older, joined.since = joined.older + 1, joined.since or joined.upto
    return joined


def micros(at: datetime) -> int:
    """Microseconds since 1970: exact, and short in the player's row."""
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def _longer(length: int, since: int, moment: int, within: timedelta | None) -> tuple[int, int]:
    if not length or (within is not None and moment - since > within // timedelta(microseconds=1)):
        return 1, moment
    return length + 1, since
