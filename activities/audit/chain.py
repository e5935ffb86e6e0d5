"""What the chains of the audit trail prove: every edit, deletion, swap and truncation of entries. Pure.

An entry's hash is SHA-256 over the hash before it and the entry as text, its place among it. A chain ends where its
head says. Who may write both entries and heads can make a chain anew from some entry on, and is found by an anchor
alone: what the heads were, kept where that person cannot reach.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, NamedTuple

#: What the first entry of a chain follows.
NOTHING: Final = b""
Fault = Literal["edited", "missing", "out of order", "cut off", "no head", "not as anchored"]
Lane = tuple[str, int]


class Link(NamedTuple):
    """An entry as it is checked: its place, its two hashes, and its text."""

    brand: str
    lane: int
    n: int
    prev: bytes
    hash: bytes
    text: str


class ChainHead(NamedTuple):
    """Where a chain ends: how many entries it has, and the hash of the last."""

    n: int
    hash: bytes


class ChainFault(NamedTuple):
    """Something that was done to a chain behind its back: what, and at which entry."""

    fault: Fault
    brand: str
    lane: int
    n: int

    @property
    def sentence(self) -> str:
        """For a person."""
        what = {
            "edited": "was edited",
            "missing": "is missing, or all from it on to the next that is there",
            "out of order": "does not follow the one before it",
            "cut off": "is where the chain ends, and its head says otherwise",
            "no head": "stands in a chain that has no head",
            "not as anchored": "is not what the anchor says it was",
        }[self.fault]
        return f"Entry {self.n} of {self.brand}, lane {self.lane}, {what}."


def hash_of(prev: bytes, text: str) -> bytes:
    """The hash of an entry."""
    return hashlib.sha256(prev + text.encode()).digest()


class ChainCheck:
    """Looks at entries one by one, lane by lane in their order, and says what is wrong with them.

    The heads must not be older than the entries: what is written meanwhile would look cut off.
    """

    def __init__(self, heads: Mapping[Lane, ChainHead], anchor: Mapping[Lane, ChainHead] | None = None) -> None:
        self._heads = heads
        self._anchored = {lane: head for lane, head in (anchor or {}).items() if head.n}
        self._seen = set[Lane]()
        self._lane: Lane | None = None
        self._last = ChainHead(0, NOTHING)

    def next(self, link: Link) -> list[ChainFault]:
        """What is wrong with the next entry, and with the end of the lane before it."""
        found = list[ChainFault]()
        lane, last = (link.brand, link.lane), self._last
        if lane != self._lane:
            found += self._end_lane()
            self._lane, last = lane, ChainHead(0, NOTHING)
            self._seen.add(lane)
        if link.n != last.n + 1:
            found.append(ChainFault("missing" if link.n > last.n else "out of order", *lane, last.n + 1))
        elif link.prev != last.hash:
            found.append(ChainFault("out of order", *lane, link.n))
        if hash_of(link.prev, link.text) != link.hash:
            found.append(ChainFault("edited", *lane, link.n))
        self._last = ChainHead(link.n, link.hash)
        if (known := self._anchored.get(lane)) is not None and known.n == link.n:
            del self._anchored[lane]
            if known.hash != link.hash:
                found.append(ChainFault("not as anchored", *lane, link.n))
        return found

    def end(self) -> list[ChainFault]:
        """What is wrong with how the chains end, when all entries were looked at."""
        found = self._end_lane()
        gone = sorted({lane for lane, head in self._heads.items() if head.n} - self._seen)
        found += [ChainFault("cut off", *lane, 0) for lane in gone]
        return found + [ChainFault("not as anchored", *lane, head.n) for lane, head in sorted(self._anchored.items())]

    def _end_lane(self) -> list[ChainFault]:
        if self._lane is None:
            return []
        head = self._heads.get(self._lane)
        if head is None:
            return [ChainFault("no head", *self._lane, self._last.n)]
        return [] if head == self._last else [ChainFault("cut off", *self._lane, self._last.n)]


def findings(
    links: Iterable[Link], heads: Mapping[Lane, ChainHead], anchor: Mapping[Lane, ChainHead] | None = None
) -> Iterator[ChainFault]:
    """All that is wrong with chains; nothing where all is as it was written."""
    check = ChainCheck(heads, anchor)
    for link in links:
        yield from check.next(link)
    yield from check.end()
