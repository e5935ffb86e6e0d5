"""What can go wrong on the stage.

* JourneysError
  x StageError
"""

from workflows.errors import JourneysError


class StageError(JourneysError):
    """The rehearsal cannot go on; the message says at which step and what to change."""
