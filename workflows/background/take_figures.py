"""Workflows that Temporal Schedules start to take figures, and to tell people of them."""

from datetime import timedelta
from typing import Final

from temporalio import workflow
from temporalio.common import RetryPolicy

from workflows.background.maintenance import HEARTBEAT_TIMEOUT

TAKE: Final = "take_figures"
REPORT: Final = "send_report"
REPORT_MONTH: Final = "send_monthly_report"
FIND: Final = "find_changes"
TAKE_SEEDS: Final = "take_seeds"
#: How long each may take in all.
TAKE_LIMIT: Final = timedelta(hours=6)
REPORT_LIMIT: Final = timedelta(hours=12)
_RETRIES: Final = RetryPolicy(initial_interval=timedelta(seconds=5), maximum_interval=timedelta(minutes=5))


@workflow.defn(name="TakeFigures", sandboxed=False)
class TakeFigures:
    """Takes the figures of the day that is over; by brand, how many."""

    @workflow.run
    async def run(self) -> dict[str, int]:
        """Run once."""
        taken: dict[str, int] = await workflow.execute_activity(
            TAKE,
            result_type=dict[str, int],
            schedule_to_close_timeout=TAKE_LIMIT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRIES,
        )
        return taken


@workflow.defn(name="SendReport", sandboxed=False)
class SendReport:
    """Mails the newest figures to those who asked for them; how many mails went out."""

    @workflow.run
    async def run(self) -> int:
        """Run once."""
        sent: int = await workflow.execute_activity(
            REPORT,
            result_type=int,
            schedule_to_close_timeout=REPORT_LIMIT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRIES,
        )
        return sent


@workflow.defn(name="SendMonthlyReport", sandboxed=False)
class SendMonthlyReport:
    """Mails the figures of the month that is over; how many mails went out."""

    @workflow.run
    async def run(self) -> int:
        """Run once."""
        sent: int = await workflow.execute_activity(
            REPORT_MONTH,
            result_type=int,
            schedule_to_close_timeout=REPORT_LIMIT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRIES,
        )
        return sent


@workflow.defn(name="FindChanges", sandboxed=False)
class FindChanges:
    """Finds what has changed and tells people; by kind, how much was new."""

    @workflow.run
    async def run(self) -> dict[str, int]:
        """Run once."""
        found: dict[str, int] = await workflow.execute_activity(
            FIND,
            result_type=dict[str, int],
            schedule_to_close_timeout=TAKE_LIMIT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRIES,
        )
        return found


@workflow.defn(name="TakeSeeds", sandboxed=False)
class TakeSeeds:
    """Takes who is in the seeds of each brand; by brand, how many."""

    @workflow.run
    async def run(self) -> dict[str, int]:
        """Run once."""
        taken: dict[str, int] = await workflow.execute_activity(
            TAKE_SEEDS,
            result_type=dict[str, int],
            schedule_to_close_timeout=TAKE_LIMIT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRIES,
        )
        return taken


FIGURE_WORKFLOWS: Final = (TakeFigures, SendReport, SendMonthlyReport, FindChanges, TakeSeeds)
