"""What intake says became of an event."""

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True)
class DuplicateOf:
    """A fact of which there is one, told before under another identity."""

    source: str
    id: str


@dataclass(frozen=True)
class Kept:
    """An event that could not be applied to its player: taken in and kept until a person has it tried again."""

    detail: ClassVar[str] = (
        "It is kept and has caused nothing yet: this player cannot be advanced by it. A person looks at it "
        "(GET /v1/failed-events) and has it tried again."
    )


class ItemRefusal:
    """An event that was read and is not taken in, for a reason that a sender can mend."""

    #: A JSON Pointer into the event.
    pointer: ClassVar[str]
    #: The reason as a code.
    reason: ClassVar[str]

    @property
    def detail(self) -> str:
        """What to do, as a sentence."""
        raise NotImplementedError


@dataclass(frozen=True)
class Conflict(ItemRefusal):
    """An event whose identity belongs to another one. It is not kept, unless it protects the player."""

    pointer = "/id"
    reason = "identity_taken"

    #: What is not the same, such as `another player and other data`.
    difference: str
    #: Whether it protects, and so was kept and acted upon under an identity of its own.
    applied: bool

    @property
    def detail(self) -> str:
        """What to do, as a sentence."""
        told = f"This source and id belong to an event with {self.difference}; send yours under an id of its own."
        return f"{told} It protects the player, so it was acted upon all the same." if self.applied else told


#: What became of an event. `later` is not kept, to be sent again.
Receipt = Literal["accepted", "duplicate", "later"] | DuplicateOf | Kept | ItemRefusal
