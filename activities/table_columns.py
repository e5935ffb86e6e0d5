"""What the declarations of tables share: their metadata, and the columns that most of them have."""

from sqlalchemy import Column, DateTime, MetaData, Text, func

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def instant(name: str, *, nullable: bool = True) -> Column[object]:
    """A moment, in UTC."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


def texts(*names: str) -> list[Column[str]]:
    """Texts that are always given."""
    return [Column(name, Text, nullable=False) for name in names]


def now_by_default(name: str) -> Column[object]:
    """A moment; where none is given, that of the transaction."""
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())
