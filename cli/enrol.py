"""`journeys segments`, `enrol` and `enrolments`: many players let into a journey from a terminal, over HTTP."""

# ruff: noqa: PLC0415  a command loads only what it needs; all of it takes seconds

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cli.enrol_terminal import EnrolmentClient

LocalApi = Callable[[str], tuple[str | None, str | None]]

Url = Annotated[str | None, typer.Option(envvar="JOURNEYS_URL", help="The API; the local stack's if unset.")]
Secret = Annotated[
    str | None,
    typer.Option("--key", envvar="JOURNEYS_KEY", help="A key with journeys:manage; the local stack's if unset."),
]
Id = Annotated[str, typer.Argument(metavar="ID", help="The id that `journeys enrolments` shows.")]


def add_enrol(app: typer.Typer, local_api: LocalApi) -> None:
    """Give the command line its `segments`, `enrol` and `enrolments`; `local_api` knows the stack of this folder."""

    def desk(url: str | None, key: str | None) -> "EnrolmentClient":
        from cli.enrol_terminal import ApiRefused, EnrolmentClient

        local_url, local_key = local_api("crm") if url is None or key is None else (None, None)
        url, key = url or local_url, key or local_key
        if url is None or key is None:
            raise ApiRefused("No local stack was found here; name the API with --url and a key of it with --key.")
        return EnrolmentClient(url, key)

    @app.command()
    def segments(url: Url = None, key: Secret = None) -> None:
        """List the deployed segments and how many players are in each."""
        from cli.enrol_terminal import show_segments

        show_segments(desk(url, key))

    @app.command()
    def enrol(
        journey: Annotated[str, typer.Argument(help="The journey they enter.")],
        *,
        segment: Annotated[str, typer.Option(help="Who: everybody who is in it now.")],
        per_second: Annotated[int, typer.Option(min=1, max=5_000, help="Players a second at most.")] = 50,
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
        once: Annotated[
            str | None, typer.Option(help="A name for this wish: the same name twice is one enrolment.")
        ] = None,
        url: Url = None,
        key: Secret = None,
    ) -> None:
        """Let many players into a journey: shows how many first, asks, then works at a rate that you can hold.

        The entry rule, the protection and the control group hold for each of them. It goes on without this window;
        Ctrl-C only stops looking.
        """
        from secrets import token_hex

        from cli.enrol_terminal import show_preview, watch

        api, whom = desk(url, key), {"journey": journey, "segment": segment}
        preview = api.post("/v1/enrolments/preview", whom)
        if not show_preview(preview, per_second):
            return
        if not yes and not typer.confirm("Enrol them?", err=True):
            typer.echo("Nobody was enrolled.", err=True)
            raise typer.Exit(1)
        made = api.post("/v1/enrolments", {**whom, "per_second": per_second}, wish=once or token_hex(16))
        raise typer.Exit(watch(api, made))

    enrolments = typer.Typer(help="Enrolments under way: list, watch, pause, resume, cancel.")
    app.add_typer(enrolments, name="enrolments")

    @enrolments.callback(invoke_without_command=True)
    def listed(context: typer.Context, url: Url = None, key: Secret = None) -> None:
        """Enrolments under way: list, watch, pause, resume, cancel."""
        from cli.enrol_terminal import show_enrolments

        if context.invoked_subcommand is None:
            show_enrolments(desk(url, key))

    @enrolments.command("watch")
    def look(enrolment: Id, url: Url = None, key: Secret = None) -> None:
        """Show how far it has come, until it goes on no more."""
        from cli.enrol_terminal import watch

        api = desk(url, key)
        raise typer.Exit(watch(api, api.get(f"/v1/enrolments/{enrolment}")))

    @enrolments.command()
    def pause(enrolment: Id, url: Url = None, key: Secret = None) -> None:
        """Let nobody else in until it is resumed."""
        wish(desk(url, key), enrolment, "pause")

    @enrolments.command()
    def resume(enrolment: Id, url: Url = None, key: Secret = None) -> None:
        """Go on with those whose turn has not come."""
        wish(desk(url, key), enrolment, "resume")

    @enrolments.command()
    def cancel(enrolment: Id, url: Url = None, key: Secret = None) -> None:
        """Let nobody else in, ever; runs that have begun go on."""
        wish(desk(url, key), enrolment, "cancel")

    def wish(api: "EnrolmentClient", enrolment: str, wished: str) -> None:
        from cli.enrol_terminal import tell

        tell(api.post(f"/v1/enrolments/{enrolment}/{wished}"))
