"""`journeys doubles`: accounts of a brand that are likely one person's, for a person to look at."""

from typing import Annotated

import typer

from cli._console import out, plural, say
from cli._environment import open_database, run_on_database


def doubles(
    brand: Annotated[str, typer.Argument(help="The brand whose players are compared.")],
    *,
    least: Annotated[int, typer.Option(help="Show those that are at least so sure, in basis points.")] = 9_000,
) -> None:
    """List accounts with one mail address or phone, or with --least 6000 one name and date of birth; changes nothing.

    Run it with the DATABASE_URL of a role that may read players. Who is one person is told by player.merged.
    """
    from activities.likely_doubles import LikelyDouble, find_doubles

    async def work() -> list[LikelyDouble]:
        async with open_database() as database:
            return await find_doubles(database, brand)

    found = [one for one in run_on_database(work()) if one.score >= least]
    for one in found:
        out.print(
            f"{one.one}\t{one.other}\t{one.score}\t{','.join(one.by)}", markup=False, highlight=False, soft_wrap=True
        )
    say(f"{plural(len(found), 'likely double')} of {brand}.")
