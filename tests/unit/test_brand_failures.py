"""Which failures end a round over all brands, and which keep only their own brand back."""

import psycopg
import pytest
from psycopg import errors
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from activities.database import DatabaseUnreachable
from activities.intake.locked_elsewhere import PlayersLocked
from activities.loops.brand_failures import is_everybodys


def told(kind: type[DBAPIError], by_postgres: psycopg.Error) -> DBAPIError:
    return kind("SELECT", {}, by_postgres)


@pytest.mark.parametrize(
    "error",
    [
        told(OperationalError, errors.QueryCanceled()),
        told(OperationalError, errors.LockNotAvailable()),
        told(OperationalError, errors.DeadlockDetected()),
        PlayersLocked(),
        ValueError("a lot"),
    ],
)
def test_what_one_statement_or_one_row_met_is_one_brands(error: Exception) -> None:
    assert not is_everybodys(error)


@pytest.mark.parametrize(
    "error",
    [
        told(OperationalError, psycopg.OperationalError("connection refused")),
        told(OperationalError, errors.AdminShutdown()),
        told(OperationalError, errors.DiskFull()),
        told(InterfaceError, psycopg.InterfaceError()),
        NoConnectionFree(),
        DatabaseUnreachable(),
    ],
)
def test_a_database_that_is_away_or_full_is_everybodys(error: Exception) -> None:
    assert is_everybodys(error)
