"""Where a shipped journey lists tiers, it lists all that stand above them: the highest players are left out nowhere."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from workflows import journeys
from workflows.programs.casino import house

SOURCES = sorted(Path(journeys.__path__[0]).glob("*.py"))
TIERS = tuple(one.name for one in house.tiers)


def listed(source: str) -> Iterator[tuple[int, list[str]]]:
    """Every list of texts in a source, with its line: what stands in brackets, the keys of a table, what is compared,
    and the cases of a `match`.
    """
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Tuple(elts=found) | ast.List(elts=found) | ast.Set(elts=found):
                yield node.lineno, texts(found)
            case ast.Dict(keys=found):
                yield node.lineno, texts(found)
            case ast.Compare(left=left, comparators=others):
                yield node.lineno, texts([left, *others])
            case ast.Match(cases=cases):
                patterns = [part for one in cases for part in ast.walk(one.pattern)]
                yield node.lineno, texts(part.value for part in patterns if isinstance(part, ast.MatchValue))


def texts(found: Iterable[ast.expr | None]) -> list[str]:
    """Those of some expressions that are texts."""
    return [one.value for one in found if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def left_out(source: str) -> list[str]:
    """What is wrong with the lists of tiers of a source."""
    said = []
    for line, names in listed(source):
        tiers = [name for name in TIERS if name in names]
        missing = [name for name in TIERS[TIERS.index(tiers[0]) :] if name not in tiers] if tiers else []
        if missing:
            said.append(f"line {line} lists {', '.join(tiers)} without {', '.join(missing)}")
    return said


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_list_of_tiers_leaves_out_one_above_it(path: Path) -> None:
    assert left_out(path.read_text()) == []


def test_the_journeys_do_list_tiers() -> None:
    listing = [path for path in SOURCES if any(set(names) & set(TIERS) for _, names in listed(path.read_text()))]
    assert len(listing) > 5


@pytest.mark.parametrize(
    "source",
    [
        'VIP = ("gold", "platinum", "diamond")',
        'SHARES = {"silver": 8, "gold": 10}',
        'called = player.tier in {"diamond"}',
        'called = player.tier == "gold"',
        'match tier:\n    case "diamond" | "gold":\n        pass',
    ],
)
def test_a_list_without_the_tiers_above_it_is_found(source: str) -> None:
    assert left_out(source) != []


@pytest.mark.parametrize(
    "source",
    [
        'VIP = ("gold", "platinum", "diamond", "black")',
        'top = player.tier == "black"',
        'player.grant(tier_upgrade("gold"))',
    ],
)
def test_a_list_to_the_top_and_the_gift_of_one_tier_are_none(source: str) -> None:
    assert left_out(source) == []
