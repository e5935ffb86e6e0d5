"""How slow this machine is, so that limits of time grow with it."""

import hashlib
import os
import time

#: Seconds of `_chore` on the machine that limits of time were set on.
USUAL_S = 0.06


def measured_slowness() -> float:
    """How many times longer this machine takes over a small piece of work than the one the limits were set on."""
    return max(1.0, min(_chore() for _ in range(3)) / USUAL_S)


def slowness() -> float:
    """The factor for every limit of time. SLOWNESS sets it; the first to ask measures it for all its children."""
    if "SLOWNESS" not in os.environ:
        os.environ["SLOWNESS"] = f"{measured_slowness():.1f}"
    return float(os.environ["SLOWNESS"])


def _chore() -> float:
    """Seconds over the small piece of work."""
    began = time.perf_counter()
    block = b""
    for number in range(60_000):
        block = hashlib.sha256(block + number.to_bytes(4)).digest()
    return time.perf_counter() - began
