"""Packages of journeys as designers write them, outside the repository."""

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from textwrap import dedent

import pytest

from workflows.declaration import Journey
from workflows.errors import DesignError
from workflows.source.journey_loading import load

NUMBERS = itertools.count(1)
WORDS = "DepositApproved, Form, LossStreak, Player, SessionLogin, again, days, hours, journey, on"
Write = Callable[..., str]
OWN_EVENTS = """
from workflows import Event, Player, days, journey, on


class VipFlagged(Event, type="PACKAGE.vip_flagged", example={"level": 2}):
    '''The house system marked the player.'''

    level: int


class Called(Event, type="PACKAGE.called", example={"minutes": 2}):
    minutes: int


@journey(on(VipFlagged, where=lambda flagged: flagged.level > 1), ends_after=days(30))
async def care(player: Player, flagged: VipFlagged) -> None:
    '''Somebody calls.'''
    assert isinstance(flagged, VipFlagged)
    called = await player.event(Called, within=days(3), where=lambda call: call.minutes > flagged.level)
    await player.sleep(days(1) if called is None else days(2))
"""
"""A journey that listens to events which its own package declares."""


@contextmanager
def importable(folder: Path) -> Iterator[Write]:
    """Write packages below `folder`, each under a new name, which stands in its modules as PACKAGE."""
    names: list[str] = []

    def write(modules: Mapping[str, str] | None = None, /, **more: str) -> str:
        names.append(f"casino_{next(NUMBERS)}")
        for module, source in {"__init__": "", **(modules or {}), **more}.items():
            path = folder / names[-1] / f"{module.replace('.', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(source).replace("PACKAGE", names[-1]))
        return names[-1]

    sys.path.insert(0, str(folder))
    try:
        yield write
    finally:
        sys.path.remove(str(folder))
        for module in [module for module in sys.modules if module.partition(".")[0] in names]:
            del sys.modules[module]


def journey_of(body: str, *, head: str = "", listens: str = "") -> str:
    """A module with one journey called `hello`."""
    listening = f"    listens=[{listens}],\n" if listens else ""
    return (
        f"from workflows import {WORDS}\n"
        + dedent(head)
        + "\n\n@journey(\n    on(SessionLogin),\n    ends_after=days(9),\n"
        + listening
        + ")\nasync def hello(player: Player, login: SessionLogin, *, chapter: int = 1) -> object:\n"
        + "".join(f"    {line}\n" for line in dedent(body).strip().splitlines())
    )


def released(folder: Path, source: str) -> dict[str, Journey]:
    """The journeys of a release that is one module; `folder` is where imports look."""
    module = f"release_{token_hex(4)}"
    (folder / f"{module}.py").write_text(source)
    journeys = dict(load((module,)).journeys)
    assert journeys
    del sys.modules[module]
    return journeys


def line_of(source: str, text: str) -> int:
    """The number of the line that is `text`, spaces aside."""
    return [line.strip() for line in source.splitlines()].index(text.strip()) + 1


def mistakes(*packages: str) -> list[str]:
    """What `load` has to say, each module named without its package."""
    with pytest.raises(DesignError) as refusal:
        load(packages)
    told = str(refusal.value)
    for name in packages:
        told = told.replace(f"{name}.", "")
    return told.splitlines()
