"""Whether an event is of one of several kinds, for what is asked of every event that comes in."""

from workflows.events.base import Event


class Kinds(dict[type[Event], bool]):
    """By class of event: whether it is one of these kinds, or below one.

    Ask `kinds[type(event)]`: it costs a look-up, whereas `isinstance` costs one a kind, and several for a class of
    pydantic's that is another.
    """

    def __init__(self, *kinds: type[Event]) -> None:
        super().__init__()
        self._kinds = kinds

    def __missing__(self, asked: type[Event]) -> bool:
        among = self[asked] = issubclass(asked, self._kinds)
        return among
