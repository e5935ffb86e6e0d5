"""The report of what a release does, as text for a terminal."""

from collections.abc import Iterator, Mapping

from stage.release_impact.impact import Impact, Place


def impact_text(report: Impact) -> str:
    """The report, ending in a newline."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Impact) -> Iterator[str]:
    counted = [(kind, sum(one.change == kind for one in report.changes)) for kind in ("changed", "inserted", "removed")]
    told = ", ".join(f"{number} {kind}" for kind, number in counted if number) or "no step changed"
    yield f"{report.journey} {named(report.before)} -> {named(report.version, new=True)}: {told}"
    yield from (f"  {one.change:<9} {one.step}  {one.words}".rstrip() for one in report.changes if one.change != "kept")
    if report.changes and not any(number for _, number in counted):
        yield "  What changed shows in no step: look at helpers and constants."
    if report.declared:
        yield f"At once, for everybody in flight: {'; '.join(report.declared)}."
    yield (
        f"{_counted(report.runs, 'run')} in flight{brands_in_brackets(report.brands)}; "
        f"{_counted(report.shapes, 'shape')}, {_counted(report.histories, 'history', 'histories')}, "
        f"{report.coverage:g} % covered"
    )
    if report.already:
        yield f"{report.already:,} more are on it already."
    if report.unseen:
        yield f"{report.unseen:,} runs have a shape of which Temporal has no history."
    yield from (f"  {failure}" for failure in report.replay_failures)
    for place in report.places:
        yield from _place(place)
    yield from _choices(report)


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def _place(place: Place) -> Iterator[str]:
    yield ""
    yield f"{place.runs:,} stand at {place.at}, on v{place.version}{brands_in_brackets(place.brands)}"
    yield "  pin      nothing changes"
    if place.differences:
        for number, one in enumerate(place.differences):
            lead = "  migrate  " if not number else " " * 11
            of_brands = brands_in_brackets(one.brands) if len(place.brands) > 1 else ""
            yield f"{lead}{one.runs:,} x {one.words}, if {one.turn}{of_brands}"
    else:
        yield "  migrate  nothing changes"
    yield f"  stop     {place.runs:,} end now"
    if place.breaks:
        yield from (f"  follow   {runs:,} break: {how}" for how, runs in place.breaks.items())


def _choices(report: Impact) -> Iterator[str]:
    breaks = sum(sum(place.breaks.values()) for place in report.places)
    yield ""
    yield "Choose with --pin (the default), --migrate or --stop."
    if breaks:
        yield f"Following the new code without a move is no choice: {breaks:,} runs would break."


def named(version: int, *, new: bool = False) -> str:
    """What a version is called."""
    return f"v{version}" if version else "the present code" if new else "code that was never released"


def brands_in_brackets(brands: Mapping[str, int]) -> str:
    """Runs by brand behind a number of them, ` (acme 110, luna 10)`; empty where there is none."""
    return f" ({', '.join(f'{brand} {runs:,}' for brand, runs in brands.items())})" if brands else ""
