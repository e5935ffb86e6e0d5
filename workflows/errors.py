"""Every error the engine raises on purpose, as one tree.

* JourneysError
  x DesignError
    + EventDesignError
    + RewardDesignError
    + LoyaltyDesignError
  x UnknownEventType
  x DerivedEventRefused

The branch says who can act. A `DesignError` is a mistake in a journey package: it is raised at start-up,
never while players are served, and its message tells the designer what to write instead. The others are
about one piece of input: the item is refused, its neighbours are not.
"""


class JourneysError(Exception):
    """Something went wrong in the journey engine; the cause is in the chained exception."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((self.__doc__ or "").split()))


class DesignError(JourneysError):
    """A journey package is declared wrongly; correct the declaration and start again."""


class EventDesignError(DesignError):
    """An event class is declared wrongly; correct its type, its fields or its markers."""


class RewardDesignError(DesignError):
    """A reward is declared with values no player could be given; correct them where it is written."""


class LoyaltyDesignError(DesignError):
    """Something of the loyalty program could not be fair or safe as it is declared; correct it where it is written."""


class UnknownEventType(JourneysError):
    """No event of this type is declared; use a type of the catalogue or declare an Event class for it."""

    def __init__(self, wire_type: str) -> None:
        self.wire_type = wire_type
        super().__init__(
            f"No event of type {wire_type[:120]!r} is declared; "
            "use a type of the catalogue or declare an Event class for it."
        )


class DerivedEventRefused(JourneysError):
    """A derived event is computed here from other events; send the events it is derived from."""

    def __init__(self, wire_type: str) -> None:
        self.wire_type = wire_type
        super().__init__(f"{wire_type} is computed here from other events; send the events it is derived from.")
