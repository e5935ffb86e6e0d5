"""`journeys hold`, `resume`, `close` and `open`: a journey that must not go on, or goes on again, over HTTP."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING, Annotated

import typer

from cli._console import plural, say
from cli._environment import Key, Url, journeys_api

if TYPE_CHECKING:
    from cli._api_client import Answer

Journey = Annotated[str, typer.Argument(help="The journey, in the brand of the key.")]
Reason = Annotated[str, typer.Option(help="Why; it stands in the journey's history and never leaves Postgres.")]


def hold(journey: Journey, *, reason: Reason, url: Url = None, key: Key = None) -> None:
    """Have every run of a journey wait at its next effect, at once; what protects a player still goes out."""
    _decide(journey, "hold", {"reason": reason}, url, key)


def resume(
    journey: Journey,
    *,
    reason: Reason,
    per_second: Annotated[int, typer.Option(min=1, max=5_000, help="Runs a second that go on.")] = 200,
    url: Url = None,
    key: Key = None,
) -> None:
    """End a hold: the runs go on, the longest waiting first."""
    _decide(journey, "resume", {"reason": reason, "per_second": per_second}, url, key)


def close(journey: Journey, *, reason: Reason, url: Url = None, key: Key = None) -> None:
    """Let nobody enter a journey from now on; who is in it goes on."""
    _decide(journey, "close", {"reason": reason}, url, key)


def open_again(journey: Journey, *, reason: Reason, url: Url = None, key: Key = None) -> None:
    """Let players enter a closed journey again."""
    _decide(journey, "open", {"reason": reason}, url, key)


def _decide(journey: str, action: str, body: Answer, url: str | None, key: str | None) -> None:
    with journeys_api(url, key) as api:
        controls = api.post(f"/v1/journeys/{journey}/{action}", body, idempotency_key=token_hex(16))
    entering = "Nobody enters it" if controls["closed"] else "Players enter it"
    going = "its runs wait at their next effect" if controls["held"] else "its runs go on"
    waiting = f" {plural(controls['waiting'], 'run')} still to be told." if controls["waiting"] else ""
    say(f"{journey}: {entering}, {going}." + (waiting if action == "resume" else ""))
