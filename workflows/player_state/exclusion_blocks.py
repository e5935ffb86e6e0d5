"""What shuts a player out, as blocks on record: exclusions that were told, and the one that an account status is.

A self-exclusion told as the status of the account is a block of a scope of its own. It outlasts every other status: a
suspension or a closure ends no exclusion, only an account that is open again does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

#: What begins the names under which `told` has the ends of exclusions.
END_OF: Final = "end of "
#: The kind that ends by itself everywhere and asks for no cooling-off.
TIME_OUT: Final = "time_out"
SELF_EXCLUSION: Final = "self_exclusion"
#: The account status that is one.
SELF_EXCLUDED: Final = "self_excluded"
#: The scope of the block that an account status is; nobody can tell it otherwise.
ACCOUNT: Final = "account"
END_OF_STATUS: Final = f"{END_OF}status"
#: The newest end among the person's other accounts, as they were when they were joined.
END_ELSEWHERE: Final = f"{END_OF}exclusion elsewhere"
#: Under this name `told` has when the account was last said to be open.
OPENED: Final = "opened"


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A block in force until a moment; `until=None` is for ever."""

    kind: str
    scope: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Block(Exclusion):
    """An exclusion on record, and since when, so that an end which comes late lifts no newer one."""

    since: datetime


@dataclass(frozen=True, slots=True)
class TimedStatus:
    """An account status that ends by itself."""

    status: str
    until: datetime
    since: datetime


@dataclass(frozen=True, slots=True)
class Lasting:
    """An account status without an end."""

    status: str
    since: datetime


def kept(blocks: Iterable[Block], new: Block) -> list[Block]:
    """The blocks with one more. Of a kind and scope there is one: the latest end that was said, since the newest word.

    The trap: an end that comes late lifts nothing if any word is newer, so a player may be left alone for longer than
    the words one by one would say, and never for shorter.
    """
    others: list[Block] = []
    for block in blocks:
        if (block.kind, block.scope) == (new.kind, new.scope):
            until = None if block.until is None or new.until is None else max(block.until, new.until)
            new = Block(new.kind, new.scope, until, max(block.since, new.since))
        else:
            others.append(block)
    return [*others, new]


def lifted(blocks: Iterable[Block], kind: str, scope: str, at: datetime) -> list[Block]:
    """The blocks without those of a kind and scope that were set before an end; a block of its very instant stays."""
    return [block for block in blocks if (block.kind, block.scope) != (kind, scope) or block.since >= at]


def of_status(blocks: list[Block], lasting: Lasting | None, timed: TimedStatus | None) -> list[Block]:
    """The blocks, with the one that the account's status is: rows of before December 2026 kept none for it."""
    if any(block.scope == ACCOUNT for block in blocks):
        return blocks
    if lasting is not None and lasting.status == SELF_EXCLUDED:
        return [*blocks, Block(SELF_EXCLUSION, ACCOUNT, None, lasting.since)]
    if timed is not None and timed.status == SELF_EXCLUDED:
        return [*blocks, Block(SELF_EXCLUSION, ACCOUNT, timed.until, timed.since)]
    return blocks


def note_end(told: dict[str, int], name: str, at: int) -> None:
    """Note when something was ended or opened, the newest word on it."""
    told[name] = max(at, told.get(name, 0))


def last_end(told: Mapping[str, int]) -> int | None:
    """When the last exclusion was ended by a word, time-outs left out, in microseconds since 1970."""
    ends = (at for name, at in told.items() if name.startswith(END_OF) and TIME_OUT not in name)
    return max(ends, default=None)
