"""How every figure is taken: alternating rounds, medians, floors, one JSON line."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from statistics import median
from typing import Any, Literal

Figures = dict[str, Any]
Side = Callable[[int], Awaitable[float]]
Bound = tuple[Literal["at least", "at most", "exactly"], float]

#: What a figure must reach. `actions_per_run` is compared with what was counted for it.
FLOORS: Mapping[str, Bound] = {
    "stage_runs_per_s": ("at least", 500),
    "stage_vs_server": ("at least", 20),
    "year_of_real_log_s": ("at most", 60),
    "year_of_real_log_peak_mb": ("at most", 1_024),
    # 93 slices of a window, each with its number.
    "player_bytes_a_rule": ("at most", 2_600),
    "intake_vs_insert": ("at least", 0.4),
    "intake_events_per_s": ("at least", 5_000),
    "single_commits": ("at least", 0.8),
    "loyalty_intake": ("at least", 0.75),
    "spin": ("at most", 80),
    "tier_up_s": ("at most", 2),
    "loyalty_row_bytes": ("at most", 6_000),
    "year_with_loyalty": ("at most", 2),
    "unmatched_calls": ("exactly", 0),
    "journey_vs_bare": ("at least", 0.85),
    "actions_beyond_expected": ("exactly", 0),
    "casino_vs_entity": ("at least", 20),
    "log_vs_entity": ("at least", 5),
    "log_vs_dbos": ("at least", 2),
    "reaction_vs_bare_p50": ("at most", 1.5),
    "reaction_vs_bare_p99": ("at most", 1.5),
    "reaction_cpu_vs_bare": ("at most", 1.3),
    "mute_mail_grants": ("at most", 1.2),
    "flood_other_brand": ("at most", 1.5),
    "flood_other_brand_429": ("exactly", 0),
    "hold_s": ("at most", 1),
    "stops_s": ("at most", 2),
    "parked_workflows_intake": ("at least", 0.9),
    "parked_workflows_reaction": ("at most", 1.2),
    "moves_reaction_p50": ("at most", 1.2),
    "moves_per_s_vs_asked": ("at least", 0.95),
    "versions_memory": ("at most", 1.3),
    "versions_start": ("at most", 1.3),
    "board_1m": ("at most", 20),
    "board_updates": ("at least", 0.8),
    "final_50k": ("at most", 60),
    "ledger_verify": ("at least", 200_000),
    "purchase": ("at most", 120),
    "reads_me": ("at most", 50),
    "folded_events_per_s": ("at least", 50_000),
    "followed_intake": ("at least", 0.97),
    "figures_read_p95": ("at most", 300),
    "console_inbox_p95": ("at most", 80),
    "console_task_p95": ("at most", 60),
    "console_player_p95": ("at most", 100),
    "console_timeline_p95": ("at most", 100),
    "console_journey_p95": ("at most", 80),
    "console_inbox_sql_ms": ("at most", 30),
    "console_first_kb": ("at most", 60),
    "console_next_kb": ("at most", 25),
    "polled_intake": ("at least", 0.95),
    "console_cold_ms": ("at most", 1_000),
    "console_next_p95_ms": ("at most", 300),
}
#: Floors that are no ratio but a speed, by which way a slow machine moves them.
OF_THE_MACHINE: Mapping[str, Literal["less", "more"]] = {
    "stage_runs_per_s": "less",
    "intake_events_per_s": "less",
    "year_of_real_log_s": "more",
    "board_1m": "more",
    "final_50k": "more",
    "ledger_verify": "less",
    "purchase": "more",
    "spin": "more",
    "tier_up_s": "more",
    "reads_me": "more",
    "folded_events_per_s": "less",
    "figures_read_p95": "more",
    "console_inbox_p95": "more",
    "console_task_p95": "more",
    "console_player_p95": "more",
    "console_timeline_p95": "more",
    "console_journey_p95": "more",
    "console_inbox_sql_ms": "more",
    "console_cold_ms": "more",
    "console_next_p95_ms": "more",
}
#: CPU seconds of `_chore` on the machine for which speeds and limits of time are written down.
USUAL = 0.085
SLOWNESS = "machine_slowness"

_began = time.monotonic()


def say(text: str) -> None:
    """Progress, on stderr."""
    print(f"{time.monotonic() - _began:6.1f} s  {text}", file=sys.stderr, flush=True)


def _chore() -> dict[str, int]:
    """A little of what the engine does all day: JSON, moments and dictionaries."""
    found: dict[str, int] = {}
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(10_000):
        at += timedelta(seconds=number)
        read = json.loads(json.dumps({"id": f"p{number % 500}", "at": at.isoformat(), "n": number}))
        found[read["id"]] = found.get(read["id"], 0) + read["n"]
    return found


@cache
def slowness() -> float:
    """How many times longer this machine takes than the one for which speeds and limits of time are written down."""

    def once() -> float:
        began = time.process_time()
        _chore()
        return time.process_time() - began

    return min(once() for _ in range(3)) / USUAL


def patience(seconds: float) -> float:
    """A limit of time, as much longer as this machine is slower; never shorter."""
    return seconds * max(1.0, slowness())


def progress(what: str, *, every: float = 10) -> Callable[[int, int], None]:
    """What to call with how many are done, of how many; says so every few seconds, with a bar and a guess."""
    began = said = time.monotonic()

    def done(count: int, of: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said < every and count < of:
            return
        said = now
        per_second = count / max(now - began, 1e-6)
        filled = int(20 * count / max(of, 1))
        left = f", {(of - count) / per_second:.0f} s left" if 0 < count < of else ""
        say(f"{what} [{'#' * filled:20}] {count:,} of {of:,}, {per_second:.0f}/s{left}")

    return done


@dataclass(frozen=True)
class Compared:
    """The same quantity on both sides, a value a round."""

    ours: list[float]
    theirs: list[float]

    @property
    def ratio(self) -> float:
        """Ours over theirs, of the medians."""
        return median(self.ours) / median(self.theirs)

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the greatest ratio of any one round."""
        ratios = [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]
        return min(ratios), max(ratios)

    def figures(self, key: str, ours: str, theirs: str, digits: int = 1) -> Figures:
        """The ratio under `key`, its spread, and both sides round by round."""
        return {
            key: significant(self.ratio),
            f"{key}_spread": [significant(edge) for edge in self.spread],
            ours: round(median(self.ours), digits),
            f"{ours}_rounds": [round(value, digits) for value in self.ours],
            theirs: round(median(self.theirs), digits),
            f"{theirs}_rounds": [round(value, digits) for value in self.theirs],
        }


