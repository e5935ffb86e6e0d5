"""`python -m bench`: every figure in turn, each in a process of its own; one JSON object on the last line."""

import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from bench.measuring import FLOORS, SLOWNESS, floor_of, missed, patience, say, significant, slowness
from bench.plots import draw

HERE = Path(__file__).parent
RESULTS = HERE / "results"
#: Each file with the arguments of a quick look, which takes a few minutes and proves nothing.
FILES = {
    "stage_runs.py": ("--runs", "300"),
    "backtest_year.py": ("--runs", "1"),
    "state_size.py": ("--rules", "0", "--rules", "10"),
    "intake.py": ("--events", "5000", "--players", "1000"),
    "loyalty_intake.py": ("--events", "5000", "--players", "1000", "--rounds", "1"),
    "spin.py": ("--rate", "20", "--seconds", "3", "--players", "100"),
    "tier_up.py": ("--rate", "2", "--seconds", "5", "--load", "20"),
    "loyalty_row.py": ("--years", "1"),
    "single_commits.py": ("--seconds", "2", "--runs", "100"),
    "unmatched.py": ("--events", "2000"),
    "runs_vs_bare.py": ("--runs", "40", "--rounds", "3"),
    "casino_vs_entity.py": ("--players", "200", "--events", "4000", "--entity-events", "400"),
    "log_vs_entity.py": ("--deposits", "300"),
    "log_vs_dbos.py": ("--deposits", "300"),
    "reaction.py": ("--seconds", "4", "--runs", "40"),
    "parked.py": ("--runs", "2000", "--few", "200", "--events", "4000", "--seconds", "3"),
    "mute_mail.py": ("--there", "8", "--seconds", "20"),
    "flood.py": ("--seconds", "4", "--runs", "40", "--rounds", "1"),
    "hold.py": ("--runs", "60"),
    "stops.py": ("--runs", "60", "--seconds", "10"),
    "moves.py": ("--seconds", "4", "--runs", "40", "--rounds", "1"),
    "versions.py": ("--runs", "4000", "--held", "200", "--rounds", "1"),
    "board.py": ("--entries", "20000", "--reads", "100", "--events", "2000", "--rounds", "1"),
    "final.py": ("--entries", "1000"),
    "ledger.py": ("--players", "1000", "--transfers", "40000", "--rounds", "1"),
    "purchase.py": ("--rate", "20", "--seconds", "3", "--warm", "10"),
    "reads_me.py": ("--rate", "30", "--seconds", "3", "--players", "20"),
    "figures.py": ("--events", "200000", "--ingested", "2000", "--rounds", "1", "--reads", "20"),
    "console.py": (
        *("--tasks", "500", "--rows", "2000", "--reads", "10", "--people", "20"),
        *("--seconds", "2", "--rounds", "1", "--answers", "3"),
    ),
    "scaling_curves.py": ("--seconds", "0.3"),
}
#: Seconds after which a file that says nothing hangs, on a machine of usual speed. How long it takes in all is its own.
SILENCE = 240


@dataclass(frozen=True)
class Taken:
    """What one file came to."""

    name: str
    seconds: float
    figures: dict[str, Any]
    #: Why there are no figures, or not all.
    failure: str | None


class Voice:
    """Passes on what a file says, and remembers when it last said something."""

    def __init__(self, said: IO[str]) -> None:
        self.last = time.monotonic()
        self._listener = threading.Thread(target=self._pass_on, args=(said,), daemon=True)
        self._listener.start()

    def end(self) -> None:
        """Pass on the last of it."""
        self._listener.join(5)

    def _pass_on(self, said: IO[str]) -> None:
        for line in said:
            self.last = time.monotonic()
            sys.stderr.write(line)
            sys.stderr.flush()


class Answer:
    """Collects what a file prints, so that it never waits for a reader."""

    def __init__(self, printed: IO[str]) -> None:
        self._lines: list[str] = []
        self._reader = threading.Thread(target=lambda: self._lines.extend(printed), daemon=True)
        self._reader.start()

    def lines(self) -> list[str]:
        """Everything that was printed."""
        self._reader.join(5)
        return [*self._lines]


