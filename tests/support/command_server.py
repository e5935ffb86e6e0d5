"""The process that commands are forked from, with their imports done; see `commands.py`.

It ends when its stdin does. Nothing here may start a thread: a fork has only the one that forks.
"""

import array
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

#: What most commands load and what reads nothing of its surroundings meanwhile: `cli` itself looks at the terminal.
LOADED = (
    "alembic.command",
    "api.app",
    "asyncio",
    "httpx",
    "psycopg",
    "rich.progress",
    "rich.table",
    "sqlalchemy.dialects.postgresql.psycopg",
    "typer.core",
    "typer.rich_utils",
    "uvicorn",
    "uvloop",
    "worker",
)
STREAMS = 3


def serve(address: str) -> None:
    """Fork a keeper for each caller until stdin ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(address)
        listener.listen(64)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            ready, _, _ = select.select([listener.fileno(), sys.stdin.fileno()], [], [])
            if listener.fileno() not in ready:
                return
            caller, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                keep(caller)
            caller.close()


def keep(caller: socket.socket) -> None:
    """Begin the caller's command; pass signals to it and its end back. Without its caller it is killed."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, streams = receive_streams(caller)
    asked = json.loads(receive(caller, size))
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        caller.close()
        play(asked, streams)
    for stream in (*streams, 0, 1, 2):
        os.close(stream)
    ended = os.pidfd_open(child)
    while True:
        ready, _, _ = select.select([ended, caller.fileno()], [], [])
        if ended in ready:
            _, status = os.waitpid(child, 0)
            caller.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
            os._exit(0)
        numbers = caller.recv(64)
        for number in numbers or [signal.SIGKILL]:
            signal.pidfd_send_signal(ended, number)
        if not numbers:
            os._exit(0)


def play(asked: dict[str, Any], streams: list[int]) -> None:
    """Be the command: its streams, folder, environment and arguments, then its main function."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.path[:0] = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part not in sys.path]
    sys.path.insert(0, asked["folder"])
    sys.argv = ["journeys", *asked["words"]]
    cli = importlib.import_module("cli.app")
    cli.main()
    sys.exit(0)


def receive_streams(caller: socket.socket) -> tuple[int, list[int]]:
    """The length of what is asked, and the caller's stdin, stdout and stderr."""
    told, passed, _, _ = caller.recvmsg(4, socket.CMSG_SPACE(STREAMS * array.array("i").itemsize))
    streams = array.array("i")
    for _, _, numbers in passed:
        streams.frombytes(numbers)
    return int.from_bytes(told, "big"), streams.tolist()


def receive(caller: socket.socket, size: int) -> bytes:
    """So many bytes."""
    parts = b""
    while len(parts) < size:
        parts += caller.recv(size - len(parts))
    return parts


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    for module in LOADED:
        importlib.import_module(module)
    # What is loaded stays: a fork that looked through it, as it does at its end, would copy all of it.
    gc.freeze()
    serve(sys.argv[1])
