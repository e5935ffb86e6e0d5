"""Validates a person's answer to a form: by its JSON Schema, then by the form's own class."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Annotated, Any, Final

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError as Unfit
from jsonschema.validators import extend
from pydantic import StringConstraints, TypeAdapter, ValidationError
from pydantic_core import SchemaError

from api.problems import pointer, sentence
from workflows.forms import Form
from workflows.json_object import JsonObject

#: Faults that are told, and those that are looked for: the answer decides how many there are.
_MOST: Final = 20
_MOST_SOUGHT: Final = 200
#: Characters of one fault's sentence: it may speak of the answer, and must not hand it back whole.
_LONGEST: Final = 200


def faults_of(answer: JsonObject, schema: JsonObject, form: type[Form] | None) -> list[dict[str, str]]:
    """Each fault with a pointer into the request; empty when the journey can take the answer.

    The class is asked too, because a form may demand what JSON Schema cannot say, and a run that gets an answer it
    cannot read would stand still. It is None when the journey is no longer deployed.
    """
    checker = _Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    faults = [_fault(error) for error in islice(checker.iter_errors(answer), _MOST_SOUGHT)]
    if not faults and form is not None:
        try:
            form.model_validate(answer)
        except ValidationError as error:
            faults = [
                {"pointer": _short(pointer(("answer", *fault["loc"]))), "detail": sentence(_short(fault["msg"]))}
                for fault in error.errors(include_url=False, include_input=False, include_context=False)
            ]
    return sorted(faults, key=lambda fault: fault["pointer"])[:_MOST]


def _fault(error: Unfit) -> dict[str, str]:
    place = ["answer", *error.absolute_path]
    if error.validator == "required" and isinstance(error.validator_value, list):
        # The schema is broken where the field is not, so the pointer names the field.
        place += [name for name in error.validator_value if error.message.startswith(repr(name))]
    return {"pointer": _short(pointer(place)), "detail": sentence(_short(_without_value(error)))}


def _without_value(error: Unfit) -> str:
    """What is wrong, without the value itself: whoever asks has it, and it may be personal."""
    value = repr(error.instance)
    return f"this {error.message[len(value) :].lstrip()}" if error.message.startswith(value) else error.message


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


# ---- what the library takes too long for ------------------------------------------------------------------------

# It runs patterns in Python's engine, where a short answer to `^(a+)+$` takes hours of the event loop, and compares
# each element of a set with each.


@lru_cache(maxsize=256)
def _engine(pattern: str) -> TypeAdapter[str] | None:
    """Runs a pattern in a time that grows with the text alone; None for one that looks around or back.

    Of these only the schema of a number's text has one, and the form's class reads that without a pattern.
    """
    try:
        return TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)])
    except SchemaError:
        return None


def _fits(pattern: str, text: str) -> bool:
    engine = _engine(pattern)
    if engine is None:
        return True
    try:
        engine.validate_python(text)
    except ValidationError:
        return False
    return True


def _pattern(_validator: Any, pattern: str, instance: object, _schema: object) -> Iterator[Unfit]:
    if isinstance(instance, str) and not _fits(pattern, instance):
        yield Unfit(f"this does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: object, _schema: object
) -> Iterator[Unfit]:
    if isinstance(instance, dict):
        for pattern, schema in patterns.items():
            for name, value in instance.items():
                if _fits(pattern, name):
                    yield from validator.descend(value, schema, path=name, schema_path=pattern)


def _unique_items(
    _validator: Any,
    wanted: bool,  # noqa: FBT001 - the library gives it by position
    instance: object,
    _schema: object,
) -> Iterator[Unfit]:
    if wanted and isinstance(instance, list):
        different = {orjson.dumps(item, option=orjson.OPT_SORT_KEYS) for item in instance}
        if len(different) < len(instance):
            yield Unfit("this has the same element twice")


_Validator: Any = extend(  # type: ignore[no-untyped-call]  # the stubs leave its signature open
    Draft202012Validator,
    {"pattern": _pattern, "patternProperties": _pattern_properties, "uniqueItems": _unique_items},
)
