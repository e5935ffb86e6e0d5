"""`journeys` as processes of their own that begin at once: forked from one that has imported what commands import.

Loading the libraries takes a process seconds, and the tests of the command line begin a hundred of them. What is proven
does not change: each command has its own process, arguments, folder, environment, streams and signals. That `journeys`
also begins from nothing is proven where the whole stack runs (`test_stack.py`) and where its help is read.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import command_client

ROOT = Path(__file__).parent.parent.parent
CLIENT = Path(command_client.__file__)
#: Where the server of this process listens; what it starts, and starts in turn, finds it by this variable.
VARIABLE = "JOURNEYS_TEST_COMMANDS"


def command(*words: str) -> list[str]:
    """What to execute for `journeys WORDS`. Without a server of commands, the command itself."""
    if (address := os.environ.get(VARIABLE)) is not None:
        return [sys.executable, "-SE", str(CLIENT), address, *words]
    return [sys.executable, "-m", "cli", *words]


@contextmanager
def command_server(folder: Path) -> Iterator[None]:
    """Let `command` name processes that are forked, for as long as the block lasts."""
    address = folder / "commands.socket"
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.command_server", str(address)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        os.environ[VARIABLE] = str(address)
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        server.communicate()
