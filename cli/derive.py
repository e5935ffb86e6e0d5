"""`journeys derive`: a new or changed rule, counted from the events that were kept."""

# ruff: noqa: PLC0415  a command loads only what it needs; all of it takes seconds

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from content.event_docs import nearest

if TYPE_CHECKING:
    from activities.database import Database
    from workflows.player_state.backfill import Derivable


def add_derive(
    app: typer.Typer,
    *,
    packages: Callable[[], Sequence[str]],
    database: "Callable[[], AbstractAsyncContextManager[Database]]",
    run: Callable[[Coroutine[Any, Any, int]], int],
) -> None:
    """Give the command line its `derive`. `run` says in a sentence when the database is away."""

    @app.command()
    def derive(
        rule: Annotated[
            str | None, typer.Argument(help="A rule, a measure or a segment; without it they are listed.")
        ] = None,
        *,
        brand: Annotated[str | None, typer.Option(help="Only this brand's players.")] = None,
        per_second: Annotated[float | None, typer.Option(min=0.1, help="At most so many players a second.")] = None,
        again: Annotated[bool, typer.Option("--again", help="Begin anew what was stopped half-way.")] = False,
    ) -> None:
        """Count a new or changed rule from the kept events, for every player, while intake goes on.

        It starts and wakes nothing. Stop it with Ctrl-C and repeat it: it goes on where it was.
        """
        from activities.intake.intake import Intake
        from activities.loops.backfill import Deriver
        from cli.derive_terminal import derive_on_terminal
        from workflows.player_state.backfill import derivables
        from workflows.source.registry import load

        names = packages()
        rules = load(names).rules
        known = derivables(rules)
        if rule is None:
            for line in _offer(known):
                Console().print(line, soft_wrap=True)
            return
        if rule not in known:
            Console(stderr=True).print(_unknown(rule, known, names), markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(1)

        async def work() -> int:
            async with database() as opened:
                deriver = Deriver(opened, Intake(opened, rules), known[rule], lambda: datetime.now(UTC))
                return await derive_on_terminal(deriver, brand, again=again, per_second=per_second)

        raise typer.Exit(run(work()))


def _offer(known: "Mapping[str, Derivable]") -> Iterator[Text]:
    """Everything that can be derived, a sentence about it and what it reads."""
    for one in known.values():
        yield Text(one.name, style="bold")
        yield Text(f"  {one.words}")
        reads = (
            f"reads {', '.join(sorted(one.kinds))}" if one.kinds else "reads no events: it follows from what is known"
        )
        lets = f"; lets into {', '.join(one.journeys)}" if one.journeys else ""
        yield Text(f"  {reads}{lets}", style="dim")


def _unknown(name: str, known: "Mapping[str, Derivable]", packages: Sequence[str]) -> str:
    """What to say to somebody who misspelt a rule, or whose package is not loaded."""
    meant = nearest(name, known)
    guess = f" Did you mean {meant}?" if meant else ""
    # The first package is the shipped one.
    alone = "" if packages[1:] else " JOURNEYS names no package of yours; if the rule is your own, name it there."
    return f"There is no rule {name}.{guess}{alone} `journeys derive` without a name lists them."
