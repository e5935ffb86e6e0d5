"""`journeys stop` and `stops`: ends the runs of a journey at a rate, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from cli._bulk_jobs import JobWords, Once, PerSecond, Yes, agree, how_long, job_commands
from cli._console import plural, say
from cli._environment import Key, Url, journeys_api
from cli.hold import Journey, Reason

if TYPE_CHECKING:
    from cli._api_client import Answer


def stop(
    journey: Journey,
    *,
    reason: Reason,
    per_second: PerSecond = 50,
    yes: Yes = False,
    once: Once = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Close a journey and end its runs: shows how many first, asks, then works at a rate.

    It goes on without this window; Ctrl-C only stops looking.
    """
    with journeys_api(url, key) as api:
        counts = api.post(f"/v1/journeys/{journey}/stop/preview")
        whole = counts["treated"] + counts["control"]
        say(
            f"{journey}: {plural(whole, 'run')} would end, {counts['control']:,} of them in the control group, and "
            f"{plural(counts['open_tasks'], 'open task')} would be closed. Nobody would enter it any more."
        )
        if whole:
            say(how_long(whole, per_second))
        agree("Stop it?", "Nothing was stopped.", yes=yes)
        body = {"reason": reason, "per_second": per_second}
        raise typer.Exit(STOPS.begin(api, f"/v1/journeys/{journey}/stop", body, once))


def _counts(stopping: Answer) -> str:
    return f"{plural(stopping['stopped'], 'run')} told to end, {stopping['left']:,} had ended before"


STOPS = JobWords(
    plural="stops",
    noun="stop",
    unit="runs",
    columns={"journey": "journey", "by": "created_by"},
    counts=_counts,
    pause="End no further run until it is resumed.",
    resume="Go on with the runs whose turn has not come.",
    cancel="End no further run, ever; the journey stays closed.",
)
stops = job_commands(STOPS)
