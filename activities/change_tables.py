"""The table of changes that were found. `activities.tables` has it too."""

from sqlalchemy import Column, Date, Table, Text

from activities.table_columns import instant, metadata, texts

# What has changed in a brand and when that was found; of players it says nothing, about them a task is opened.
changes = Table(
    "changes",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("brand", "kind", "subject")),
    Column("found_on", Date, primary_key=True),
    *texts("says"),
    # When people were told.
    instant("told_at"),
)
