"""What the stage knows of message templates: their class, not their words."""

import tomllib
from collections.abc import Iterable
from pathlib import Path

from stage.world import TemplateFacts

SHIPPED = Path(__file__).parent.parent / "templates"


def read_templates(folders: Iterable[Path] = (SHIPPED,)) -> dict[str, TemplateFacts]:
    """The gate's facts of every template below the folders; of two with one name the first folder's counts.

    It trusts the files: whether they are complete is judged when the worker loads them.
    """
    found: dict[str, TemplateFacts] = {}
    for folder in folders:
        for path in sorted(folder.glob("*/template.toml")):
            declared = tomllib.loads(path.read_text(encoding="utf-8"))
            facts = TemplateFacts(declared["class"], bool(declared.get("suppress_if_active_today", False)))
            found.setdefault(path.parent.name, facts)
    return found
