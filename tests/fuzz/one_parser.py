"""Fuzz one parser with Atheris: what it does decides what it is given next. Started by `python -m tests.fuzz`.

Atheris measures coverage in code that is imported under its eyes, and libFuzzer never returns, so each parser has a
process of its own.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

#: Packages whose branches count as new ground. Those of the libraries are theirs to fuzz.
OURS = ["activities", "api", "content", "stage", "workflows"]


def main(name: str, corpus: str, *options: str) -> None:
    """Fuzz until the options of libFuzzer say that it is enough; the first failure ends it."""
    # By its name: it is installed where there is a build of it, and nothing else asks for it.
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=OURS):
        from tests.fuzz.parsers import PARSERS
    parser = PARSERS[name]
    folder = Path(corpus)
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(parser.seeds):
        (folder / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], corpus, *options], parser.judge)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
