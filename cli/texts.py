"""`journeys texts`: what people wrote to our numbers whom nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cli._console import out, say
from cli._environment import open_database, run_on_database

if TYPE_CHECKING:
    from activities.stray_texts import StrayText


def texts(*, limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many of the newest.")] = 50) -> None:
    """List texts from numbers that no player of any brand has, the newest first."""
    found = run_on_database(_newest(limit))
    for one in found:
        wants_out = "  (wants no more)" if one.stops else ""
        out.print(
            f"{one.received_at:%Y-%m-%d %H:%M}  {one.number}  {one.text}{wants_out}",
            soft_wrap=True,
            markup=False,
            highlight=False,
        )
    if not found:
        say("Nobody wrote whom we do not know.")


async def _newest(limit: int) -> Sequence[StrayText]:
    from activities.stray_texts import newest_strays

    async with open_database() as database, database.reading() as connection:
        return await newest_strays(connection, limit)
