"""What is reported of a designer's function that raised and was taken for no."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class RuleFailure:
    """A predicate, a segment or a measure that raised. It is a designer's mistake, and keeps nobody's events out.

    The error may quote what the event held, an address for example: `without_event` leaves it out where it may.
    """

    #: The function's or the rule's name.
    rule: str
    kind: Literal["where", "day", "segment", "measure"]
    error: Exception
    #: The type of the event it was asked about; None where no event was looked at.
    event_type: str | None = None

    def __str__(self) -> str:
        return self._sentence(f" ({self.error})")

    @property
    def without_event(self) -> str:
        """The sentence for a log: it quotes the error only where no event was looked at."""
        return str(self) if self.event_type is None else self._sentence("")

    def _sentence(self, quoted: str) -> str:
        raised = f"raised {type(self.error).__name__}"
        match self.kind:
            case "where":
                return f"where={self.rule} {raised} on a {self.event_type} event{quoted}; it was taken for no."
            case "day":
                return f"where= of {self.rule} {raised}{quoted}; it was taken for no."
            case "segment":
                return f"Segment {self.rule} {raised}{quoted}; its members stay as they were."
            case "measure":
                return f"The measure {self.rule} {raised} on a {self.event_type} event{quoted}."
