"""`python -m bench`: every figure in turn, each in a process of its own; one JSON object on the last line."""

import json
import subprocess
import sys
from pathlib import Path

FIGURES = ("stage_runs.py", "year_of_real_log.py")


def main() -> int:
    """Run what there is; a figure below its floor makes the exit code 1 and is printed all the same."""
    together: dict[str, object] = {}
    worst = 0
    for name in FIGURES:
        print(f"Measuring {name} …", file=sys.stderr)
        done = subprocess.run(
            [sys.executable, str(Path(__file__).parent / name)], stdout=subprocess.PIPE, text=True, check=False
        )
        said = done.stdout.strip().splitlines()
        if said:
            together |= json.loads(said[-1])
        worst = max(worst, done.returncode)
    print(json.dumps(together))
    return worst


if __name__ == "__main__":
    sys.exit(main())
