"""`docs/releases.md`, "In ten minutes": every command is run, every edit made, and what it says comes true."""

import asyncio
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.commands import ROOT
from tests.support.machine import within

SECTION = "## In ten minutes\n"
BLOCK = re.compile(r"^```(sh|diff|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: The first terminal's command; the second one is typed in the other.
UP = "journeys up"
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".local", ".*_cache", "__pycache__", "*.csv", ".hypothesis")


def blocks() -> list[tuple[str, str]]:
    """The blocks of the section, each with what it is of: commands, an edit, or what the commands before it say."""
    page = (ROOT / "docs" / "releases.md").read_text()
    _, _, rest = page.partition(SECTION)
    section, _, _ = rest.partition("\n## ")
    return BLOCK.findall(section)


def one_line(text: str) -> str:
    return " ".join(text.split())


class Reader:
    """Somebody with a checkout who does what the page says."""

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout
        # As `. .venv/bin/activate` has it.
        (checkout / ".venv" / "bin").mkdir(parents=True)
        (checkout / ".venv" / "bin" / "activate").write_text(
            f'journeys() {{ "{sys.executable}" -m cli "$@"; }}\nPATH="{Path(sys.executable).parent}:$PATH"\n'
        )
        kept = {name: text for name, text in os.environ.items() if name not in {"DATABASE_URL", "TEMPORAL_ADDRESS"}}
        self.environment = kept | {
            "PYTHONPATH": str(checkout),
            "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "200",
            "BASH_ENV": str(checkout / ".venv" / "bin" / "activate"),
        }

    async def types(self, commands: str) -> str:
        """What commands say, all of them; whatever they ask is answered with yes."""
        process = await self._bash(f"set -e\n{commands}")
        async with within(120):
            said, _ = await process.communicate(b"y\n" * 9)
        assert process.returncode == 0, said.decode()
        return one_line(said.decode())

    @asynccontextmanager
    async def stack(self, commands: str) -> AsyncIterator[None]:
        """The stack of the first terminal, from when it says that everything runs to its end by Ctrl-C."""
        *before, last = commands.strip().splitlines()
        process = await self._bash("\n".join([*before, last.replace("journeys", f"exec {sys.executable} -m cli", 1)]))
        assert process.stdout is not None
        said = b""
        try:
            async with within(180):
                while b"Everything runs." not in said:
                    line = await process.stdout.readline()
                    said += line
                    assert line, said.decode()
            yield
        finally:
            process.send_signal(signal.SIGINT)
            async with within(90):
                await process.communicate()

    async def edits(self, diff: str) -> None:
        """Make an edit that the page shows."""
        process = await self._bash("patch -p1 --fuzz=0")
        said, _ = await process.communicate(diff.encode())
        assert process.returncode == 0, said.decode()

    async def _bash(self, commands: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *("bash", "-c", commands),
            cwd=self.checkout,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )


@pytest.mark.slow  # the stack starts twice, on servers of its own
@pytest.mark.timeout(600)
async def test_who_follows_the_page_moves_runs_and_moves_them_back(session_folder: Path) -> None:
    checkout = session_folder / "checkout"
    shutil.copytree(ROOT, checkout, ignore=LEFT_OUT)
    reader, left, said = Reader(checkout), blocks(), ""
    terminals = [number for number, (_, text) in enumerate(left) if text.strip().endswith(UP)]
    assert len(terminals) == 2
    for start, end in zip(terminals, [*terminals[1:], len(left)], strict=True):
        async with reader.stack(left[start][1]):
            for kind, text in left[start + 1 : end]:
                match kind:
                    case "sh":
                        said = await reader.types(text)
                    case "diff":
                        await reader.edits(text)
                    case _:
                        # What is left out, an id or a folder, is an ellipsis on the page.
                        lines = [one_line(line.replace("…", "")) for line in text.splitlines()]
                        assert [line for line in lines if line not in said] == [], said
