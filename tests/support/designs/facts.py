"""Events of the designer's own."""

from workflows import Event


class Ping(Event, type="tests.ping", example={"name": "buffer"}):
    """Somebody called."""

    name: str = ""


class Pong(Event, type="tests.pong", example={"name": "right"}):
    """Somebody answered."""

    name: str = ""
