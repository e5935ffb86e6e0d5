"""How large and how tangled what is read as JSON may be; asked before anything walks it.

What is cheap to send can be dear to read: a key of 100,000 characters above a list of 20,000 ones is 140 KB on the
wire. A body is judged by its text first, at the speed of a search for bytes, and what was parsed by one walk that
stops at the first bound.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

#: Commas and brackets that a text may hold whatever it is: parsing so few costs nothing.
LEEWAY: Final = 20_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that one document may hold."""

    #: Bytes on the wire, after decompression.
    size: int
    #: Values in it, containers included.
    nodes: int
    #: Containers within each other.
    depth: int = 32
    #: Characters of the name of a member.
    key: int = 256

    @property
    def too_many_bytes(self) -> str:
        """What is said of a body that is too long."""
        return f"Send at most {self.size} bytes in one request; GET /v1/limits lists the limits."

    def text_excess(self, text: bytes | bytearray) -> str | None:
        """Which bound a document breaks, as a sentence, before it is parsed; None when it keeps them.

        Commas and brackets within texts count too, so small documents are given the leeway of long prose.
        """
        if len(text) > self.size:
            return self.too_many_bytes
        most = max(self.nodes, LEEWAY)
        if text.count(b",") + text.count(b"[") + text.count(b"{") > most:
            return f"Send at most {most} values in one request; send less at a time."
        return None

    def excess(self, value: object) -> str | None:
        """Which bound a parsed value breaks, as a sentence; None when it keeps them all.

        Its size is counted in characters of names and texts: what it takes where it is kept and sent on.
        """
        nodes = size = depth = 0
        level = [value]
        while level:
            if depth >= self.depth:
                return f"It is nested more than {self.depth} deep; send it flatter."
            depth += 1
            inner: list[object] = []
            for part in level:
                values: Collection[object] = (part,)
                if isinstance(part, dict):
                    values = part.values()
                    lengths = [*map(len, part)]
                    if max(lengths, default=0) > self.key:
                        return f"It has a name of more than {self.key} characters; use a shorter one."
                    size += sum(lengths)
                elif isinstance(part, list):
                    values = part
                nodes += len(values)
                if nodes > self.nodes:
                    return f"It holds more than {self.nodes} values; send less in one."
                # Of what a JSON parser makes, the types are exact; this is asked of every value of every event.
                for one in values:
                    kind = type(one)
                    if kind is str:
                        size += len(one)  # type: ignore[arg-type]  # a comparison of types narrows nothing
                    elif kind is dict or kind is list:
                        inner.append(one)
            level = inner
        if size > self.size:
            return f"It is longer than {self.size} bytes; send less in one."
        return None


#: One event, one message, one answer, and every body that is not a batch of them.
ITEM: Final = Bounds(size=256 * 1024, nodes=2_000)


def batch_bounds(body_limit: int, batch_limit: int) -> Bounds:
    """What a body that holds a batch may be: its items are held to `ITEM` one by one."""
    return Bounds(size=body_limit, nodes=max(ITEM.nodes, 100 * batch_limit))
