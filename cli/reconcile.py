"""`journeys reconcile`: the runs that the books call active, held against Temporal at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cli._console import fail, say
from cli._environment import open_database, run_on_database, settings

if TYPE_CHECKING:
    from workflows.background.maintenance import ComparedRuns


def reconcile(
    *,
    accept_loss: Annotated[
        bool,
        typer.Option("--accept-loss", help="End what is gone although most of it is: Temporal's data is really lost."),
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Compare every run under way, not only those that are due; after a restore.")
    ] = False,
) -> None:
    """Compare runs that are due with Temporal, as the schedule does every minute.

    A run that Temporal lost ends as `lost`; one it never had begins again. After Temporal was restored from a backup or
    begun from nothing, first see to it that this is the right namespace, then say --accept-loss. After Postgres was set
    back say --all.
    """
    from temporalio.service import RPCError

    try:
        found = run_on_database(_compare(accept_loss=accept_loss, everything=everything))
    except RPCError as error:
        fail(f"Temporal does not say which runs it has: {error.message}")
    say(
        f"{found.open + found.late} under way, {found.late} of them past their end; {found.lost} lost and ended, "
        f"{found.played} that the books had forgotten to end, {found.begun_again} begun again."
    )
    if found.doubted:
        fail(
            f"{found.doubted} are missing, too many to believe it, and none of them was ended. Is this the right "
            "namespace? If Temporal's data is gone for good, repeat it with --accept-loss."
        )


async def _compare(*, accept_loss: bool, everything: bool) -> ComparedRuns:
    from activities.engine import build, load_deployment
    from activities.loops.reconcile_runs import RunReconciliation
    from activities.temporal_client import connect

    given = settings()
    client = await connect(given)
    async with open_database() as database:
        registry = load_deployment(given).registry
        intake = build(given, registry, database, _now).intake
        reconciliation = RunReconciliation(database, intake, _now, rate=given.reconcile_rate)
        if accept_loss or everything:
            await reconciliation.look_at_all_now()
        return await reconciliation.compare(client, accept_loss=accept_loss)


def _now() -> datetime:
    return datetime.now(UTC)
