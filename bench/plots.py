"""The plots of `bench/results/`: how cost grows."""

from pathlib import Path
from typing import Any

import altair as alt
import polars as pl
import vl_convert

Point = dict[str, float]
WIDTH, HEIGHT = 560, 320
BLUE, ORANGE = "#4c78a8", "#f58518"


def draw(growth: dict[str, list[Point]], folder: Path) -> list[Path]:
    """Write a PNG for every curve and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    rate = "Events a second over HTTP, committed"
    charts = {
        "events_by_batch": _line(growth["by_batch"], "batch", "Events in one request", rate, "5,000 players"),
        "events_by_players": _line(
            growth["by_players"], "players", "Different players sending", rate, "batches of 500 events"
        ),
        "events_by_runs": _line(
            [{**point, "runs": max(point["runs"], 1)} for point in growth["by_runs"]],
            "runs",
            "Players parked in runs (none is drawn at 1)",
            rate,
            "batches of 500 events, 5,000 players",
        ),
        "reaction_by_load": _reactions(growth["reaction_by_load"]),
    }
    paths = []
    for name, chart in charts.items():
        path = folder / f"{name}.png"
        path.write_bytes(vl_convert.vegalite_to_png(chart.to_json(), scale=2))
        paths.append(path)
    return paths


def _line(points: list[Point], column: str, across: str, up: str, title: str) -> Any:
    top = 1.15 * max(point["events_per_s"] for point in points)
    base = alt.Chart(pl.DataFrame([{key: float(value) for key, value in point.items()} for point in points])).encode(
        x=_across(points, column, across),
        y=alt.Y("events_per_s", title=up, scale=alt.Scale(domain=[0, top]), axis=alt.Axis(format=",d")),
    )
    labels = base.mark_text(dy=-12).encode(text=alt.Text("events_per_s", format=",.0f"))
    return _finished(base.mark_line(point=alt.OverlayMarkDef(size=60)) + labels, f"Intake, {title}")


def _reactions(points: list[Point]) -> Any:
    # A colour a side, dashes for the 99th percentile, and one legend that shows both.
    series = {
        "engine_p50_ms": ("engine, median", BLUE, [1, 0]),
        "engine_p99_ms": ("engine, 99th percentile", BLUE, [6, 4]),
        "bare_p50_ms": ("bare Temporal, median", ORANGE, [1, 0]),
        "bare_p99_ms": ("bare Temporal, 99th percentile", ORANGE, [6, 4]),
    }
    rows = [
        {"load": float(point["load"]), "ms": float(point[key]), "series": name}
        for point in points
        for key, (name, _, _) in series.items()
    ]
    names, colours, dashes = (list(column) for column in zip(*series.values(), strict=True))
    legend = alt.Legend(orient="top", labelLimit=300, symbolSize=600, symbolType="stroke", columns=2)
    base = alt.Chart(pl.DataFrame(rows)).encode(
        x=_across(points, "load", "Matched events a second"),
        y=alt.Y("ms", title="Reaction in milliseconds", scale=alt.Scale(type="log"), axis=alt.Axis(format=",d")),
        color=alt.Color("series", title=None, scale=alt.Scale(domain=names, range=colours), legend=legend),
    )
    line = base.mark_line().encode(
        strokeDash=alt.StrokeDash("series", title=None, scale=alt.Scale(domain=names, range=dashes), legend=legend)
    )
    return _finished(line + base.mark_point(size=40), "From an event to its effect, open loop")


def _across(points: list[Point], column: str, title: str) -> alt.X:
    values = [float(point[column]) for point in points]
    scale = alt.Scale(type="log", domain=[min(values), max(values)])
    return alt.X(column, title=title, scale=scale, axis=alt.Axis(format=",d", values=values))


def _finished(chart: Any, title: str) -> Any:
    return (
        chart.properties(width=WIDTH, height=HEIGHT, title=title)
        .configure(background="white")
        .configure_axis(labelFontSize=12, titleFontSize=13)
        .configure_title(fontSize=15, anchor="start")
        .configure_legend(labelFontSize=12)
    )
