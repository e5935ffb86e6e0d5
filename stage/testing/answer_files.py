"""Who answers tasks in a rehearsal: nobody, somebody who approves of everything, or a function of the designer's.

The designer's function lives in a Python file:

    def answer(task, asked):
        if asked.form == "Affordability":
            return timedelta(hours=5), {"outcome": "approve"}
        return None  # nobody answers this one
"""

import datetime as dt
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue, ValidationError

from stage.errors import StageError
from stage.world.records import TaskRecord
from stage.world.state import Answer, Answers, nobody
from workflows.effects import OpenTask
from workflows.source.journey_loading import Registry

NOBODY: Final = "nobody"
APPROVE: Final = "approve"
#: The part of the time until a task is due after which `approve` answers: before the first reminder.
SOON: Final = 4


def read_answers(given: str) -> str:
    """What `--answers` means, as a text that travels between processes: a word, or the source of the file.

    Raises StageError with a sentence.
    """
    if given in {NOBODY, APPROVE}:
        return given
    try:
        source = Path(given).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise StageError(
            f"--answers takes {NOBODY}, {APPROVE} or a Python file with a function `answer`; {given} cannot be read: "
            f"{getattr(error, 'strerror', None) or error}."
        ) from None
    _function(source)
    return source


def answers_of(text: str, registry: Registry) -> Answers:
    """The policy behind what `read_answers` returned.

    It must give the same answer for the same task, whatever was asked before: players are played in any order,
    in several processes. An answer that does not fit its form raises StageError.
    """
    if text == NOBODY:
        return nobody
    policy: Callable[[TaskRecord, OpenTask], object] = _approve if text == APPROVE else _function(text)

    def answer(task: TaskRecord, asked: OpenTask) -> Answer:
        given = policy(task, asked)
        if given is None:
            return None
        match given:
            case (timedelta() as after, Mapping() as filled_in) if after >= timedelta(0):
                pass
            case _:
                raise StageError(
                    f"The answer to {asked.form} is {given!r}; return (timedelta, the form's fields as a dict) or None."
                )
        form = registry.forms.get(task.journey, {}).get(asked.form)
        if form is not None:
            try:
                form.model_validate(filled_in)
            except ValidationError as error:
                faults = "; ".join(f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors())
                raise StageError(f"The answer {dict(filled_in)} does not fit {asked.form}: {faults}.") from None
        return after, filled_in

    return answer


def _function(source: str) -> Callable[[TaskRecord, OpenTask], object]:
    names: dict[str, Any] = {
        "__name__": "answers",
        "timedelta": timedelta,
        "datetime": dt.datetime,
    }
    try:
        exec(compile(source, "--answers", "exec"), names)  # noqa: S102 - the designer's own file, named by the designer
    except Exception as error:
        raise StageError(f"The file of --answers does not run: {type(error).__name__}: {error}.") from error
    found = names.get("answer")
    if not callable(found):
        raise StageError("The file of --answers has no function `answer`; write `def answer(task, asked): ...` in it.")
    function: Callable[[TaskRecord, OpenTask], object] = found
    return function


def _approve(task: TaskRecord, asked: OpenTask) -> Answer:
    """The first choice of every list and yes to every question, well before the task is due."""
    return (asked.due_at - task.opened_at) / SOON, approving(asked.form_schema, task.opened_at.date())


def approving(schema: Mapping[str, Any], today: date) -> dict[str, JsonValue]:
    """An answer to a form by its JSON Schema: first choices, yes, the least number, today; texts as short as allowed.

    Designers write the favourable choice first; a form that does not is answered the wrong way round.
    """
    definitions = schema.get("$defs", {})
    return {
        name: _filled_in(part, definitions, today)
        for name, part in schema.get("properties", {}).items()
        if name in schema.get("required", ())
    }


def _filled_in(part: Mapping[str, Any], definitions: Mapping[str, Any], today: date) -> JsonValue:  # noqa: PLR0911 - one return a kind
    if "$ref" in part:
        part = definitions[part["$ref"].rpartition("/")[2]]
    for key in ("anyOf", "oneOf", "allOf"):
        if part.get(key):
            return _filled_in(part[key][0], definitions, today)
    if "const" in part:
        constant: JsonValue = part["const"]
        return constant
    if part.get("enum"):
        first: JsonValue = part["enum"][0]
        return first
    match part.get("type"):
        case "boolean":
            return True
        case "integer" | "number":
            least = part.get("minimum", part.get("exclusiveMinimum", -1) + 1)
            return int(least)
        case "array":
            return [_filled_in(part.get("items", {}), definitions, today) for _ in range(part.get("minItems", 0))]
        case "object":
            return approving({"$defs": definitions, **part}, today)
        case "string" if part.get("format") == "date":
            return today.isoformat()
        case "string" if part.get("format") == "date-time":
            return f"{today.isoformat()}T12:00:00Z"
        case _:
            return "rehearsed".ljust(part.get("minLength", 0), ".")[: part.get("maxLength")]
