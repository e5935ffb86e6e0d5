"""`journeys compare-grants`: our rewards beside the bonus engine's own list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cli._console import fail, out, say
from cli._environment import open_database, run_on_database, settings

if TYPE_CHECKING:
    from activities.grant_comparison import GrantComparison


def compare_grants(
    *,
    since: Annotated[datetime | None, typer.Option(help="From when on, in UTC; a day ago unless said.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Until when, in UTC; now unless said.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Compare what the bonus engine says it credited with what we say was given; exits with 1 where they differ.

    It settles nothing and may run beside everything else.
    """
    end = _utc(until) or datetime.now(UTC)
    found = run_on_database(_compare(_utc(since) or end - timedelta(days=1), end))
    if as_json:
        out.print_json(found.model_dump_json())
    elif found.listed:
        for one in found.shown:
            out.print(f"{one.how}  {one.grant_id}  {one.player_id}  ours: {one.status or 'none'}", soft_wrap=True)
    if not found.listed:
        fail("The bonus engine keeps no list, so there is nothing to compare with.")
    if not found.agrees:
        fail(f"{sum(found.counts.values())} of {found.theirs} grants disagree: {dict(found.counts)}.")
    if not as_json:
        say(f"{found.theirs} grants of the bonus engine agree with ours.")


async def _compare(since: datetime, until: datetime) -> GrantComparison:
    import httpx

    from activities.grant_comparison import compare_grants as compare
    from activities.providers.bonus_engine import BonusEngine

    given = settings()
    async with open_database() as database, httpx.AsyncClient() as http:
        engine = BonusEngine(given.bonus_engine_url, http, timeout=given.provider_timeout)
        return await compare(database, engine, since, until)


def _utc(given: datetime | None) -> datetime | None:
    return None if given is None else given if given.tzinfo else given.replace(tzinfo=UTC)
