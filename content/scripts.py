"""What a person may say in a conversation: scripts of forms, one file a form and language, in a few marks of Markdown.

`scripts/HostCall.uk.md` belongs to the form HostCall. A line that begins with a number and a point is a step, one that
begins with `- ` a point; lines between blank ones are a paragraph. Nothing else means anything.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from workflows.errors import DesignError

_NAME: Final = re.compile(r"([A-Za-z]\w*)\.([a-z]{2})\.md")
_STEP: Final = re.compile(r"\d+\.\s+(.*)")
_POINT: Final = re.compile(r"-\s+(.*)")


@dataclass(frozen=True)
class TaskScriptPart:
    """A paragraph, or some steps or points in a row."""

    kind: Literal["paragraph", "steps", "points"]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class TaskScript:
    """A script in one language."""

    language: str
    parts: tuple[TaskScriptPart, ...]

    @classmethod
    def of(cls, language: str, text: str) -> "TaskScript":
        """A script from its text."""
        parts: list[TaskScriptPart] = []
        fresh = True
        for line in map(str.strip, text.splitlines()):
            kind, said = _read(line)
            if not line:
                fresh = True
                continue
            if parts and parts[-1].kind == kind and not (fresh and kind == "paragraph"):
                last = parts.pop()
                lines = (f"{last.lines[0]} {said}",) if kind == "paragraph" else (*last.lines, said)
                parts.append(TaskScriptPart(kind, lines))
            else:
                parts.append(TaskScriptPart(kind, (said,)))
            fresh = False
        return cls(language, tuple(parts))


TaskScripts = Mapping[str, Mapping[str, TaskScript]]


def load_scripts(*folders: Path) -> TaskScripts:
    """The scripts in these folders by form and language; what an earlier folder has counts. Raises DesignError."""
    found: dict[str, dict[str, TaskScript]] = {}
    for folder in reversed(folders):
        for file in sorted(folder.glob("*.md")):
            named = _NAME.fullmatch(file.name)
            if named is None:
                raise DesignError(f"{file} is no script; name it after its form and language, such as HostCall.en.md.")
            found.setdefault(named[1], {})[named[2]] = TaskScript.of(named[2], file.read_text(encoding="utf-8"))
    return found


def script_for(scripts: TaskScripts, form: str, *languages: str | None) -> TaskScript | None:
    """The script of a form in the first of these languages that it has, else in English; None without any."""
    known = scripts.get(form, {})
    wanted = [language[:2].lower() for language in languages if language]
    return next((known[language] for language in [*wanted, "en"] if language in known), None)


def _read(line: str) -> tuple[Literal["paragraph", "steps", "points"], str]:
    if step := _STEP.fullmatch(line):
        return "steps", step[1]
    if point := _POINT.fullmatch(line):
        return "points", point[1]
    return "paragraph", line
