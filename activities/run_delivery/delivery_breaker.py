"""When Temporal's answers are about us all and not about the run that was told: it refuses everybody, or it is full.

Only what is wrong with a run's own payload is refused for good. A revoked key or a full namespace hits every run alike:
the breaker and the brake notice it, and nothing is buried.
"""

import logging
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from prometheus_client import Gauge

from activities.run_delivery.deliveries import CLAIM
from activities.run_delivery.temporal_answers import DeliveryRefused, NotRunning, Outcome, RetryLater

logger = logging.getLogger(__name__)

BREAKER: Final = Gauge(
    "journeys_delivery_breaker_open",
    "1 while Temporal refuses every run alike: a key, a role, a namespace or the server's configuration is wrong.",
)
#: Runs told in one pass when nothing is wrong, and the seconds of the longest pause between two when Temporal is full.
MOST_RUNS: Final = 2 * CLAIM
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
#: Seconds that a pass may take whose calls stand in line, and the fewest runs the next one is made smaller to for that.
LONGEST_PASS: Final = 0.25
FEWEST_RUNS: Final = 4
#: Calls stand in line when the one in the middle takes so many times as long as the quickest.
IN_LINE: Final = 3


class DeliveryBreaker:
    """Notices that every run is refused alike, and then lets one at a time ask whether it is over.

    Temporal's "invalid argument" is about a payload, or about the server's configuration, and does not say which. So a
    run is refused for good only where Temporal has taken another one since it last refused one.
    """

    def __init__(self) -> None:
        self.why: RetryLater | None = None
        self._refused: set[str] = set()

    def judge(self, answers: Mapping[str, Outcome]) -> dict[str, Outcome]:
        """The answers to a pass by run, with those put off that are nobody's own fault."""
        outcomes = dict(answers)
        if any(answer is None or isinstance(answer, NotRunning) for answer in answers.values()):
            self._refused.clear()
            self._close()
            return outcomes
        refused = {run: a for run, a in answers.items() if isinstance(a, DeliveryRefused) and a.by_temporal}
        self._refused |= refused.keys()
        if refused and len(self._refused) > 1:
            later = {
                run_id: RetryLater(f"{answer.reason} It refuses every run, so nothing is given up.")
                for run_id, answer in refused.items()
            }
            self._open(next(iter(later.values())))
            return outcomes | later
        if alike := [a for a in answers.values() if isinstance(a, RetryLater) and a.refuses_us]:
            self._open(alike[0])
        return outcomes

    def _open(self, why: RetryLater) -> None:
        if self.why is None:
            logger.error(
                "Temporal refuses every run: %s Correct the key, the role or the namespace of this process; deliveries "
                "wait and none is given up.",
                why.reason,
            )
        self.why = why
        BREAKER.set(1)

    def _close(self) -> None:
        if self.why is not None:
            logger.info("Temporal takes deliveries again.")
        self.why = None
        BREAKER.set(0)


class DeliveryBrake:
    """Tells fewer runs in a pass while Temporal is full or has them stand in line, and more again when it does not.

    Whatever comes in during a pass waits for its end, be it a stop or another brand's. A server that takes one call
    after the other takes no more in a second for being asked more at once, so a pass is kept short instead. One that
    is only far away answers all of a pass after the same time, and is told as much as a pass claims.
    """

    def __init__(self) -> None:
        #: How many runs the next pass may tell.
        self.allowance = MOST_RUNS
        #: Seconds to rest before it; 0 while Temporal takes everything.
        self.pause = 0.0

    def judge(self, answers: Mapping[str, Outcome], seconds: Sequence[float] = ()) -> None:
        """Learn from the answers to a pass, and from how many seconds each of its calls took."""
        if any(isinstance(answer, RetryLater) and answer.is_full for answer in answers.values()):
            self.allowance = max(1, min(self.allowance, len(answers)) // 2)
            self.pause = min(LONGEST_PAUSE, 2 * self.pause or SHORTEST_PAUSE)
            return
        if not answers:
            return
        self.pause = 0.0
        # Where calls stand in line, the one in the middle has waited for half of the pass.
        middle = median(seconds) if seconds else 0.0
        in_line = middle > IN_LINE * min(seconds, default=0.0)
        if in_line and 2 * middle > LONGEST_PASS:
            fitting = int(len(seconds) * LONGEST_PASS / (2 * middle))
            self.allowance = max(min(FEWEST_RUNS, self.allowance), min(self.allowance, fitting))
        elif not in_line or 4 * middle <= LONGEST_PASS:
            self.allowance = min(MOST_RUNS, 2 * self.allowance)
