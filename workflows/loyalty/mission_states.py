"""A player's missions by name, each read from the row only when somebody looks at it.

A round of a busy player counts in dozens of missions and completes none of them. What the row holds of a mission that
is simply under way is therefore one number, among those of all missions with the same window and step; `tally` makes
such numbers larger, and nothing else is made of them or written anew.
"""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, TypeAdapter
from pydantic_core import core_schema

from workflows.events import Event
from workflows.loyalty.mission_progress import GRACE, MissionState, Occurrence
from workflows.loyalty.missions import PlayerMission, Step
from workflows.rules.failures import RuleFailure
from workflows.rules.where import passes

#: No mission is called so: under this name stand the numbers of those that are simply under way.
UNDER_WAY: Final = "~"
#: What this way of writing missions is called, among processes that ask each other whether they read it. Who does not
#: would take the numbers for a mission of that name, with nothing done, and write that back.
MISSION_NUMBERS: Final = "mission_numbers"
#: By window and step, as `opens/closes/step`: how much is done, by mission.
Numbers = dict[str, dict[str, int]]


class MissionStates(MutableMapping[str, MissionState]):
    """`dict[str, MissionState]` that reads a mission when it is asked for."""

    __slots__ = ("_completed", "_numbers", "_read", "_unread")

    def __init__(self, stored: Mapping[str, Any] | None = None) -> None:
        self._unread: dict[str, Any] = dict(stored or {})
        under_way = self._unread.pop(UNDER_WAY, {})
        self._numbers: Numbers = under_way.get("numbers", {})
        #: How often those were completed before.
        self._completed: dict[str, int] = under_way.get("completed", {})
        self._read: dict[str, MissionState] = {}

    def __getitem__(self, name: str) -> MissionState:
        if (state := self._read.get(name)) is not None:
            return state
        if name in self._unread:
            # Taken out only when it could be read, so that what is broken stays in the row.
            state = _STATE.validate_python(self._unread[name])
        else:
            key = next((key for key, numbers in self._numbers.items() if name in numbers), None)
            if key is None:
                raise KeyError(name)
            state = _spread(key, self._numbers[key][name], self._completed.get(name, 0))
        self._forget(name)
        self._read[name] = state
        return state

    def __setitem__(self, name: str, state: MissionState) -> None:
        self._forget(name)
        self._read[name] = state

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._forget(name)

    def __iter__(self) -> Iterator[str]:
        under_way = [name for numbers in self._numbers.values() for name in numbers]
        return iter(sorted([*under_way, *self._unread, *self._read]))

    def __len__(self) -> int:
        return len(self._unread) + len(self._read) + sum(map(len, self._numbers.values()))

    def __contains__(self, name: object) -> bool:
        return name in self._read or name in self._unread or any(name in numbers for numbers in self._numbers.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        # What they are compared with most often is nothing, and then nothing need be read.
        return len(self) == len(other) and (not len(other) or dict(self.items()) == dict(other.items()))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self.items())!r})"

    def tally(
        self,
        about: Sequence[PlayerMission],
        only_steps: Mapping[str, Step],
        event: Event,
        now: datetime,
        failures: list[RuleFailure],
    ) -> Sequence[PlayerMission]:
        """Count an event where that only makes a number larger, as `mission_progress.move` would; the missions left.

        Of those nothing is changed: they begin, are completed, have ended, or were read already. `only_steps` has, by
        mission, what is done by a number alone.
        """
        at, done = min(event.occurred_at, now), set[str]()
        for key, numbers in self._numbers.items():
            opens, closes, step_name = key.split("/", 2)
            if not _takes(opens, closes or None, at, now):
                continue
            for name, number in numbers.items():
                step = only_steps.get(name)
                if step is None or step.name != step_name:
                    continue
                amount = _amount(step, event, failures)
                if amount is not None and number + amount < step.target:
                    numbers[name] = number + amount
                    done.add(name)
        if len(done) == len(about):
            return ()
        # Who has completed it for good gets no further in it, whatever happens.
        unread = self._unread
        return [
            one
            for one in about
            if one.name not in done and not (one.again is None and one.name in unread and _is_through(unread[one.name]))
        ]

    def stored(self, *, as_numbers: bool = True) -> dict[str, Any]:
        """What the row holds of them, in live values where it holds more than a number; or all of them one by one."""
        if not as_numbers:
            return self._unread | {name: self._held(name).stored() for name in self if name not in self._unread}
        return self._packed(lambda state: state.stored())

    def to_json(self) -> dict[str, Any]:
        """The same in plain JSON values."""
        return self._packed(lambda state: _STATE.dump_python(state, mode="json", exclude_defaults=True))

    def _packed(self, write: Any) -> dict[str, Any]:
        packed, written = self._numbers, dict(self._unread)
        numbers: Numbers = {key: dict(part) for key, part in packed.items()} if self._read else packed
        completed = dict(self._completed)
        for name, state in self._read.items():
            if (found := _gathered(state)) is None:
                written[name] = write(state)
                continue
            key, number = found
            numbers.setdefault(key, {})[name] = number
            if state.completed:
                completed[name] = state.completed
        under_way: dict[str, Any] = {"numbers": numbers} if any(numbers.values()) else {}
        if completed:
            under_way["completed"] = completed
        return written | {UNDER_WAY: under_way} if under_way else written

    def _held(self, name: str) -> MissionState:
        """One that was read or is a number; it stays what it is."""
        if (state := self._read.get(name)) is not None:
            return state
        key = next(key for key, numbers in self._numbers.items() if name in numbers)
        return _spread(key, self._numbers[key][name], self._completed.get(name, 0))

    def _forget(self, name: str) -> None:
        self._read.pop(name, None)
        self._unread.pop(name, None)
        self._completed.pop(name, None)
        for key in [key for key, numbers in self._numbers.items() if name in numbers]:
            del self._numbers[key][name]
            if not self._numbers[key]:
                del self._numbers[key]

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        row = core_schema.dict_schema(core_schema.str_schema(), core_schema.dict_schema(core_schema.str_schema()))
        written = core_schema.plain_serializer_function_ser_schema(cls.to_json)
        return core_schema.no_info_after_validator_function(cls, row, serialization=written)


