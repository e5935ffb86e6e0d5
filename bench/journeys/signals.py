"""The events that start and wake the journeys of the benchmarks; no shipped journey knows them."""

from workflows import Event


class Begun(Event, type="bench.begun", example={}):
    """A player enters `two_sends`."""


class Woken(Event, type="bench.woken", example={}):
    """What a run of `two_sends` waits for."""


class Parked(Event, type="bench.parked", example={}):
    """A player enters `parked`."""


class Called(Event, type="bench.called", example={}):
    """What a run of `parked` reacts to."""


class Mailed(Event, type="bench.mailed", example={}):
    """A player enters `mailing`."""


class Needed(Event, type="bench.needed", example={}):
    """A player enters `needing`."""


class Entered(Event, type="bench.entered", example={}):
    """A player enters the journey whose runs move."""
