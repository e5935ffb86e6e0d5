"""Segments and enrolments as a terminal sees them: a preview, a bar, Ctrl-C, and what came of it."""

import time
from collections.abc import Mapping
from typing import Any, Final

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from workflows.errors import JourneysError

Answer = dict[str, Any]

#: Seconds between two looks at an enrolment.
LOOK: Final = 0.5
#: Seconds an API that answered before may be away.
PATIENCE: Final = 60.0
#: An enrolment of these goes on.
UNDER_WAY: Final = frozenset({"running"})
WORDS: Final[Mapping[str, str]] = {
    "treated": "play it",
    "control": "are in its control group: tracked, contacted by nobody",
    "in_it": "are in it already",
    "once": "were in it once, and it is entered once in a life",
    "too_soon": "were in it too recently",
    "needs_event": "lack the event it is entered for",
    "left_segment": "have left the segment",
    "unknown_player": "are not known any more",
    "self_excluded": "are self-excluded: it counts as an entry, nothing is played",
    "time_out": "take a time-out: it counts as an entry, nothing is played",
    "account_not_active": "have no active account: it counts as an entry, nothing is played",
}


class ApiRefused(JourneysError):
    """The API said no, or does not answer; the sentence says which and what to do."""


class EnrolmentClient:
    """The API's segments and enrolments, for one key."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(base_url=self._url, headers={"Authorization": f"Bearer {key}"}, timeout=120)
        self._answered = False

    def get(self, path: str, **query: Any) -> Answer:
        """What is at `path`. Raises ApiRefused."""
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: Answer | None = None, *, wish: str | None = None) -> Answer:
        """Have something done; `wish` names it, so that it is done once however often it is asked for."""
        return self._ask("POST", path, json=body, headers={} if wish is None else {"Idempotency-Key": wish})

    def _ask(self, method: str, path: str, **how: Any) -> Answer:
        until, told_away = time.monotonic() + PATIENCE, False
        while True:
            try:
                answer = self._http.request(method, path, **how)
            except httpx.UnsupportedProtocol:
                raise ApiRefused(f"{self._url} is not an HTTP address; write --url http://HOST:PORT.") from None
            except httpx.TransportError as error:
                if not self._answered:
                    raise ApiRefused(
                        f"No API answers at {self._url} ({type(error).__name__}); start the stack with `journeys up`, "
                        "or name another address with --url."
                    ) from None
                trouble = type(error).__name__
            else:
                self._answered = True
                if answer.is_success:
                    told: Answer = answer.json()
                    return told
                trouble = _sentence(answer)
                if answer.status_code not in {502, 503, 504}:
                    raise ApiRefused(trouble)
            if not told_away:
                told_away = True
                sentence = f"The API at {self._url} or its database is away; trying again for up to {PATIENCE:.0f} s."
                Console(stderr=True).print(f"{sentence} ({trouble})", markup=False, highlight=False, soft_wrap=True)
            if time.monotonic() > until:
                raise ApiRefused(f"The API at {self._url} has been away for {PATIENCE:.0f} s: {trouble}")
            time.sleep(LOOK)


def show_segments(desk: EnrolmentClient) -> None:
    """Every deployed segment and how many players are in it."""
    table = Table("segment", "players", "who", box=None)
    table.columns[1].justify = "right"
    for one in desk.get("/v1/segments")["items"]:
        table.add_row(one["name"], f"{one['members']:,}", one["description"])
    Console().print(table)


def show_enrolments(desk: EnrolmentClient) -> None:
    """The newest enrolments and how far they have come."""
    table = Table("enrolment", "state", "players", "journey", "segment", box=None)
    for column in table.columns[:3]:
        # What is copied or read at a glance is never cut.
        column.no_wrap, column.overflow = True, "ignore"
    for one in desk.get("/v1/enrolments")["items"]:
        done = f"{one['done']:,} of {one['total']:,}"
        table.add_row(one["id"], one["state"], done, one["journey"], one["segment"])
    Console().print(table)


def show_preview(said: Answer, per_second: int) -> bool:
    """How many would enter, why the others would not, and how long it takes; False when it is sure that nobody would.

    An estimate of nobody is not sure.
    """
    say = Console(stderr=True)
    if not said["members"]:
        say.print(f"Nobody is in {said['segment']}. Nobody would enter.", highlight=False)
        return False
    say.print(f"{said['journey']} for the {players(said['members'])} in {said['segment']}, of whom", highlight=False)
    counts = {"treated": said["entering"], "control": said["control"], **said["refused"]}
    say.print(_counted({name: count for name, count in counts.items() if count}))
    if not (said["entering"] or said["control"] or said["estimate"]):
        say.print("Nobody would enter.")
        return False
    if said["estimate"]:
        say.print(f"This is an estimate from {said['looked_at']:,} of them.", highlight=False)
    say.print(f"At {per_second:,} a second it takes about {_span(said['members'] / per_second)}.", highlight=False)
    return True


def watch(desk: EnrolmentClient, enrolment: Answer) -> int:
    """Show a bar until an enrolment goes on no more; the exit code: 0 done, 1 not, 130 left with Ctrl-C."""
    say, named = Console(stderr=True), enrolment["id"]
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} players{task.fields[held]}"),
        TimeRemainingColumn(),
    )
    try:
        with Progress(*columns, console=say) as progress:
            bar = progress.add_task(enrolment["journey"], total=enrolment["total"], held="")
            while True:
                held = ", held back until Temporal has taken more" if enrolment["held_back"] else ""
                progress.update(bar, completed=enrolment["done"], held=held)
                if enrolment["state"] not in UNDER_WAY:
                    break
                time.sleep(LOOK)
                enrolment = desk.get(f"/v1/enrolments/{named}")
    except KeyboardInterrupt:
        say.print(
            f"The enrolment goes on without this window. Look at it again with `journeys enrolments watch {named}`, "
            f"hold it with `journeys enrolments pause {named}`.",
            highlight=False,
            soft_wrap=True,
        )
        return 130
    counts = {"treated": enrolment["entered"], "control": enrolment["control"], **enrolment["refused"]}
    Console().print(_counted(counts))
    if enrolment["state"] != "done":
        say.print(_stands(enrolment), highlight=False, soft_wrap=True)
    return 0 if enrolment["state"] == "done" else 1


def tell(enrolment: Answer) -> None:
    """One line about an enrolment that was held, resumed or ended."""
    Console(stderr=True).print(_stands(enrolment), highlight=False, soft_wrap=True)


def _stands(enrolment: Answer) -> str:
    said = f"Enrolment {enrolment['id']} is {enrolment['state']} after {enrolment['done']:,} of {enrolment['total']:,}."
    return f"{said} {enrolment['failure']}" if enrolment["failure"] else said


def _counted(counts: Mapping[str, int]) -> Table:
    table = Table(box=None, show_header=False)
    table.add_column(justify="right")
    table.add_column()
    for name, count in counts.items():
        table.add_row(f"{count:,}", WORDS.get(name, name.replace("_", " ")))
    return table


def players(count: int) -> str:
    """So many players, in words."""
    return f"{count:,} player{'' if count == 1 else 's'}"


def _span(seconds: float) -> str:
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < 100 else f"{minutes / 60:.1f} hours"


def _sentence(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        faults = [fault["detail"] for fault in problem.get("errors", [])]
        return " ".join([problem["detail"], *faults])
    except (ValueError, KeyError, TypeError):
        return f"{answer.url} answered {answer.status_code}, which no API of ours does; correct --url."