_STATE: Final = TypeAdapter(MissionState)


def _gathered(state: MissionState) -> tuple[str, int] | None:
    """Under which key, and as which number, a state is held that is simply under way; None for any other."""
    if len(state.occurrences) != 1:
        return None
    [one] = state.occurrences
    if len(one.counts) != 1 or one.marks or one.completed_at or one.claim_until or one.claimed_at:
        return None
    [(step, number)] = one.counts.items()
    return f"{_text(one.opens)}/{'' if one.closes is None else _text(one.closes)}/{step}", number


def _spread(key: str, number: int, completed: int) -> MissionState:
    opens, closes, step = key.split("/", 2)
    window = datetime.fromisoformat(opens), datetime.fromisoformat(closes) if closes else None
    return MissionState([Occurrence(*window, counts={step: number})], completed)


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _takes(opens: str, closes: str | None, at: datetime, now: datetime) -> bool:
    if at < datetime.fromisoformat(opens):
        return False
    end = None if closes is None else datetime.fromisoformat(closes)
    return end is None or (at < end and now < end + GRACE)


def _amount(step: Step, event: Event, failures: list[RuleFailure]) -> int | None:
    """What an event adds to a step; None where whoever counts it alone must say."""
    measure = step.measure
    if measure.where is not None and not passes(measure.where, event, failures):
        return 0
    if measure.how == "count":
        return 1
    try:
        return measure.amount(event)
    except Exception:  # noqa: BLE001 - whatever a designer's function raises
        return None


def _is_through(held: Mapping[str, Any]) -> bool:
    return bool(held.get("completed")) and all("completed_at" in one for one in held.get("occurrences", ()))
