"""`journeys scores`: which model says each score of a brand, what it was worth and how it does, over HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli._console import print_lines
from cli._environment import Key, Url, journeys_api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli._api_client import Answer

ESTIMATED: Final = {
    "unread": "nothing that is deployed reads it, so nobody is scored",
    "no_model": "no model is good enough",
    "other_release": "the model in use is of another release and cannot be read here",
    "not_scored": "nobody was scored for a week",
}


def scores(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="The answer as JSON.")] = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show each score: its model with figures and floors, drift, the newest training, and what is said without one."""
    with journeys_api(url, key) as api:
        found = api.get("/v1/scores")
    if as_json:
        print_lines([json.dumps(found, indent=2)])
        return
    print_lines([line for one in found["items"] for line in score_lines(one)])


def score_lines(one: Answer) -> Iterator[str]:
    """A score as lines of text."""
    why = one["estimated_because"]
    yield f"{one['name']}: {'a model says it' if why is None else f'an estimate by silence alone: {ESTIMATED[why]}'}"
    if one["champion"] is not None:
        yield from _champion_lines(one["champion"])
    trained = one["trained"]
    if trained is not None:
        became = f"v{trained['version']}, {trained['became']}" if trained["version"] else trained["became"]
        yield f"  learned last {trained['tried_at'][:16]}: {became}; {trained['says']}"
        for window in trained["windows"]:
            yield (
                f"    v{trained['looked_at']} until {window['until'][:10]}: said {window['said']:.3f}, "
                f"came {window['happened']:.3f}, of {window['players']:,} players"
            )
        if trained["is_off"]:
            yield "    It was off in one window after the other, and nothing better was learned."
    for version in one["versions"]:
        yield f"  v{version['version']} {version['state']} {version['learned_at'][:10]}: {version['why']}"


def _champion_lines(one: Answer) -> Iterator[str]:
    yield (
        f"  v{one['version']} ({one['kind']}) since {one['learned_at'][:10]}, learned of {one['rows']:,} rows, "
        f"judged on {one['players']:,} players"
    )
    for floor in one["floors"]:
        bound = "at most" if floor["at_most"] else "at least"
        missed = "" if floor["is_met"] else ", missed"
        yield f"    {floor['figure']} {floor['reached']:.3f} ({bound} {floor['floor']:g}{missed})"
    if one["drift"] is not None:
        moved = ", ".join(f"{name} {drift:.2f}" for name, drift in [*one["drifts"].items()][:3])
        yield f"    drift {one['drift']:.2f}" + (f"; moved most: {moved}" if moved else "")
    if one["beaten"] is not None:
        beaten = one["beaten"]
        yield (
            f"    not used: {beaten['kind']}, AUC {beaten['auc']:.3f}, Brier {beaten['brier']:.3f}; trees better by "
            f"{beaten['gain']:+.4f}, error {beaten['error']:.4f}"
        )
    strongest = ", ".join(f"{part['feature']} {part['weight']:+.2f}" for part in one["strengths"][:5])
    yield f"    counts most: {strongest}"
