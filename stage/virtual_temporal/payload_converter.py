"""How values travel between a run and the world: as JSON, exactly as over the wire to a server."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Self

from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_json
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter
from temporalio.converter import SerializationContext

#: Copied for each value: to fill a map of protobuf from a dictionary takes longer than to write the value.
JSON = b"json/plain"
EMPTY = Payload(metadata={"encoding": JSON})
ANYTHING = TypeAdapter[Any](Any)


class Payloads(PydanticPayloadConverter):
    """The pydantic converter of production; it knows at once what a single model or text becomes.

    Every value still goes through its JSON, so that what production could not carry fails here too.
    """

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        """Encode values as the SDK would."""
        if len(values) == 1 and isinstance(values[0], (BaseModel, str)):
            payload = Payload()
            payload.CopyFrom(EMPTY)
            payload.data = to_json(values[0])
            return [payload]
        return super().to_payloads(values)

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """Decode values as the SDK would."""
        if len(payloads) == 1 and payloads[0].data:
            if type_hints is None:
                # What an effect answered; anything but JSON is left to the SDK.
                if payloads[0].metadata.get("encoding") == JSON:
                    return [ANYTHING.validate_json(payloads[0].data)]
            elif len(type_hints) == 1 and (model := _model(type_hints[0])) is not None:
                return [model.model_validate_json(payloads[0].data)]
        return super().from_payloads(payloads, type_hints)

    def with_context(self, context: SerializationContext) -> Self:  # noqa: ARG002 - the same for everybody
        """This converter, whoever asks."""
        return self


@cache
def _model(kind: object) -> type[BaseModel] | None:
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


CONVERTER = Payloads()
FAILURES = pydantic_data_converter.failure_converter
FAILURE_CLASS = pydantic_data_converter.failure_converter_class