async def alternate(rounds: int, ours: Side, theirs: Side, *, what: str, unit: str) -> Compared:
    """Both sides in turn; who begins changes every round, so that nobody always runs on the other's leavings."""
    found: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number in range(1, rounds + 1):
        sides = [("ours", ours), ("theirs", theirs)]
        for name, side in sides if number % 2 else reversed(sides):
            found[name].append(await side(number))
        say(f"{what}, round {number}: ours {found['ours'][-1]:.1f}, theirs {found['theirs'][-1]:.1f} {unit}")
    return Compared(found["ours"], found["theirs"])


def significant(value: float) -> float:
    """Three significant digits."""
    return float(f"{value:.3g}")


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def floor_of(key: str, slower: float) -> Bound:
    """What a figure must reach on a machine so many times slower; a ratio must reach the same on every machine."""
    kind, bound = FLOORS[key]
    moved = {"less": 1 / slower, "more": slower}.get(OF_THE_MACHINE.get(key, ""), 1.0)
    return kind, bound * moved


def missed(figures: Mapping[str, Any]) -> list[str]:
    """A sentence for every figure that does not reach its floor."""
    sentences = []
    for key in FLOORS:
        value = figures.get(key)
        if value is None:
            continue
        kind, bound = floor_of(key, figures.get(SLOWNESS, 1.0))
        held = value >= bound if kind == "at least" else value <= bound if kind == "at most" else value == bound
        if not held:
            sentences.append(f"{key} is {value}, and should be {kind} {bound:.4g}.")
    return sentences


def told(figures: Figures) -> int:
    """Print the figures as one JSON line, and say by the exit code whether the floors hold."""
    figures = figures | {SLOWNESS: significant(slowness())}
    for sentence in missed(figures):
        say(sentence)
    print(json.dumps(figures))
    return 1 if missed(figures) else 0


def main(measure: Callable[[], Awaitable[Figures]]) -> int:
    """Take the figures and tell them; the exit code says whether the floors hold."""

    async def guarded() -> Figures:
        task = asyncio.current_task()
        assert task is not None
        # Told to stop, it still ends what it has started.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await measure()

    slowness()  # while nothing else runs
    return told(asyncio.run(guarded()))


def leave(code: int) -> None:
    """End the process at once: now and then a thread of the SDK is on its way into Python and would abort it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
