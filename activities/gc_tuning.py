"""How a server's memory is looked after, once all it needs is loaded."""

import gc
from typing import Final

#: New objects between two looks of the collector, instead of the usual 700: a batch makes tens of thousands that all
#: go again by themselves, and every look would find them alive.
YOUNG: Final = 50_000


def settle() -> None:
    """Let no later collection walk what is loaded by now: walking it again and again took half of intake's time."""
    gc.collect()
    gc.freeze()


def collect_rarely() -> None:
    """Let collections come rarely as well; not for workers, where every run that leaves the cache is a circle."""
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
