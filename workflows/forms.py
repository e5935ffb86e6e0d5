"""Typed questions to people: a journey asks a `Form`, a person fills it in."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

__all__ = ["Form"]


class Form(BaseModel):
    """Base of every human task's answer; the docstring is the question the person reads.

    Fields become the form's JSON Schema, so give each a type a browser can show: `str`, `int`,
    `bool`, `Literal[...]`, `date`. A field without a default must be answered. A `pattern=` is a plain
    string without look-around and back-references.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


def backtracking_patterns(form: type[Form]) -> Iterator[str]:
    """The patterns of a form that Python's own engine would run, in which a short answer can take hours.

    Pydantic's engine takes time in proportion to the answer; it is left by a compiled pattern and by `regex_engine`.
    """
    waiting: list[tuple[Any, str]] = [(form.__pydantic_core_schema__, "rust-regex")]
    while waiting:
        part, engine = waiting.pop()
        if isinstance(part, Mapping):
            if isinstance(config := part.get("config"), Mapping):
                engine = config.get("regex_engine", "rust-regex")
            pattern = part.get("pattern") if part.get("type") == "str" else None
            if isinstance(pattern, re.Pattern):
                yield pattern.pattern
            elif pattern is not None and part.get("regex_engine", engine) == "python-re":
                yield pattern
            waiting += [(inner, engine) for inner in part.values()]
        elif isinstance(part, list | tuple):
            waiting += [(inner, engine) for inner in part]
