"""What a shadow would have done beside what the live runs did, as an HTML page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

from stage.flow.diagram import Picture, picture, picture_of_changes
from stage.release_impact.impact_text import named
from stage.release_impact.page import drawn, page
from workflows.json_object import JsonObject
from workflows.minor_units import minor_units, whole_units
from workflows.source.flow_graph import Flow
from workflows.verb_table import VERBS

#: What a step of a verb has done, once: its outcome, and what so many of them are called.
DONE: Final = {
    "send": ("sent", "messages sent"),
    "grant": ("confirmed", "rewards given"),
    "ask": ("opened", "tasks put before people"),
    "start": ("started", "other journeys begun"),
}
#: What it was refused, by the same verbs.
REFUSED: Final = {"send": ("suppressed", "messages not sent"), "grant": ("refused", "rewards refused")}


class Total(NamedTuple):
    """One figure of the live runs beside that of the shadows, and by how much these have more; empty for nothing."""

    words: str
    live: str
    shadow: str
    more: str


def shadow_page(told: JsonObject, flows: tuple[Flow, Flow] | None, undrawn: str = "") -> str:
    """The whole page of a comparison as the API tells it; `flows` are the live version and the shadow's, to be drawn.

    Without them nothing is drawn, and `undrawn` says why.
    """
    pictures = []
    if flows is not None:
        live, shadow = flows
        pictures = [
            _without_waits(picture(live, runs_at(told["steps"], "live"))),
            _without_waits(picture_of_changes(live, shadow, new_counts=runs_at(told["steps"], "shadow"))),
        ]
    return page(
        "shadow.html.j2",
        r=told,
        names=[named(told["beside"]), named(told["version"])],
        began=_moment(told["started_at"]),
        ended=_moment(told["stopped_at"] or ""),
        totals=[*totals(told)],
        pictures=drawn(pictures),
        undrawn=undrawn,
    )


def totals(told: JsonObject) -> Iterator[Total]:
    """What was done, refused and spent over all steps, without what neither side did."""
    for verb in VERBS:
        for outcome, words in [which[verb] for which in (DONE, REFUSED) if verb in which]:
            sums = {side: _sum(told["steps"], side, verb, outcome) for side in ("live", "shadow")}
            yield from _total(words, sums["live"], sums["shadow"], "{:,}".format)
    for one in told["costs"]:
        currency, live, shadow = one["currency"], one["live"], one["shadow"]
        money = partial(_money, currency=currency)
        yield from _total(f"cost in {currency}, at most", live["most"], shadow["most"], money)
        yield from _total(f"cost in {currency}, expected", live["expected"], shadow["expected"], money)
        unlimited = f"rewards in {currency} without a ceiling"
        yield from _total(unlimited, live["unlimited"], shadow["unlimited"], "{:,}".format)


def _total(words: str, live: int, shadow: int, written: Callable[[int], str]) -> Iterator[Total]:
    if live or shadow:
        more = shadow - live
        yield Total(words, written(live), written(shadow), ("+" if more > 0 else "") + written(more) if more else "")


def runs_at(steps: Sequence[JsonObject], side: str) -> Mapping[str, int]:
    """In how many runs each step was come to; one that is over in several moves counts as it began."""
    counted: dict[str, int] = {}
    for one in steps:
        began = DONE.get(_verb(one), ("", ""))[0] == "opened"
        counts = {outcome: runs for outcome, runs in one[side].items() if not began or outcome == "opened"}
        counted[one["step"]] = sum(counts.values())
    return counted


def _without_waits(drawing: Picture) -> Picture:
    """A drawing without counts at waits: one that is over in time leaves no line in a run's story to be counted."""
    return replace(
        drawing, cards=tuple(replace(card, count="") if card.kind == "wait" else card for card in drawing.cards)
    )


def _sum(steps: Sequence[JsonObject], side: str, verb: str, outcome: str) -> int:
    return sum(
        runs
        for one in steps
        if _verb(one) == verb
        for came, runs in one[side].items()
        if came.partition(":")[0] == outcome
    )


def _money(amount: int, currency: str) -> str:
    return f"{whole_units(amount, currency):,.{minor_units(currency)}f}"


def _moment(at: str) -> str:
    return at[:16].replace("T", " ")


def _verb(step: JsonObject) -> str:
    return str(step["step"]).partition(":")[0]
