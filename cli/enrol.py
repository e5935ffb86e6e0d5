"""`journeys segments`, `enrol` and `enrolments`: many players let into a journey, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli._bulk_jobs import JobWords, Once, PerSecond, Yes, agree, how_long, job_commands
from cli._console import out, plural, say
from cli._environment import Key, Url, journeys_api

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from cli._api_client import Answer

#: What became of the players of an enrolment, for the end of a line that begins with how many they are.
OUTCOMES: Final[Mapping[str, str]] = {
    "treated": "play it",
    "control": "are in its control group, which gets no offers",
    "other_brand": "are of a brand it is not for",
    "in_it": "are in it already",
    "once": "were in it once, and it is entered once in a life",
    "too_soon": "were in it too recently",
    "needs_event": "lack the event it is entered for",
    "closed": "came while it was closed",
    "left_segment": "have left the segment",
    "unknown_player": "are not known any more",
    "self_excluded": "are self-excluded: it counts as an entry, nothing is played",
    "time_out": "take a time-out: it counts as an entry, nothing is played",
    "account_not_active": "have no active account: it counts as an entry, nothing is played",
}


def segments(url: Url = None, key: Key = None) -> None:
    """List the deployed segments and how many players are in each."""
    from rich.table import Table

    table = Table("segment", "players", "who", box=None)
    table.columns[1].justify = "right"
    with journeys_api(url, key) as api:
        items = api.get("/v1/segments")["items"]
    for segment in items:
        table.add_row(segment["name"], f"{segment['members']:,}", segment["description"])
    out.print(table)


def enrol(
    journey: Annotated[str, typer.Argument(help="The journey they enter.")],
    *,
    segment: Annotated[str, typer.Option(help="Who: everybody who is in it now.")],
    per_second: PerSecond = 50,
    yes: Yes = False,
    once: Once = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Let many players into a journey: shows how many first, asks, then works at a rate that you can hold.

    The entry rule, the protection and the control group hold for each of them. It goes on without this window;
    Ctrl-C only stops looking.
    """
    who_enters = {"journey": journey, "segment": segment}
    with journeys_api(url, key) as api:
        if not _show_preview(api.post("/v1/enrolments/preview", who_enters), per_second):
            return
        agree("Enrol them?", "Nobody was enrolled.", yes=yes)
        body = {**who_enters, "per_second": per_second}
        raise typer.Exit(ENROLMENTS.begin(api, "/v1/enrolments", body, once))


def _show_preview(preview: Answer, per_second: int) -> bool:
    """How many would enter, why the others would not, and how long it takes; False when it is sure that nobody would.

    An estimate of nobody is not sure.
    """
    from cli._console import err

    if not preview["members"]:
        say(f"Nobody is in {preview['segment']}. Nobody would enter.")
        return False
    say(f"{preview['journey']} for the {plural(preview['members'], 'player')} in {preview['segment']}, of whom")
    counts = {"treated": preview["entering"], "control": preview["control"], **preview["refused"]}
    err.print(_outcome_table({name: count for name, count in counts.items() if count}))
    if not (preview["entering"] or preview["control"] or preview["estimate"]):
        say("Nobody would enter.")
        return False
    if preview["estimate"]:
        say(f"This is an estimate from {preview['looked_at']:,} of them.")
    say(how_long(preview["members"], per_second))
    return True


def _outcome_table(counts: Mapping[str, int]) -> Table:
    from rich.table import Table

    table = Table(box=None, show_header=False)
    table.add_column(justify="right")
    table.add_column()
    for name, count in counts.items():
        table.add_row(f"{count:,}", _outcome(name))
    return table


def _counts(enrolment: Answer) -> str:
    counts = {"treated": enrolment["entered"], "control": enrolment["control"], **enrolment["refused"]}
    return "; ".join(f"{count:,} {_outcome(name)}" for name, count in counts.items() if count)


def _outcome(name: str) -> str:
    return OUTCOMES.get(name, name.replace("_", " "))


ENROLMENTS = JobWords(
    plural="enrolments",
    noun="enrolment",
    unit="players",
    columns={"journey": "journey", "segment": "segment"},
    counts=_counts,
    pause="Let nobody else in until it is resumed.",
    resume="Go on with those whose turn has not come.",
    cancel="Let nobody else in, ever; runs that have begun go on.",
)
enrolments = job_commands(ENROLMENTS)
