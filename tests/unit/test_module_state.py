"""Whether a module of journeys stays as it was imported; what cannot be seen to stay counts as changing."""

import pytest

from tests.support.outside_packages import Write, journey_of
from workflows.source.journey_loading import SHIPPED, load
from workflows.source.module_state import stays

HEAD = """
from collections import Counter, deque
from dataclasses import dataclass
from enum import Enum
from functools import cache, partial
from itertools import count
from types import SimpleNamespace
from typing import ClassVar, NamedTuple

SEEN = []
BY_NAME = {'a': (1, 2)}
KNOWN = {1}
FIXED = (1, 2)


class Kind(Enum):
    ONE = 1


class Pair(NamedTuple):
    one: int
    two: int = 3


@dataclass(frozen=True)
class Held:
    one: int = 0

    def twice(self):
        return 2 * self.one


def helper(what, *, more=FIXED):
    return [what, *more]


first = partial(helper, 1)
"""


def loaded(package: Write, lines: str, head: str = "") -> str:
    """The name of a journey's module that was found to be in order."""
    notes = "NOTES = []\n\n\ndef note(what):\n    NOTES.append(what)\n"
    name = package(one=journey_of(f"{lines}\nawait player.sleep(days(1))", head=HEAD + head), notes=notes)
    assert load([name]).journeys.keys() == {"hello"}
    return f"{name}.one"


@pytest.mark.parametrize(
    "lines",
    [
        "pass",
        "SEEN = []\nSEEN.append(1)\nSEEN[0] = 2",
        "held = Held()\nassert held.twice() == 0",
        "mine = dict(BY_NAME)\nmine['b'] = 1",
        "other = [*SEEN, 1]\nother.remove(1)",
        "what = BY_NAME.get('a') or BY_NAME['a']\nassert 1 in KNOWN",
        "for one in SEEN:\n    await player.mark('x', one=str(one))",
        "total = sum(len(one) for one in BY_NAME.values())",
        "Pair(1).two + FIXED.index(1)",
    ],
)
def test_a_module_whose_functions_only_look_at_what_it_holds_stays(package: Write, lines: str) -> None:
    assert stays(loaded(package, lines))


@pytest.mark.parametrize(
    "lines",
    [
        "SEEN.append(1)",
        "SEEN[0] = 1",
        "BY_NAME['a'] += (1,)",
        "del BY_NAME['a']",
        "BY_NAME.setdefault('b', ())",
        "KNOWN |= {2}\nglobal KNOWN",
        "mine = SEEN\nmine.append(1)",
        "helper(SEEN)[0].append(1)",
        "Held.one = 2",
        "helper.times = 2",
        "setattr(Held, 'one', 2)",
        "vars()",
        "sorted([3], key=lambda one: SEEN.append(one))",
        "from PACKAGE.notes import NOTES\nNOTES.append(1)",
        "import PACKAGE.notes as notes\nnotes.note(1)",
        "SEEN.append(1)\nother = [SEEN for SEEN in (1, 2)]",
    ],
)
def test_a_module_that_a_function_may_change_does_not_stay(package: Write, lines: str) -> None:
    if "global" in lines:
        lines = "\n".join(reversed(lines.splitlines()))
    assert not stays(loaded(package, lines))


@pytest.mark.parametrize(
    "head",
    [
        "LAST = deque([1])",
        "TIMES = Counter()",
        "NUMBERS = count()",
        "INNER = {'a': []}",
        "PAIR = (1, [2])",
        "class Loose:\n    pass\n\n\nLOOSE = Loose()",
        "class Shared:\n    seen = []",
        "def remembers(what, seen=[]):\n    return seen",
        "def counter():\n    kept = []\n    return lambda: kept.append(1)\n\n\nnote = counter()",
        "bound = partial(helper, [1])",
        "@cache\ndef table():\n    return {}",
        "HELD = Held([1])",
        "class Shared:\n    _seen = []",
        "class Held2(Form):\n    seen: ClassVar[list[int]] = []",
        "class Many(Enum):\n    ONE = [1]",
        "remember = SEEN.append",
        "STATE = SimpleNamespace(count=0)",
        (
            "def counter():\n    kept = 0\n\n    def more():\n        nonlocal kept\n"
            "        kept += 1\n        return kept\n\n"
            "    return more\n\n\nnumber = counter()"
        ),
        "class Loud:\n    total = 0\n\n    @classmethod\n    def note(cls):\n        cls.total += 1",
        "class Odd:\n    total = 0\n\n    def note(self):\n        type(self).total += 1",
    ],
)
def test_a_module_that_holds_what_may_change_out_of_sight_does_not_stay(package: Write, head: str) -> None:
    assert not stays(loaded(package, "pass", head))


def test_nor_does_one_that_takes_something_from_a_module_that_does_not(package: Write) -> None:
    notes = "NOTES = []\n\n\ndef note(what):\n    NOTES.append(what)\n"
    between = "from PACKAGE.notes import note\n\n\ndef twice(what):\n    note(what)\n    note(what)\n"
    journey = journey_of("twice(1)\nawait player.sleep(days(1))", head="from PACKAGE.between import twice")
    name = package(one=journey, between=between, notes=notes)
    load([name])
    assert not stays(f"{name}.one")
    assert stays(f"{name}.one") is stays(f"{name}.between") is stays(f"{name}.notes")


def test_a_class_that_says_super_is_read_to_the_end(package: Write) -> None:
    """A method that says so keeps its class, which keeps the method."""
    head = (
        "class Base:\n    def words(self):\n        return ()\n\n\n"
        "class Child(Base):\n    def words(self):\n        return (*super().words(), 1)"
    )
    assert stays(loaded(package, "assert Child().words() == (1,)", head))


@pytest.mark.parametrize(
    ("taken", "used"),
    [
        ("HOOKS", "HOOKS['note'](1)"),
        ("noted", "noted()"),
        ("remember", "remember(1)"),
    ],
)
def test_nor_does_one_that_is_handed_what_a_module_beside_it_keeps(package: Write, taken: str, used: str) -> None:
    beside = (
        "from functools import partial\n\nNOTES = []\n\n\ndef note(what):\n    NOTES.append(what)\n\n\n"
        "def make():\n    kept = []\n\n    def inner(what):\n        kept.append(what)\n\n    return inner\n\n\n"
        "HOOKS = {'note': note}\nnoted = partial(note, 1)\nremember = NOTES.append\n"
    )
    made = "\nnote = make()" if taken == "make" else ""
    journey = journey_of(f"{used}\nawait player.sleep(days(1))", head=f"from PACKAGE.beside import {taken}{made}")
    name = package(one=journey, beside=beside)
    load([name])
    assert not stays(f"{name}.one")


def test_nor_does_one_that_holds_another_module_whose_list_it_may_call_by_a_new_name(package: Write) -> None:
    journey = journey_of(
        "mine = notes.NOTES\nmine.append(1)\nawait player.sleep(days(1))", head="from PACKAGE import notes"
    )
    name = package(one=journey, notes="NOTES = []\n")
    load([name])
    assert not stays(f"{name}.one")


def test_nobody_knows_of_a_module_that_is_not_imported() -> None:
    assert not stays("workflows.journeys.no_such_thing")


def test_the_shipped_journeys_stay_in_every_version_but_for_one_that_gives_its_list_away() -> None:
    journeys = load((SHIPPED,)).journeys.values()
    modules = {version.function.__module__ for one in journeys for version in (one, *one.versions.values())}
    assert len(modules) > 50
    assert {module for module in modules if not stays(module)} == {"workflows.journeys.loss_checkin"}
