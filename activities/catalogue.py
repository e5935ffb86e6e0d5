"""The catalogue of events as people read it: in words, by nearest name, and listed by `journeys events`."""

# ruff: noqa: PLC0415  a command loads only what it needs; all of it takes seconds

import re
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from functools import lru_cache
from inspect import cleandoc
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Console
from rich.text import Text

from workflows.events import CATALOGUE

if TYPE_CHECKING:
    from workflows.events import Event

#: How alike two names must be for one to be taken for the other misspelt; below it a guess only misleads.
ALIKE: Final = 0.75
#: Longer names are compared with nothing: the work grows with their length.
LONGEST: Final = 80

_SENTENCE = re.compile(r".*?[.;:](?=\s|$)", re.DOTALL)


def description(kind: "type[Event]") -> str:
    """What a type of event is, its units and who tells it."""
    return cleandoc(kind.__dict__.get("__doc__") or "").replace("``", "`")


def first_sentence(kind: "type[Event]") -> str:
    """The beginning of its description, in one line."""
    words = " ".join(description(kind).split())
    found = _SENTENCE.match(words)
    return f"{found[0][:-1]}." if found else words


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` most likely means; None when none is really near."""
    if len(name) > LONGEST:
        return None
    folded = {one.casefold(): one for one in known}
    return next((folded[found] for found in get_close_matches(name.casefold(), folded, n=1, cutoff=ALIKE)), None)


@lru_cache(maxsize=256)
def nearest_type(wire_type: str) -> str | None:
    """The type on the wire that a sender most likely means: `payment.deposit_approved` lacks only what is around it."""
    short = wire_type.removeprefix("igaming.").removesuffix(".v1")
    by_short = {kind.type: kind.wire_type for kind in CATALOGUE.values() if not kind.derived}
    meant = nearest(short, by_short)
    return None if meant is None else by_short[meant]


def add_events(app: typer.Typer, packages: Callable[[], Sequence[str]]) -> None:
    """Give the command line its `events`."""

    @app.command()
    def events() -> None:
        """List every type of event with its first sentence; GET /v1/event-types has the fields and examples."""
        from workflows.registry import load

        load(packages())
        say = Console()
        for kind in sorted(CATALOGUE.values(), key=lambda kind: (kind.derived, kind.wire_type)):
            line = Text(kind.wire_type, style="dim" if kind.derived else "bold")
            line.append("  computed here, not to be sent" if kind.derived else "", style="dim")
            say.print(line, soft_wrap=True)
            say.print(Text(f"  {first_sentence(kind)}"), soft_wrap=True)
