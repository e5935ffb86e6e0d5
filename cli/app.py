"""The application `journeys`: every command, in the order its help lists them.

Exit codes: 0 done, 1 not done, 2 the command was written wrongly, 130 stopped with Ctrl-C.
"""

from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from cli import (
    audience,
    audit,
    check,
    compare_grants,
    demo,
    derive,
    diagram,
    doubles,
    enrol,
    erase,
    experiment,
    export,
    figures,
    hold,
    impact,
    import_events,
    keys,
    ledger,
    migration,
    people,
    policy,
    preview,
    processes,
    reconcile,
    rehearse,
    release,
    retain,
    scores,
    shadow,
    show,
    spin,
    stop,
    stuck,
    texts,
    tournament,
    up,
    webhooks,
)
from cli import event_types as events
from cli._console import fail
from cli._groups import missing_group


class Commands(TyperGroup):
    """The commands; one that cannot do what it was asked ends with a sentence and 1, not with a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, TyperException):  # an end that was meant, and what typer says by itself
            raise
        except Exception as error:
            from workflows.errors import JourneysError

            sentence = missing_group(error)
            if sentence is None and not isinstance(error, JourneysError):
                raise
            fail(sentence or error)


app = typer.Typer(
    name="journeys",
    cls=Commands,
    help="Durable player journeys: events in; messages, rewards and human tasks out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(up.up)
app.command()(processes.serve)
app.command()(processes.worker)
app.command()(processes.dispatcher)
app.command()(processes.migrate)
app.command()(retain.retain)
app.command("import")(import_events.import_events)
app.command()(demo.demo)
app.command()(show.show)
app.command()(rehearse.rehearse)
app.command()(diagram.diagram)
app.command()(check.check)
app.command()(release.release)
app.command()(release.versions)
app.command()(impact.impact)
app.command()(shadow.shadow)
app.command()(experiment.experiment)
app.command()(events.events)
app.command()(derive.derive)
app.command()(reconcile.reconcile)
app.command()(compare_grants.compare_grants)
app.command()(enrol.segments)
app.command()(enrol.enrol)
app.command()(hold.hold)
app.command()(hold.resume)
app.command()(hold.close)
app.command("open")(hold.open_again)
app.command()(stop.stop)
app.command()(stuck.stuck)
app.command()(figures.figures)
app.command()(scores.scores)
app.command()(policy.policy)
app.command()(preview.preview)
app.command()(doubles.doubles)
app.command()(texts.texts)
app.command()(audience.audience)
app.command()(erase.erase)
app.command()(export.export)
app.add_typer(stop.stops, name="stops")
app.add_typer(migration.migrations, name="migrations")
app.add_typer(keys.app, name="keys")
app.add_typer(webhooks.webhooks, name="webhooks")
app.add_typer(people.app, name="people")
app.add_typer(ledger.app, name="ledger")
app.add_typer(audit.app, name="audit")
app.add_typer(spin.app, name="spin")
app.add_typer(tournament.app, name="tournament")
app.add_typer(enrol.enrolments, name="enrolments")


def main() -> None:
    """The console script."""
    app()
