"""Alembic's entry point: one advisory lock, so that two migrating processes take turns.

What the application's role may do is granted in the transaction of each migration, so that a table that takes another
one's place is never closed to a process that works.
"""

import time
from typing import Any

from alembic import context
from sqlalchemy import NullPool, create_engine, text

from activities.application_role import grant_rights
from activities.month_partitions import is_partition
from activities.tables import metadata

LOCK = 7_061_126
RETRY_S = 0.1

url = str(context.config.attributes["url"])
role = str(context.config.attributes.get("application_role", ""))
# Its connection ends with it, and the lock with that, also when a migration fails.
engine = create_engine(url, poolclass=NullPool)
with engine.connect() as connection:

    def grant(*_: object, **__: Any) -> None:
        if role:
            grant_rights(connection, role)

    # Asked for again and again, because whoever waits inside a statement is waited for by an index that is built beside
    # the work, and both would wait for ever.
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}):
        connection.rollback()
        time.sleep(RETRY_S)
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transaction_per_migration=True,
        on_version_apply=grant,
        include_name=lambda name, kind, _: kind != "table" or not is_partition(str(name)),
    )
    with context.begin_transaction():
        context.run_migrations()
    grant()
    connection.commit()
    connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
    connection.commit()
engine.dispose()
