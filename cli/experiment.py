"""`journeys experiment`: what the experiments of a brand have found so far, over HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote, urlencode

import typer

from cli._console import out, print_lines, say
from cli._environment import Key, Url, journeys_api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli._api_client import Answer


def experiment(
    name: Annotated[str, typer.Argument(help="The experiment; without it all are listed.")] = "",
    *,
    version: Annotated[int | None, typer.Option(min=1, help="The newest unless given.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Only what was known then, such as 2026-02-01T00:00:00Z.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The answer as JSON.")] = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show what an experiment has found: each arm with its interval, harm with its evidence, and a plain sentence."""
    given = {"version": version, "as_of": as_of}
    asked = urlencode({word: value for word, value in given.items() if value is not None})
    with journeys_api(url, key) as api:
        found = api.get(f"/v1/experiments/{quote(name, safe='')}?{asked}" if name else "/v1/experiments")
    if as_json:
        print_lines([json.dumps(found, indent=2)])
        return
    if name:
        print_lines([*report_lines(found)])
        return
    if not found["items"]:
        say("No player has come to an experiment yet.")
    for one in found["items"]:
        stopped = f"; stopped: {', '.join(one['stopped'])}" if one["stopped"] else ""
        closed = f"; closed: {one['closed']}" if one.get("closed") else ""
        line = f"{one['name']} v{one['version']}  since {one['started_at'][:10]}{stopped}{closed}"
        out.print(line, markup=False, highlight=False, soft_wrap=True)


def report_lines(found: Answer) -> Iterator[str]:
    """An experiment as lines of text."""
    yield f"{found['name']} v{found['version']}, since {found['started_at'][:10]}"
    shown = found.get("findings")
    if shown is None:
        yield "The deployed code does not declare it, so nothing can be counted here."
        return
    yield shown["sentence"]
    yield ""
    for one in shown["arms"]:
        yield _arm_line(one)
        for harm in one["harm"]:
            yield (
                f"    {harm['guardrail']}: {harm['harmed']} players, {harm['harmed_in_control']} in control; "
                f"evidence {harm['evidence']:.2f}, stopped at 20"
            )
        yield from map(_money_line, one.get("money", []))
    if shown.get("no_money"):
        yield f"no money: {shown['no_money']}"
    of_plan = f" of {shown['planned']:,} planned" if shown.get("planned") else ""
    yield f"counted {shown['counted']:,}{of_plan}, drawn {shown['players']:,}"
    yield f"shares: evidence against them {shown['sample_ratio_evidence']:.2f}, believed no more at 1,000"


def _money_line(one: Answer) -> str:
    from content.figure_words import money_text

    currency = one["currency"]
    if one.get("brought") is None:
        line = f"no number: {one['no_number']}"
    else:
        amounts = (money_text(one[name], currency) for name in ("brought", "brought_from", "brought_to"))
        line = "{}, {} to {}".format(*amounts)
    if one.get("price") is None:
        return f"    brought ({currency}): {line}; one more player: no number: {one['no_price']}"
    price = (money_text(one[name], currency) for name in ("price", "price_from", "price_to"))
    return f"    brought ({currency}): {line}; " + "one more player cost {}, {} to {}".format(*price)


def _arm_line(one: Answer) -> str:
    share = "no share yet" if one.get("share") is None else f"{one['share']:.1f} % of {one['counted']:,}"
    line = f"  {one['arm']}: {share}"
    if one.get("difference_from") is not None:
        line += f"; {one['difference']:+.1f} points, {one['difference_from']:+.1f} to {one['difference_to']:+.1f}"
    elif one.get("no_number"):
        line += f"; no number: {one['no_number']}"
    if one.get("detectable") is not None:
        line += f"; could show {one['detectable']:.1f} points"
    return f"{line} [{one['verdict']}]"
