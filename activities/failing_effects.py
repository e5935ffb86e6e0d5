"""Metrics and log lines for effects that fail again and again.

An effect is tried for ever, because the world comes back. What never comes back, a fault of ours or a provider set up
wrongly, looks the same to a run: it waits. So every failed attempt is counted, and an effect that has been failing
for a minute is shown until it succeeds.
"""

import asyncio
import collections
import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from prometheus_client import REGISTRY, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from structlog.contextvars import bound_contextvars
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.journey_controls import JOURNEY_HELD
from activities.run_problems import RunProblems
from workflows.effect_retries import SLOW_AFTER, SLOW_INTERVAL
from workflows.effects import EffectInput
from workflows.shadows import is_shadow_run

logger = logging.getLogger(__name__)

#: From then on it is more than a provider that takes a breath.
KEEPS_FAILING = timedelta(minutes=1)
#: An effect is tried every ten minutes at least; one not seen for so long is another worker's, or its run is gone.
FORGET_AFTER = 1.25 * SLOW_INTERVAL
#: Steps of one journey with a label of their own. Journeys are few, but a step may be named by the player's data.
MAX_STEP_LABELS = 50
OTHER_STEPS = "other"
#: Logged from this attempt on, and whenever their number has doubled: a few lines in the first hour.
FIRST_LOGGED_ATTEMPT = 4

FAILED = Counter(
    "journeys_effect_failures_total", "Attempts of effects that failed and will be repeated.", ["journey", "step"]
)


@dataclass(frozen=True)
class _Failure:
    journey: str
    step: str
    at: float


class FailingEffects(Collector):
    """The effects that have been failing for a minute and more, as far as this process has tried them.

    An effect that two workers try in turns is counted by both: alert on there being any, not on their number.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, _Failure] = {}
        self._steps: dict[str, set[str]] = {}

    def failed(self, key: str, request: EffectInput, since: timedelta) -> None:
        """Another attempt failed, of an effect that was first due so long ago."""
        step = self._label(request)
        FAILED.labels(request.journey, step).inc()
        # Out and in again, so that the longest unseen stand first.
        self._last.pop(key, None)
        if since >= KEEPS_FAILING:
            self._last[key] = _Failure(request.journey, step, self._clock())
        self._drop_unseen()

    def succeeded(self, key: str) -> None:
        """The effect came about."""
        self._last.pop(key, None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """For Prometheus: how many there are now, by journey and step."""
        self._drop_unseen()
        gauge = GaugeMetricFamily(
            "journeys_effects_failing",
            "Effects that have been failing for a minute and more.",
            labels=["journey", "step"],
        )
        for labels, number in collections.Counter(
            (failure.journey, failure.step) for failure in self._last.values()
        ).items():
            gauge.add_metric(labels, number)
        yield gauge

    def _drop_unseen(self) -> None:
        oldest = self._clock() - FORGET_AFTER.total_seconds()
        while self._last and (key := next(iter(self._last))) and self._last[key].at < oldest:
            del self._last[key]

    def _label(self, request: EffectInput) -> str:
        step = request.step.partition("#")[0]
        known = self._steps.setdefault(request.journey, set())
        if step not in known and len(known) >= MAX_STEP_LABELS:
            return OTHER_STEPS
        known.add(step)
        return step


FAILING = FailingEffects()
REGISTRY.register(FAILING)


def _slowed(error: Exception, waited: timedelta) -> ApplicationError | None:
    """After the first hour an error that makes Temporal wait longer, each effect for another time."""
    if waited < SLOW_AFTER or (isinstance(error, ApplicationError) and (error.non_retryable or error.next_retry_delay)):
        return None
    pause = SLOW_INTERVAL * random.uniform(0.9, 1.1)
    kind, category = type(error).__name__, ApplicationErrorCategory.UNSPECIFIED
    if isinstance(error, ApplicationError):
        kind, category = error.type or kind, error.category
    return ApplicationError(str(error), type=kind, category=category, next_retry_delay=pause)


class FailureInterceptor(Interceptor):
    """Counts and logs every failed attempt of a worker's effects, and slows those down that have failed for an hour."""

    def __init__(self, failing: FailingEffects = FAILING, problems: RunProblems | None = None) -> None:
        self._failing = failing
        self._problems = problems

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        """Stand between the worker and its effects."""
        return _Attempts(next, self._failing, self._problems)


class _Attempts(ActivityInboundInterceptor):
    def __init__(
        self, following: ActivityInboundInterceptor, failing: FailingEffects, problems: RunProblems | None
    ) -> None:
        super().__init__(following)
        self._failing = failing
        self._problems = problems

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        request = input.args[0] if input.args else None
        if not isinstance(request, EffectInput):
            return await self._work(input)
        with bound_contextvars(brand=request.brand, run_id=request.run_id, step=request.step):
            return await self._attempt(input, request)

    async def _work(self, asked: ExecuteActivityInput) -> Any:
        """Work that is no effect of a run: it is tried again and again too, and nobody else tells that it fails."""
        try:
            return await super().execute_activity(asked)
        except Exception as error:
            info = activity.info()
            if info.attempt >= FIRST_LOGGED_ATTEMPT and info.attempt & (info.attempt - 1) == 0:
                sentence = "%s of %s has failed %d times since %s and is tried again: %s"
                since = f"{info.scheduled_time:%Y-%m-%d %H:%M:%S} UTC"
                why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                logger.error(sentence, info.activity_type, info.workflow_id, info.attempt, since, why)  # noqa: TRY400 - the sentence says it all
            raise

    async def _attempt(self, asked: ExecuteActivityInput, request: EffectInput) -> Any:
        info = activity.info()
        # Two effects of one step, a task that is opened and then moved, share the step's key.
        key = f"{info.activity_type} {request.key}"
        try:
            result = await super().execute_activity(asked)
        except asyncio.CancelledError:
            why = activity.cancellation_details()
            if why is not None and why.timed_out:
                await self._report(key, request, info, "it was not done within its time limit")
            raise
        except Exception as error:
            if isinstance(error, ApplicationError) and error.type == JOURNEY_HELD:
                raise  # nothing fails: somebody holds the journey
            await self._report(key, request, info, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
            if (slowed := _slowed(error, info.started_time - info.scheduled_time)) is not None:
                raise slowed from error
            raise
        self._failing.succeeded(key)
        if info.attempt > 1 and self._problems is not None:
            await self._problems.effect_succeeds(request.run_id)
        return result

    async def _report(self, key: str, request: EffectInput, info: activity.Info, why: str) -> None:
        lasting = info.started_time - info.scheduled_time
        # Of a shadow nobody waits for anything: it is logged, and is no alarm.
        if not is_shadow_run(request.run_id):
            self._failing.failed(key, request, lasting)
            if lasting >= KEEPS_FAILING and self._problems is not None:
                await self._problems.effect_fails(request.run_id, request.step, info.scheduled_time, why)
        if info.attempt >= FIRST_LOGGED_ATTEMPT and info.attempt & (info.attempt - 1) == 0:
            logger.error(
                "Run %s, step %s has failed %d times since %s and is tried again: %s",
                request.run_id,
                request.step,
                info.attempt,
                f"{info.scheduled_time:%Y-%m-%d %H:%M:%S} UTC",
                why,
            )
