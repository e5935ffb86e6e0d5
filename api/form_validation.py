"""Validates a person's answer to a form: by its JSON Schema, then by the form's own class."""

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError as SchemaError
from pydantic import ValidationError

from api.problems import pointer, sentence
from workflows.forms import Form
from workflows.json_object import JsonObject

_MOST = 20


def faults_of(answer: JsonObject, schema: JsonObject, form: type[Form] | None) -> list[dict[str, str]]:
    """Each fault with a pointer into the request; empty when the journey can take the answer.

    The class is asked too, because a form may demand what JSON Schema cannot say, and a run that gets an answer it
    cannot read would stand still. It is None when the journey is no longer deployed.
    """
    checker = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    faults = [_fault(error) for error in checker.iter_errors(answer)]
    if not faults and form is not None:
        try:
            form.model_validate(answer)
        except ValidationError as error:
            faults = [
                {"pointer": pointer(("answer", *fault["loc"])), "detail": sentence(fault["msg"])}
                for fault in error.errors(include_url=False, include_input=False, include_context=False)
            ]
    return sorted(faults, key=lambda fault: fault["pointer"])[:_MOST]


def same(one: object, other: object) -> bool:
    """Whether two JSON values are equal, with true not being 1."""
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)


def _fault(error: SchemaError) -> dict[str, str]:
    place = ["answer", *error.absolute_path]
    if error.validator == "required" and isinstance(error.validator_value, list):
        # The schema is broken where the field is not, so the pointer names the field.
        place += [name for name in error.validator_value if error.message.startswith(repr(name))]
    return {"pointer": pointer(place), "detail": sentence(error.message)}