def measure(path: Path, arguments: tuple[str, ...], silence: float) -> Taken:
    """Run one file; a failure, a hang and an answer that cannot be read are its own and end nothing else."""
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, str(path), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(HERE.parent)},
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        voice, answer = Voice(running.stderr), Answer(running.stdout)
        failure = None
        try:
            while running.poll() is None:
                if time.monotonic() - voice.last > silence:
                    failure = f"said nothing for {silence:.0f} seconds and was stopped"
                    break
                time.sleep(0.05)
        finally:
            # Told to stop, a file first ends the servers it has started.
            if running.poll() is None:
                running.terminate()
                try:
                    running.wait(90)
                except subprocess.TimeoutExpired:
                    running.kill()
        figures, unread = _read(answer.lines())
        voice.end()
    if failure is None and running.returncode not in {0, 1}:
        failure = f"ended with exit status {running.returncode}"
    return Taken(path.name, time.monotonic() - began, figures, failure or unread)


def _read(output: list[str]) -> tuple[dict[str, Any], str | None]:
    """The figures on the last line, and what is wrong with it."""
    lines = "".join(output).strip().splitlines()
    try:
        read = json.loads(lines[-1]) if lines else None
    except ValueError:
        read = None
    return (read, None) if isinstance(read, dict) else ({}, "printed no figures")


def machine() -> dict[str, Any]:
    """What the figures were taken on, without naming anybody's machine."""
    return {
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "slowness": significant(slowness()),
    }


def results(on: dict[str, Any], taken: list[Taken]) -> dict[str, Any]:
    """Everything that is known so far, as it is written down."""
    figures: dict[str, Any] = {}
    for one in taken:
        figures |= {key: value for key, value in one.figures.items() if key not in {"growth", SLOWNESS}}
    slower = on["slowness"]
    growth = [one.figures["growth"] for one in taken if "growth" in one.figures]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": on,
        "minutes": round(sum(one.seconds for one in taken) / 60, 1),
        "seconds_by_file": {one.name: round(one.seconds) for one in taken},
        "floors": {key: f"{kind} {bound:.4g}" for key in FLOORS for kind, bound in [floor_of(key, slower)]},
        "below": missed(figures | {SLOWNESS: slower}),
        "failed": {one.name: one.failure for one in taken if one.failure is not None},
        "figures": figures,
        "growth": growth[0] if growth else None,
    }


def main(
    files: Annotated[list[str] | None, typer.Argument(help="These alone, results not kept; all if unset.")] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, to see that everything works.")] = False,
) -> None:
    """Take every figure in turn, each in a process of its own; one JSON object on the last line."""
    chosen = list(files or FILES)
    for name in chosen:
        if name not in FILES:
            raise typer.BadParameter(f"There is no {name}; there are {', '.join(FILES)}.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    on, silence = machine(), patience(SILENCE)
    say(f"{len(chosen)} files, on a machine {on['slowness']:g} times slower than the usual one")
    whole = not quick and chosen == list(FILES)
    unfinished = Path(".local") / "bench"
    folder = RESULTS if whole else unfinished
    for one in (folder, unfinished):
        one.mkdir(parents=True, exist_ok=True)
    taken: list[Taken] = []
    known = results(on, taken)
    for number, name in enumerate(chosen, start=1):
        arguments = FILES[name] if quick else ()
        say(f"—— {number} of {len(chosen)}: {name} {' '.join(arguments)}")
        taken.append(measure(HERE / name, arguments, silence))
        say(f"—— {name} took {taken[-1].seconds:.0f} s")
        # Written after every file, so that a run that is broken off has told what it knows.
        known = results(on, taken)
        (unfinished / "results.json").write_text(json.dumps(known, indent=2) + "\n")
    (folder / "results.json").write_text(json.dumps(known, indent=2) + "\n")
    if known["growth"] is not None:
        drawn = draw(known["growth"], folder)
        say(f"Drawn: {', '.join(path.name for path in drawn)}")
    for sentence in known["below"]:
        say(sentence)
    for name, failure in known["failed"].items():
        say(f"{name} {failure}; take it alone to see why.")
    say(f"{known['minutes']} minutes in all; written to {folder / 'results.json'}")
    print(json.dumps(known["figures"]))
    raise typer.Exit(1 if known["below"] or known["failed"] else 0)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
