"""Whose failure it is, where brands are gone through one after the other."""

from typing import Final

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from activities.intake.locked_elsewhere import DEADLOCK, LOCK_TIMEOUT, PlayersLocked, sqlstate

#: Postgres ended a statement, because it took too long or by somebody's word.
STATEMENT_ENDED: Final = "57014"
_OF_ONE_STATEMENT: Final = frozenset({LOCK_TIMEOUT, DEADLOCK, STATEMENT_ENDED})


def is_everybodys(error: Exception) -> bool:
    """Whether what was raised over one brand would be over each, as where the database is away.

    What Postgres ended by its limits is that brand's: the largest may have more than a statement has time for, and a
    row that somebody holds is one player's. SQLAlchemy and Python call them as they call a database that is away.
    """
    if isinstance(error, PlayersLocked):
        return False
    if isinstance(error, OperationalError):
        return sqlstate(error) not in _OF_ONE_STATEMENT
    return isinstance(error, InterfaceError | NoConnectionFree | OSError)
