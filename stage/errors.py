"""What can go wrong on the stage.

* JourneysError
  x StageError
"""

import warnings
from collections.abc import Iterable

from workflows.errors import JourneysError
from workflows.rules.failures import RuleFailure


class StageError(JourneysError):
    """The rehearsal cannot go on; the message says at which step and what to change."""


class RuleWarning(UserWarning):
    """A designer's function raised and was taken for no; the message names it and the error."""


def warn_of(failures: Iterable[RuleFailure]) -> None:
    """Warn of rules that raised: on the stage whoever rehearses must see them, and the play goes on."""
    for failure in failures:
        warnings.warn(str(failure), RuleWarning, stacklevel=2)
