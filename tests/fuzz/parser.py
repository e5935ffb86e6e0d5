"""What a fuzzer is given: a parser as a function of bytes, and bytes to begin with."""

import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import orjson

from local.slowness import slowness

T = TypeVar("T")

#: Seconds of work that one input may cost, on a usual machine.
LONGEST_S: Final = 0.1


class TooSlow(AssertionError):
    """An input that a parser takes too long for."""


@dataclass(frozen=True)
class FuzzedParser:
    """A parser that takes any bytes and raises nothing, whatever they are: what is expected it has caught itself."""

    name: str
    run: Callable[[bytes], object]
    #: Inputs that reach far into it.
    seeds: Sequence[bytes]
    #: Bytes of one input: enough for what grows faster than its input to show.
    longest: int = 16_384

    def judge(self, data: bytes) -> None:
        """Run it. Raises whatever it raises, and TooSlow.

        Time of the processor counts, and only when it is so again: the first run may have loaded or compiled something.
        """
        limit = took = LONGEST_S * slowness()
        for _ in range(3):
            before = time.thread_time()
            self.run(data)
            took = min(took, time.thread_time() - before)
            if took < limit:
                return
        raise TooSlow(f"{self.name} works longer than {limit:.3f} s on {len(data)} bytes.")


def finished(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nobody: it only lets others have their turn."""
    while True:
        try:
            waits_for = work.send(None)
        except StopIteration as done:
            result: T = done.value
            return result
        assert waits_for is None, f"It waits for {waits_for}."


def told(answer: object) -> None:
    """What a caller is told can be written as JSON: no half characters, no NaN, no numbers too large."""
    orjson.dumps(answer)


def split(data: bytes, parts: int) -> list[bytes]:
    """So many parts of an input, which a byte of nought ends."""
    found = data.split(b"\x00", parts - 1)
    return [*found, *[b""] * (parts - len(found))]


def as_text(data: bytes) -> str:
    """Any text, half characters aside."""
    return data.decode(errors="replace")
