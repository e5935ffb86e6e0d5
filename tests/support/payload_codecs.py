"""A codec as a casino would bring its own; named by PAYLOAD_CODEC in the tests."""

from collections.abc import Sequence

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    ActivitySerializationContext,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)

ENCODING = b"binary/turned-around"
NO_CODEC = object()


class TurnsAround(PayloadCodec):
    """Turns the bytes of every payload around. A toy: it shows that a codec is used everywhere and protects nothing."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """The whole payload, its metadata too, as the data of another."""
        return [Payload(metadata={"encoding": ENCODING}, data=p.SerializeToString()[::-1]) for p in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """What was encoded here; anything else as it is, from before there was a codec."""
        return [Payload.FromString(p.data[::-1]) if p.metadata["encoding"] == ENCODING else p for p in payloads]


class NamesRun(TurnsAround, WithSerializationContext):
    """Turns payloads around and notes beside them whose they are, as a codec with a key for each player must know."""

    def __init__(self, run: str = "") -> None:
        self.run = run

    def with_context(self, context: SerializationContext) -> "NamesRun":
        if isinstance(context, WorkflowSerializationContext | ActivitySerializationContext):
            return NamesRun(context.workflow_id or "")
        return self

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        encoded = await super().encode(payloads)
        for payload in encoded:
            payload.metadata["run"] = self.run.encode()
        return encoded


made = TurnsAround()
