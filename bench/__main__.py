"""`python -m bench`: every figure in turn, each in a process of its own; one JSON object on the last line."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.measuring import FLOORS, missed, say
from bench.plots import draw

HERE = Path(__file__).parent
RESULTS = HERE / "results"
#: Each file with the arguments of a quick look, which takes a few minutes and proves nothing.
FILES = {
    "stage_runs.py": ("--runs", "300"),
    "backtest_year.py": ("--runs", "1"),
    "state_size.py": ("--rules", "0", "--rules", "10"),
    "intake.py": ("--events", "5000", "--players", "1000"),
    "single_commits.py": ("--seconds", "2", "--runs", "100"),
    "unmatched.py": ("--events", "2000"),
    "runs_vs_bare.py": ("--runs", "40", "--rounds", "3"),
    "log_vs_entity.py": ("--deposits", "300"),
    "log_vs_dbos.py": ("--deposits", "300"),
    "reaction.py": ("--seconds", "4", "--runs", "40"),
    "parked.py": ("--many", "5000", "--live", "500", "--few", "200", "--events", "4000", "--seconds", "3"),
    "mute_mail.py": ("--seconds", "8", "--hang", "20"),
    "flood.py": ("--seconds", "4", "--runs", "40", "--rounds", "1"),
    "hold.py": ("--runs", "60"),
    "scaling_curves.py": ("--seconds", "0.3"),
}
LIMIT = 400
#: Of files that take longer: five minutes of a mail server that hangs are five minutes.
LIMITS = {"mute_mail.py": 600}


def measure(name: str, arguments: tuple[str, ...]) -> tuple[dict[str, Any], bool]:
    """Run one file; its figures, and whether it ended as it should."""
    say(f"—— {name} {' '.join(arguments)}")
    running = subprocess.Popen(
        [sys.executable, str(HERE / name), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(HERE.parent)},
    )
    try:
        output, _ = running.communicate(timeout=LIMITS.get(name, LIMIT))
    except subprocess.TimeoutExpired:
        say(f"{name} did not end within {LIMITS.get(name, LIMIT)} seconds and is stopped.")
        output = ""
    finally:
        # Told to stop, a file first ends the servers it has started.
        if running.poll() is None:
            running.terminate()
            running.wait(60)
    lines = output.strip().splitlines()
    figures: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return figures, bool(lines) and running.returncode in {0, 1}


def machine() -> dict[str, Any]:
    """What the figures were taken on, without naming anybody's machine."""
    return {
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def main(
    files: Annotated[list[str] | None, typer.Argument(help="These alone, results not kept; all if unset.")] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, to see that everything works.")] = False,
    _only: Annotated[bool, typer.Option("--only", help="Not needed: files that are named go alone.")] = False,
) -> None:
    """Take every figure in turn, each in a process of its own; one JSON object on the last line."""
    chosen = list(files or FILES)
    for name in chosen:
        if name not in FILES:
            raise typer.BadParameter(f"There is no {name}; there are {', '.join(FILES)}.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began, before = time.monotonic(), machine()
    all_figures: dict[str, Any] = {}
    failed: list[str] = []
    for name in chosen:
        figures, ended = measure(name, FILES[name] if quick else ())
        all_figures |= figures
        if not ended:
            failed.append(name)
    growth = all_figures.pop("growth", None)
    whole = not quick and chosen == list(FILES)
    folder = RESULTS if whole else Path(".local") / "bench"
    if growth is not None:
        drawn = draw(growth, folder)
        say(f"Drawn: {', '.join(path.name for path in drawn)}")
    below = missed(all_figures)
    for sentence in below:
        say(sentence)
    for name in failed:
        say(f"{name} did not come to an end; take it alone to see why.")
    folder.mkdir(parents=True, exist_ok=True)
    results = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": before,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "floors": {key: " ".join(map(str, bound)) for key, bound in FLOORS.items()},
        "below": below,
        "figures": all_figures,
        "growth": growth,
    }
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(all_figures))
    raise typer.Exit(1 if below or failed else 0)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
