"""Back-pressure: how many deliveries Temporal has not taken yet, and who must wait for that.

One gauge a process, read at most once a second with a bounded count. While it is high intake refuses the brands that
have more than their share waiting, and the sweep holds back.
"""

import asyncio
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter, Gauge
from sqlalchemy import text

from activities.database import Database
from activities.settings import Settings
from workflows.events import (
    ConsentChanged,
    Event,
    ExclusionSet,
    HarmSignal,
    MessageReceived,
    MessageStatus,
    PlayerMerged,
    PromotionsPaused,
    StatusChanged,
)
from workflows.events.kinds import Kinds
from workflows.player_state.account_status import UNPROTECTED_STATUSES
from workflows.player_state.consents import withdraws

#: Seconds for which a reading is good.
READ_EVERY: Final = 1.0
#: Bounds of Retry-After in seconds, and what it is while nobody knows how fast the backlog drains.
SOONEST, LATEST, UNKNOWN = 1, 30, 2
# How much of the newest reading goes into the rate: some ten seconds are remembered.
NEWEST = 0.2

BACKLOG: Final = Gauge(
    "journeys_delivery_backlog", "Deliveries Temporal has not taken; counted no further than twice BACKLOG_HIGH."
)
OF_BRAND: Final = Gauge(
    "journeys_delivery_backlog_of_brand", "Of the deliveries Temporal has not taken, each brand's.", ["brand"]
)
OLDEST: Final = Gauge("journeys_oldest_delivery_seconds", "Age of the oldest of the deliveries that are due first.")
LATER: Final = Counter(
    "journeys_events_held_back_total", "Events not taken because of the backlog; their senders were told to come again."
)


def protects(event: Event) -> bool:
    """Whether an event takes something away from us: it is never held back, whatever waits.

    What lifts a protection again (the end of an exclusion, an account reopened, a consent given) is not
    among them: late it does no harm.
    """
    kind = type(event)
    if _WORDS[kind]:
        return withdraws(event)
    return _ALWAYS[kind] or (isinstance(event, StatusChanged) and event.to not in UNPROTECTED_STATUSES)


_ALWAYS: Final = Kinds(ExclusionSet, HarmSignal, PromotionsPaused, PlayerMerged)
_WORDS: Final = Kinds(ConsentChanged, MessageStatus, MessageReceived)


@dataclass(frozen=True)
class _Reading:
    at: float
    backlog: int
    taken: int
    #: Of each brand.
    waiting: Mapping[str, int]


def fair_share(waiting: Mapping[str, int], room: int, weights: Mapping[str, float]) -> float:
    """How many a brand of weight 1 may have waiting when no more than `room` are to wait in all; inf when all fit.

    Who has less than that leaves the rest to the others, so a brand alone may have everything.
    """
    left, shares = float(room), sum(weights.get(brand, 1) for brand in waiting)
    for number, weight in sorted((count / weights.get(one, 1), weights.get(one, 1)) for one, count in waiting.items()):
        # Less a rounding, so that a backlog that just fills the room is not taken for one that fits.
        if number * shares >= left * (1 - 1e-9):
            return left / shares
        left -= number * weight
        shares -= weight
    return math.inf


class Pressure:
    """Whether the deliveries have piled up, as this process last saw it.

    From `backlog_high` deliveries on until they are fewer than `backlog_low`, and then for the brands that have more
    than their share of them. Between two readings, a second at most, the backlog may grow past the mark by what all
    processes take in meanwhile.
    """

    def __init__(self, database: Database, settings: Settings, *, timer: Callable[[], float] = time.monotonic) -> None:
        self.database = database
        self.high, self.low = settings.backlog_high, min(settings.backlog_low, settings.backlog_high)
        self.weights = settings.brand_weights
        self.timer = timer
        self._last: _Reading | None = None
        #: Deliveries taken a second, smoothed; None until it was seen.
        self._rate: float | None = None
        self._high = False
        self._held_back = frozenset[str]()
        self._reading = asyncio.Lock()

    async def is_high(self, brand: str | None = None) -> bool:
        """Whether callers must wait, those of one brand if it is named. Costs a query a second, however often asked.

        Raises what the database raises when it is away.
        """
        # Whoever comes while another reads makes do with the last reading.
        if self._stale() and (self._last is None or not self._reading.locked()):
            async with self._reading:
                if self._stale():
                    await self._read()
        return self._high if brand is None else brand in self._held_back

    async def backlog(self) -> int:
        """How many deliveries wait, counted no further than twice `backlog_high`; costs and raises what `is_high` does.

        For whoever must leave room for others long before callers are refused.
        """
        await self.is_high()
        return 0 if self._last is None else self._last.backlog

    @property
    def is_crowded(self) -> bool:
        """Whether so much waited when it was last read that nothing may be added which can do without."""
        return self._last is not None and self._last.backlog >= self.low

    @property
    def retry_after(self) -> int:
        """Whole seconds after which it is worth coming again: how long it takes until the backlog is low.

        Callers are spread over a quarter more, so that they do not come back as one.
        """
        if self._last is None or self._rate is None:
            seconds = float(UNKNOWN)
        else:
            seconds = max(0, self._last.backlog - self.low) / max(self._rate, 0.001)
        seconds = min(max(seconds, SOONEST), LATEST)
        return math.ceil(seconds * random.uniform(1, 1.25))

    def _stale(self) -> bool:
        return self._last is None or self.timer() - self._last.at >= READ_EVERY

    async def _read(self) -> None:
        async with self.database.reading() as connection:
            row = (await connection.execute(_READ_BACKLOG, {"most": 2 * self.high})).one()
        waiting: dict[str, int] = row.waiting or {}
        before, seen = self._last, _Reading(self.timer(), sum(waiting.values()), row.taken, waiting)
        self._last = seen
        self._high = seen.backlog >= self.high or (self._high and seen.backlog >= self.low)
        most, least = (fair_share(waiting, room, self.weights) for room in (self.high, self.low))
        of_weight = {brand: number / self.weights.get(brand, 1) for brand, number in waiting.items()}
        self._held_back = frozenset(
            brand for brand, number in of_weight.items() if number >= (least if brand in self._held_back else most)
        )
        # The count of Postgres starts anew after its crash.
        if before is not None and seen.taken >= before.taken:
            rate = (seen.taken - before.taken) / (seen.at - before.at)
            self._rate = rate if self._rate is None else self._rate + NEWEST * (rate - self._rate)
        BACKLOG.set(seen.backlog)
        OF_BRAND.clear()
        for brand, number in waiting.items():
            OF_BRAND.labels(brand).set(number)
        OLDEST.set(row.oldest)


# What Temporal has taken is what was deleted; Postgres counts that by itself, within a second.
_READ_BACKLOG = text(
    """
    SELECT (SELECT json_object_agg(brand, number) FROM (
              SELECT brand, count(*) AS number
              FROM (SELECT brand FROM deliveries ORDER BY priority, due_at LIMIT :most) b GROUP BY brand
            ) of_brands) AS waiting,
           (SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8
            FROM (SELECT created_at FROM deliveries ORDER BY priority, due_at LIMIT 100) o) AS oldest,
           pg_stat_get_tuples_deleted('deliveries'::regclass) AS taken
    """
)
