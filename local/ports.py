"""TCP ports that local servers may take."""

import os
import random
import socket

from local.supervisor import StackError

#: Where servers listen, unless LOCAL_PORTS names another range; below the one the kernel hands out to clients.
PORTS = "15000-32000"
#: Those that this process has given out.
_given: set[int] = set()


def port_range() -> range:
    """The ports that servers of ours may take."""
    first, last = os.environ.get("LOCAL_PORTS", PORTS).split("-")
    return range(int(first), int(last))


def free_port() -> int:
    """A TCP port nobody listens on at 127.0.0.1.

    It lies below the range the kernel hands out to clients: a port inside it may be taken by anyone's outgoing
    connection while its server is being restarted. Who asks again gets another one, also before anybody listens.
    """
    ports = [port for port in port_range() if port not in _given]
    if not ports:
        _given.clear()
        ports = [*port_range()]
    for _ in range(200):
        port = random.choice(ports)
        if port_is_free(port):
            _given.add(port)
            return port
    raise StackError("No free TCP port was found on 127.0.0.1. End some of the servers that run there.")


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
