"""The journal of a run: what each of its steps came to, by the step's id.

It is ordinary state of the workflow: replay rebuilds it, and it costs Temporal no command. A chapter that begins with
one plays the journey's function from the top. Verbs whose step it knows return at once what they returned before, and
the journey's clock shows what it showed then, until the run stands where it stood.

A run that came from another release finds steps on its way that its journal does not know. Those before the place where
it stood are passed over; `RunJournal.look` finds that place by following the function without doing anything.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from json.encoder import encode_basestring_ascii
from typing import Any, Final, TypeVar

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from workflows.events.base import Event
from workflows.run_protocol import KnownStep
from workflows.verb_table import VERBS

__all__ = ["MovedRun"]

M = TypeVar("M", bound=BaseModel)

#: Bytes of JSON. With inbox, story and facts it must fit into one payload of Temporal, 2 MiB.
MOST_JOURNAL: Final = 512 * 1024
#: What a step is said to have come to that was passed over.
MOVED_PAST: Final = "moved_past"
#: Steps in a row that a look meets without one that is known: a loop, which has no end when nothing happens in it.
MOST_UNKNOWN: Final = 1_000
#: What an entry takes besides its outcome, about.
ENTRY_BYTES: Final = 120


class LookedFarEnough(BaseException):
    """Ends a look ahead from inside any verb; designers never see it."""


class RunJournal:
    """What is known of a run's steps, and how far the run has come in playing them anew."""

    def __init__(self, entries: Mapping[str, KnownStep], do: Collection[str] = ()) -> None:
        self.entries = dict(entries)
        self.size = sum(map(_size, self.entries, self.entries.values()))
        #: Whether it grew too large; then nothing is kept, and the run stays in its chapter and its release.
        self.full = False
        #: Steps before the place of a moved run that are done all the same: ids, or ids without their number.
        self.do = frozenset(do)
        #: The last step that is known on the way of a moved run; None once it was reached.
        self.ahead: str | None = None
        #: Whether the function is only being followed, to see where it goes.
        self.looking = False
        self._passed: set[str] = set()
        self._place: str | None = None
        self._met: str | None = None
        self._unknown = 0

    def entry(self, step: str) -> KnownStep | None:
        """The entry of a step the run has come to, over or not."""
        return self._look_at(step) if self.looking else self._come_to(step)

    def passes_over(self, step: str) -> bool:
        """Whether a step that is not known is left undone, because the run stood behind it."""
        if self.looking:
            return True
        name = step.partition("#")[0]
        verb = VERBS.get(name.partition(":")[0])
        waits = verb is not None and verb.waits
        return self.ahead is not None and (waits or not {step, name} & self.do)

    def keep(self, step: str, entry: KnownStep) -> None:
        """Write an entry down, or let all of them go when they are too many."""
        if self.full:
            return
        before = self.entries.get(step)
        if before is None:
            self.size += _size(step, entry)
        elif before.fixed == entry.fixed:
            # The usual end of a step: only its outcome is new.
            self.size += _length(entry.outcome) - _length(before.outcome)
        else:
            self.size += _size(step, entry) - _size(step, before)
        self.entries[step] = entry
        if self.size > MOST_JOURNAL:
            self.full = True
            self.entries = {}

    def forget(self, step: str) -> None:
        """Drop the entry of a step, which begins again."""
        entry = self.entries.pop(step, None)
        self.size -= 0 if entry is None else _size(step, entry)

    def look(self, follow: Callable[[], None], place: str | None) -> bool:
        """Follow the function until it comes to `place`, and set what lies `ahead`; whether it comes there.

        `follow` plays it from the top and does nothing. Where the place is gone, the run goes on behind the last step
        on its way that is known.
        """
        self.looking, self._place, self._met, self._unknown = True, place, None, 0
        try:
            follow()
        finally:
            self.looking = False
        self.ahead = None if self._met in self._passed else self._met
        return place is not None and self._met == place

    def _look_at(self, step: str) -> KnownStep | None:
        entry = self.entries.get(step)
        if step == self._place:
            self._met = step
            raise LookedFarEnough
        if entry is not None and entry.over is not None:
            self._met, self._unknown = step, 0
            return entry
        self._unknown += 1
        if self._unknown > MOST_UNKNOWN:
            raise LookedFarEnough
        return None

    def _come_to(self, step: str) -> KnownStep | None:
        self._passed.add(step)
        if step == self.ahead:
            self.ahead = None
        return self.entries.get(step)


