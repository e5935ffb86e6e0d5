"""`journeys policy`: what the gate goes by for a player, each number with the policy it comes from, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote, urlencode

import typer

from cli._console import out
from cli._environment import journeys_api

if TYPE_CHECKING:
    from cli._api_client import Answer


def policy(
    player: Annotated[str, typer.Argument(help="The player, in the brand of the key.")],
    at: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"], help="The moment, in UTC; now unless given."),
    ] = None,
    url: Annotated[str | None, typer.Option(envvar="JOURNEYS_URL", help="The API; the local stack's if unset.")] = None,
    key: Annotated[
        str | None, typer.Option("--key", envvar="JOURNEYS_KEY", help="A key with journeys:manage or players:read.")
    ] = None,
) -> None:
    """Show which policies hold for a player, what they say together, and which rule each number is for."""
    asked = f"?{urlencode({'at': at.replace(tzinfo=UTC).isoformat()})}" if at else ""
    with journeys_api(url, key) as api:
        found = api.get(f"/v1/players/{quote(player, safe='')}/policy{asked}")
    where = found.get("jurisdiction") or "an unknown jurisdiction"
    _print(f"{player} of {where} at {found['at'][:16].replace('T', ' ')}: {found['version']}")
    for one in found["policies"]:
        since = f" since {one['since']}" if one.get("since") else ""
        _print(f"  {one['name']}{since}")
    values = {one["number"]: one for one in found["numbers"]}
    for rule in found["rules"]:
        _print(f"{'on ' if rule['on'] else 'off'}  {rule['id']}: {rule['says']}")
        for number in rule["numbers"]:
            _print(f"       {number} = {_shown(values[number])}")
        for source in rule["sources"]:
            _print(f"       {source}")
        if rule.get("needs_lawyer"):
            _print(f"       needs a lawyer: {rule['needs_lawyer']}")


def _shown(number: Answer) -> str:
    value = number["value"]
    if isinstance(value, dict):
        value = ", ".join(f"{name} {part}" for name, part in value.items())
    elif isinstance(value, list):
        value = "; ".join(value) or "none"
    return f"{value} ({', '.join(number['policies'])})"


def _print(line: str) -> None:
    out.print(line, markup=False, highlight=False, soft_wrap=True)
