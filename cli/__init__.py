"""The command line `journeys`: one file a command group, a composition root that may import every other room.

`app.py` lists the commands. Each of them reads its options, calls the part that does the work and says in one sentence
what went wrong. What commands share stands in `_console.py` (sentences, tables, bars), `_environment.py` (settings,
database, journeys, the local stack) and `_api_client.py` (the HTTP API).

Modules are imported inside the commands: together they take seconds, and a command loads only what it needs.
"""