@dataclass
class MovedRun:
    """A run on its way into another release, as `@journey.migrate(from_version=...)` gets to see and change it."""

    #: The release that it comes from.
    from_version: int
    #: The step at which it stands, such as `event:DepositApproved#1`.
    stands_at: str | None
    #: What `again(...)` gave its chapter; the new function is called with it.
    arguments: dict[str, JsonValue]
    _entries: dict[str, KnownStep] = field(default_factory=dict, repr=False)

    @property
    def steps(self) -> list[str]:
        """The ids of all steps it has come to, such as `send:welcome#1`."""
        return [*self._entries]

    def rename(self, old: str, new: str) -> None:
        """Say that the step `old` is called `new` now; a name without `#` and number stands for all of that name.

        What was done under the old name counts as done under the new one.
        """
        names = {step: _renamed(step, old, new) for step in self._entries}
        self._entries = {names[step]: entry for step, entry in self._entries.items()}
        if self.stands_at is not None:
            self.stands_at = _renamed(self.stands_at, old, new)

    @property
    def known(self) -> Mapping[str, KnownStep]:
        """The journal as it is now; the run's own business."""
        return self._entries


Migration = Callable[[MovedRun], None]


def read_as_kept(model: type[M], kept: Mapping[str, Any]) -> M:
    """Something that was valid when it was kept, read with a class that may have changed since.

    What the class refuses now is taken as it was kept, what it misses is its default or None: a run that was answered
    must not stand still because the question is another today.
    """
    try:
        return model.model_validate(kept)
    except ValidationError:
        values: dict[str, Any] = {}
        for name, one in model.model_fields.items():
            key = name if one.alias is None or one.alias not in kept else one.alias
            if key not in kept:
                values[name] = None if one.is_required() else one.get_default(call_default_factory=True)
                continue
            try:
                kind: Any = one.annotation
                values[name] = TypeAdapter(kind).validate_python(kept[key])
            except ValidationError:
                values[name] = kept[key]
        return model.model_construct(**values)


def event_as_kept(kinds: Sequence[type[Event]], wire: Any) -> Event:
    """The event that a wait for `kinds` returned, as the first of them that it is of."""
    kind = next((one for one in kinds if one.wire_type == wire["type"]), kinds[0])
    envelope = {"event_id": wire["id"], "event_source": wire["source"], "occurred_at": wire["time"]}
    return read_as_kept(kind, {**wire["data"], **envelope})


def counted_behind(counters: Mapping[str, int], steps: Collection[str]) -> dict[str, int]:
    """Counters of steps, by name, that stand behind each of `steps` too: those on the way of a release that was left.

    Their keys are used: a new step that was numbered from the way of the present release alone would meet one.
    """
    behind = dict(counters)
    for step in steps:
        name, _, number = step.partition("#")
        behind[name] = max(behind.get(name, 0), int(number or 0))
    return behind


def over(began: datetime, at: datetime, outcome: JsonValue, fixed: Mapping[str, JsonValue] | None = None) -> KnownStep:
    """The entry of a step that is over."""
    return KnownStep(began=began, over=at, fixed=dict(fixed or {}), outcome=outcome)


def _renamed(step: str, old: str, new: str) -> str:
    name, _, number = step.partition("#")
    if step == old:
        return new
    return f"{new}#{number}" if name == old and number else step


def _size(step: str, entry: KnownStep) -> int:
    """Bytes of an entry: what it takes besides, and the JSON of its two parts in a list."""
    return ENTRY_BYTES + len(step) + len("[, ]") + _length(entry.fixed) + _length(entry.outcome)


def _length(value: Any) -> int:
    """Bytes of `json.dumps(value)`, counted without writing what is small: every step of every run asks twice.

    It must stay exact: at which step a journal is full stands in stored histories.
    """
    if value is None:
        return len("null")
    if isinstance(value, str):
        return len(encode_basestring_ascii(value))
    if type(value) is int:
        return len(str(value))
    if isinstance(value, dict):
        pairs = sum(len(encode_basestring_ascii(key)) + len(": ") + _length(one) for key, one in value.items())
        return pairs + len("{}") + len(", ") * max(0, len(value) - 1)
    if type(value) is list:
        return sum(map(_length, value)) + len("[]") + len(", ") * max(0, len(value) - 1)
    return len(json.dumps(value))
