"""Alembic's entry point: one advisory lock, so that two migrating processes take turns."""

from alembic import context
from sqlalchemy import create_engine, text

from activities.tables import metadata

LOCK = 7_061_126

url = str(context.config.attributes["url"])
engine = create_engine(url)
with engine.connect() as connection:
    connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
    connection.commit()
    context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
    connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
    connection.commit()
engine.dispose()
