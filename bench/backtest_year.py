"""`journeys rehearse` over a year of a real log: seconds and memory of the command in one process, report included; and
how many times longer it takes with the shipped loyalty program beside.

    python bench/backtest_year.py [LOG] [--runs N]

Prints one JSON line. Each run is a process of its own, started as a designer starts it; the shortest counts, because
whatever else the machine does only ever makes a run longer. CPU seconds stand beside it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from bench.measuring import leave, told

ROOT = Path(__file__).parent.parent
REAL_LOG = ROOT.parent / "shared" / "data" / "casino_deposits.csv"
EXACTLY = {"tier_up": 298, "second_deposit": 2_280, "welcome": 2_280}
PROGRAM = "workflows.programs.casino"


def once(log: Path, report: Path, program: str = "") -> tuple[float, float, float, dict[str, int]]:
    """Wall seconds, CPU seconds, peak megabytes and who entered."""
    words = ["rehearse", "--log", str(log), "--control", "0", "--answers", "approve", "--report", str(report)]
    began = time.perf_counter()
    running = subprocess.Popen(
        [sys.executable, "-m", "cli", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT), "JOURNEYS": program},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert running.stdout is not None
    said = running.stdout.read()
    _, status, used = os.wait4(running.pid, 0)
    wall = time.perf_counter() - began
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        sys.exit("The rehearsal failed; run `journeys rehearse` on the log to see why.")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1_024, json.loads(said)["entered"]


def command(
    log: Annotated[Path, typer.Argument(envvar="LOG")] = REAL_LOG,
    *,
    runs: int = 3,
) -> None:
    """Rehearse the year."""
    if not log.is_file():
        print("The real log is not here, so its figure is left out; give its path to take it.", file=sys.stderr)
        print("{}")
        return
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.html"
        taken, loyal = [], []
        for _ in range(runs):  # in turn, so that what disturbs one disturbs the other
            taken.append(once(log, report))
            loyal.append(once(log, report, PROGRAM))
        assert "house_points" in report.read_text(), "The program played no part."
    entered, beside = taken[0][3], loyal[0][3]
    seconds, megabytes = min(wall for wall, *_ in taken), max(peak for _, _, peak, _ in taken)
    assert all(entered[name] == players for name, players in EXACTLY.items()), f"The wrong players entered: {entered}"
    # The program's ladder gives the tiers, so nobody enters tier_up beside it.
    expected = EXACTLY | {"tier_up": 0}
    assert all(beside.get(name, 0) == players for name, players in expected.items()), f"Beside the program: {beside}"
    with_program = min(wall for wall, *_ in loyal)
    leave(
        told(
            {
                "year_of_real_log_s": round(seconds, 1),
                "year_of_real_log_cpu_s": round(min(cpu for _, cpu, _, _ in taken), 1),
                "year_of_real_log_peak_mb": round(megabytes),
                "year_of_real_log_entered": entered,
                "year_with_loyalty": round(with_program / seconds, 2),
                "year_with_loyalty_s": round(with_program, 1),
            }
        )
    )


if __name__ == "__main__":
    typer.run(command)
