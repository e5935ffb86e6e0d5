"""One command's process as its caller sees it: it has the streams, and passes on signals and the exit code.

Run as a file, by an interpreter that loads nothing, so that it begins at once; see `commands.py`.
"""

import contextlib
import json
import os
import signal
import socket
import sys
from types import FrameType

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(address: str, words: list[str]) -> int:
    """Have the command begun, and return its exit code; one that a signal ended ends this process likewise."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.connect(address)

        def pass_on(number: int, _: FrameType | None) -> None:
            with contextlib.suppress(OSError):
                server.sendall(bytes([number]))

        for number in PASSED_ON:
            signal.signal(number, pass_on)
        asked = json.dumps(
            {
                "words": words,
                "folder": os.getcwd(),  # noqa: PTH109 - pathlib costs as much time as all the rest
                "environment": dict(os.environ),
            }
        ).encode()
        socket.send_fds(server, [len(asked).to_bytes(4, "big")], [0, 1, 2])
        server.sendall(asked)
        # The streams are the command's alone: who reads them hears of its end, not of this process's.
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        told = server.recv(4)
    code = int.from_bytes(told, "big", signed=True)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code if told else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
