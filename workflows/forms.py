"""Typed questions to people: a journey asks a `Form`, a person fills it in."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from workflows.events.base import pii_fields

__all__ = ["Form"]

_REFERENCE: Final = re.compile(r"text-of:(ask:\w+#\d+)/(\w+)")


class Form(BaseModel):
    """Base of every human task's answer; the docstring is the question the person reads.

    Fields become the form's JSON Schema, so give each a type a browser can show: `str`, `int`,
    `bool`, `Literal[...]`, `date`. A field without a default must be answered. A `pattern=` is a plain
    string without look-around and back-references.

    What people write in their own words may be personal: mark it, `note: Annotated[str, Pii()] = ""`. It stays in
    Postgres, and the journey holds a reference, which may be given to `send` as a variable and says nothing else. An
    empty text stays empty.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: The fields marked `Pii`, as answers spell them.
    pii: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.pii = frozenset(field.alias or name for name, field in pii_fields(cls).items())


def travelling(answer: Mapping[str, Any], form: type[Form] | None, step: str) -> dict[str, Any]:
    """What of an answer travels to the run whose `step` asked: references stand for the texts marked `Pii`.

    Where the form itself looks into such a text (a limit, a validator), the answer travels as it is: a run that is
    given what its form refuses would stand still.
    """
    if form is None:
        return dict(answer)
    referring = {
        name: f"text-of:{step}/{name}" if name in form.pii and isinstance(value, str) and value else value
        for name, value in answer.items()
    }
    try:
        form.model_validate(referring)
    except ValidationError:
        return dict(answer)
    return referring


def text_referred_to(value: object) -> tuple[str, str] | None:
    """The step and the field of the answer that a reference stands for; None for every other value."""
    reference = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return None if reference is None else (reference[1], reference[2])


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
