"""Tuning of the garbage collector for long-lived servers, once all they need is loaded."""

import asyncio
import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from activities.clock import sleep_or_stop

#: New objects between two collections, instead of the usual 700: a batch makes tens of thousands that all
#: go again by themselves, and every collection would find them alive.
NEW_OBJECTS: Final = 50_000
NEVER: Final = 1_000_000
#: Seconds after which what is still alive is taken to stay.
SETTLED_AFTER: Final = 5.0
#: All of it is looked through when the process has grown by so much of itself, and by so many bytes; and every so many
#: looks, because memory that was freed may stay with the process.
GROWN: Final = 1.25
MARGIN: Final = 64 * 2**20
LOOKS: Final = 720
_STATM: Final = Path("/proc/self/statm")


def freeze_gc() -> None:
    """Exempt everything loaded by now from later collections: walking it took half of intake's time."""
    gc.collect()
    gc.freeze()


def collect_rarely() -> None:
    """Collect less often; not for workers, whose runs stay for long and would be walked each time."""
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])


def resident_bytes() -> int | None:
    """How much memory this process has; None where the system does not say."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


class SettledHeap:
    """Walks young objects often and settled ones hardly ever.

    A worker keeps thousands of waiting runs. Collecting everything, as Python does whenever a quarter has come to it,
    stood still for a second with a thousand of them and found nothing: a run that leaves is taken apart and goes by
    itself (`workflows/temporal_internals.py`). Settled circles, such as runs with a sandbox of their own, and those of
    all that was alive at a look, are found when the process has grown, or within the hour.
    """

    def __init__(self, resident: Callable[[], int | None] = resident_bytes) -> None:
        self._resident = resident
        self._limit = 0.0
        self._looks = 0

    def begin(self) -> None:
        """Take what is there for settled. Does nothing where nobody says how much memory the process has."""
        if (resident := self._resident()) is None:
            return
        self._limit = resident * GROWN + MARGIN
        young, middle, _ = gc.get_threshold()
        gc.set_threshold(young, middle, NEVER)
        gc.freeze()

    def look(self) -> None:
        """Collect what is young, or everything when the process has grown; what is left settles."""
        if not self._limit or (resident := self._resident()) is None:
            return
        self._looks += 1
        if resident > self._limit or self._looks >= LOOKS:
            self._looks = 0
            gc.unfreeze()
            gc.collect()
            self._limit = (self._resident() or resident) * GROWN + MARGIN
        else:
            gc.collect(1)
        gc.freeze()

    async def run(self, stop: asyncio.Event) -> None:
        """Look every few seconds until told to stop."""
        self.begin()
        while not stop.is_set():
            await sleep_or_stop(stop, SETTLED_AFTER)
            self.look()
