"""What the documents name is there."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import workflows
from tests.support.outside_packages import Write
from workflows.rewards.kinds import KINDS
from workflows.source.journey_loading import SHIPPED, load
from workflows.verb_table import VERBS

ROOT = Path(__file__).parent.parent
PATH = re.compile(r"`([\w./-]+(?:\.py|\.md|/))`")


def missing(text: str) -> Iterator[str]:
    """Paths that a document names and nobody finds: from the root, or in the folder of the last that was named so."""
    folder = ROOT
    for name in PATH.findall(text):
        path = ROOT / name
        if path.exists():
            folder = path if path.is_dir() else path.parent
        elif not (folder / name).exists():
            yield name


@pytest.mark.parametrize("document", ["architecture.md", "glossary.md"])
def test_every_path_a_document_names_exists(document: str) -> None:
    assert list(missing((ROOT / "docs" / document).read_text())) == []


def test_a_path_that_is_gone_is_told() -> None:
    text = "`activities/intake/intake.py`, `backpressure.py`, `gone.py` · `stage/` `world/` `temporal/`, `docs/gone.md`"
    assert list(missing(text)) == ["gone.py", "temporal/", "docs/gone.md"]


@pytest.mark.parametrize("room", ["workflows", "activities", "api", "stage"])
def test_the_map_of_the_house_shows_every_folder(room: str) -> None:
    shown = (ROOT / "docs" / "architecture.md").read_text()
    folders = [one.name for one in (ROOT / room).iterdir() if any(one.glob("*.py"))]
    assert [one for one in folders if f"`{one}/`" not in shown] == []


def test_a_word_stands_in_the_glossary_once() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\*", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    assert [one for one in {*words} if words.count(one) > 1] == []


def test_every_word_of_a_journey_stands_in_its_overview() -> None:
    text = (ROOT / "docs" / "language.md").read_text()
    rewards = [name for name in vars(workflows) if name in KINDS]
    words = [*VERBS, *list(inspect.signature(workflows.journey).parameters)[1:], *rewards]
    assert [one for one in words if not re.search(rf"`(?:[^`]*\W)?{one}\b", text)] == []
    assert len(rewards) == len(KINDS)


def test_the_journeys_of_the_readme_stand_beside_those_that_are_shipped(package: Write) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    written = {f"journey_{number}": block for number, block in enumerate(blocks) if "@journey(" in block}
    assert len(written) == 2
    assert load((SHIPPED, package(written))).journeys.keys() >= {"big_spender", "thank_for_month"}
