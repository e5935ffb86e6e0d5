"""The pictures of a report, as SVG: drawn by Vega-Lite in this process, coloured by the page they stand in.

Colours are CSS variables, so that one drawing serves light, dark and paper. Each chart is drawn twice, for a desk
and for a phone, because a drawing that shrinks takes its words with it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

import altair as alt
import vl_convert

from stage.backtest.metrics import Arm, BacktestMetrics, Caps, Returned
from workflows.minor_units import whole_units

WIDE: Final = 780
NARROW: Final = 320
SERIES: Final = [f"var(--c{number})" for number in range(1, 9)]
INK, MUTED, LINE, WARN, QUIET = "var(--ink)", "var(--muted)", "var(--line)", "var(--warn)", "var(--quiet)"
ROW: Final = 54

#: Altair types what `encode` returns as anything at all.
Drawn = Any
Draw = Callable[[int], Drawn]


def figure(draw: Draw, label: str) -> str:
    """The chart for both widths as HTML, or nothing where there is nothing to draw."""
    drawn = [(name, draw(width)) for name, width in (("wide", WIDE), ("narrow", NARROW))]
    return "".join(_svg(chart, name, label) for name, chart in drawn if chart is not None)


def colour_of(names: Sequence[str], name: str) -> str:
    """The colour of a name among names; the same in every chart of a report."""
    return SERIES[list(names).index(name) % len(SERIES)] if name in names else QUIET


def entered(figures: BacktestMetrics) -> Draw:
    """Players entered per day, a band for each journey."""
    series = {name: figures.daily["entered"].get(name, {}) for name in figures.journeys if figures.entered[name]}

    def draw(width: int) -> Drawn:
        return _bands(
            {f"{name}: {figures.entered[name]:,}": days for name, days in series.items()},
            [colour_of(figures.journeys, name) for name in series],
            width,
        )

    return draw


def contacts(figures: BacktestMetrics) -> Draw:
    """Contacts a day, those held to the caps and those that are not."""
    names = {"capped": "held to the caps", "necessary": "service, security, protection"}
    series = {
        told: figures.daily["contacts"][name] for name, told in names.items() if name in figures.daily["contacts"]
    }

    def draw(width: int) -> Drawn:
        rows = [row for name, days in series.items() for row in _daily(days, _span(series), name)]
        if not rows:
            return None
        return (
            _chart(rows)
            .mark_area(interpolate="step")
            .encode(
                x=_time_axis(width),
                y=_count_axis(None, stack="zero", extent=34),
                color=_legend(list(series), ["var(--c1)", QUIET]),
                order=alt.Order("series:N"),
            )
            .properties(width=width - 34, height=150)
        )

    return draw


def busiest(caps: Caps) -> Draw:
    """Players by the most contacts they had in any 24 hours and any 7 days, beside the caps."""
    parts = [
        (f"in any 24 hours, cap {caps.per_day}", caps.capped_in_a_day, caps.per_day),
        (f"in any 7 days, cap {caps.per_week}", caps.capped_in_a_week, caps.per_week),
        ("in any 24 hours, all messages", caps.all_in_a_day, None),
        ("in any 7 days, all messages", caps.all_in_a_week, None),
    ]

    def draw(width: int) -> Drawn:
        if not any(players for _, players, _ in parts):
            return None
        columns = 2 if width == WIDE else 1
        each = (width - 70 * (columns - 1)) // columns
        drawn = [_histogram(title, players, cap, each) for title, players, cap in parts]
        rows = [alt.hconcat(*drawn[at : at + columns], spacing=50) for at in range(0, len(drawn), columns)]
        return alt.vconcat(*rows, spacing=18)

    return draw


def suppressed(figures: BacktestMetrics) -> Draw:
    """Suppressed messages by journey and reason."""
    reasons = sorted({reason for found in figures.suppressed_why.values() for reason in found})
    rows = [
        {"journey": journey, "reason": _words(reason), "count": count}
        for journey, found in figures.suppressed_why.items()
        for reason, count in found.items()
    ]

    def draw(width: int) -> Drawn:
        if not rows:
            return None
        return (
            _chart(rows)
            .mark_bar(cornerRadius=2, height=20)
            .encode(
                x=_count_axis("messages not sent", axis="x", stack="zero"),
                y=alt.Y("journey:N", title=None, axis=_axis(minExtent=110, grid=False)),
                color=alt.Color(
                    "reason:N",
                    scale=alt.Scale(domain=[_words(reason) for reason in reasons], range=SERIES),
                    legend=alt.Legend(
                        title=None, orient="top", direction="horizontal", columns=2 if width < WIDE else 5
                    ),
                ),
            )
            .properties(width=width - 110, height=alt.Step(32))
        )

    return draw


def spending(figures: BacktestMetrics) -> Draw:
    """Expected cost of rewards by month, each currency on a scale of its own."""
    rows = [
        {"month": f"{month}-01", "kind": _words(kind), "currency": currency, "amount": whole_units(minor, currency)}
        for name, months in figures.daily["spending"].items()
        for kind, _, currency in [name.rpartition(" ")]
        for month, minor in months.items()
    ]
    kinds = sorted({str(row["kind"]) for row in rows})
    months = sorted({str(row["month"]) for row in rows})
    currencies = sorted({str(row["currency"]) for row in rows})

    def draw(width: int) -> Drawn:
        if not rows:
            return None
        bands = [
            _chart([row for row in rows if row["currency"] == currency])
            .mark_bar(cornerRadiusTopLeft=2, cornerRadiusTopRight=2)
            .encode(
                x=alt.X(
                    "month:O",
                    title=None,
                    scale=alt.Scale(domain=months),
                    axis=_axis(
                        labelExpr="utcFormat(toDate(datum.value), '%b %y')",
                        labelOverlap=True,
                        labelAngle=0,
                        grid=False,
                        labels=currency == currencies[-1],
                    ),
                ),
                y=_count_axis(None, field="amount", stack="zero", extent=34, ticks=4 if len(currencies) == 1 else 2),
                color=_legend(kinds, SERIES, field="kind"),
            )
            .properties(width=width - 34, height=150 if len(currencies) == 1 else ROW, title=_heading(currency))
            for currency in currencies
        ]
        return alt.vconcat(*bands, spacing=12)

    return draw


def tasks(figures: BacktestMetrics) -> Draw:
    """Tasks that came to each team a day, and what one person can do."""
    load = figures.daily["tasks"]

    def draw(width: int) -> Drawn:
        titles = {f"{team}: {figures.teams[team].tasks:,} tasks": days for team, days in load.items()}
        return _bands(titles, SERIES, width, limit=figures.desk.tasks_a_day)

    return draw


def goals(arms: Mapping[str, Arm], colour: str) -> Draw:
    """Share of each arm that had reached the goal so many days after entry."""
    shown = {name: arm for name, arm in arms.items() if arm.entered}
    rows = [
        {"day": day, "share": reached / arm.entered, "arm": name}
        for name, arm in shown.items()
        for day, reached in enumerate([0, *arm.by_day])
    ]

    def draw(width: int) -> Drawn:
        if not rows:
            return None
        return (
            _chart(rows)
            .mark_line(strokeWidth=2)
            .encode(
                x=alt.X("day:Q", title="days after entry", axis=_axis(grid=False, tickMinStep=1, format="d")),
                y=alt.Y("share:Q", title=None, axis=_axis(format=".0%", tickCount=3), scale=alt.Scale(domainMin=0)),
                color=_legend(list(shown), [colour, MUTED], field="arm", symbol="stroke"),
                strokeDash=alt.StrokeDash(
                    "arm:N", scale=alt.Scale(domain=list(shown), range=[[1, 0], [5, 4]][: len(shown)]), legend=None
                ),
            )
            .properties(width=min(width - 50, 380 if width == WIDE else width), height=120)
        )

    return draw


def returning(by_idle: Mapping[int, Returned]) -> Draw:
    """Share of silences that ended by themselves."""
    rows = [
        {"idle": f"{idle} days", "share": one.percent / 100, "told": f"{one.percent:.0f} %"}
        for idle, one in by_idle.items()
        if one.silences
    ]

    def draw(width: int) -> Drawn:
        if not rows:
            return None
        base = _chart(rows).encode(
            x=alt.X("share:Q", title=None, axis=None),
            y=alt.Y("idle:N", title=None, sort=None, axis=_axis(minExtent=56, grid=False)),
        )
        return (base.mark_bar(color=SERIES[2], cornerRadius=2, height=18) + _labels(base)).properties(
            width=width - 130, height=alt.Step(28)
        )

    return draw


# ---- parts of charts ---------------------------------------------------------------------------


def _bands(
    series: Mapping[str, Mapping[str, int]], colours: Sequence[str], width: int, limit: int | None = None
) -> Drawn:
    """One low chart a name, under each other on one clock, each with a scale of its own."""
    if not series:
        return None
    span = _span(series)
    bands = []
    for index, (title, days) in enumerate(series.items()):
        last = index == len(series) - 1
        colour = colours[index % len(colours)]
        rows = _daily(days, span, title)
        band = (
            _chart(rows)
            .mark_area(interpolate="step", color=colour, opacity=0.9)
            .encode(x=_time_axis(width, labels=last), y=_count_axis(None, ticks=2, extent=34))
        )
        if limit is not None:
            rule = _chart([{"count": limit}]).mark_rule(color=WARN, strokeDash=[4, 3], strokeWidth=1.5)
            band = band + rule.encode(y="count:Q")
        bands.append(band.properties(width=width - 34, height=ROW, title=_heading(title)))
    return alt.vconcat(*bands, spacing=12)


def _histogram(title: str, players: Mapping[int, int], cap: int | None, width: int) -> Drawn:
    rows = [
        {"contacts": str(count), "players": players.get(count, 0), "told": f"{players.get(count, 0):,}"}
        for count in range(max((*players, cap or 0)) + 1)
    ]
    for row in rows:
        row["colour"] = WARN if cap is not None and int(str(row["contacts"])) > cap else SERIES[0] if cap else QUIET
    base = _chart(rows).encode(
        x=alt.X("contacts:N", title=None, sort=None, axis=_axis(labelAngle=0, grid=False, ticks=False)),
        y=alt.Y("players:Q", title=None, axis=None),
    )
    bars = base.mark_bar(cornerRadiusTopLeft=2, cornerRadiusTopRight=2).encode(color=alt.Color("colour:N", scale=None))
    text = base.mark_text(dy=-7, fontSize=11, color=MUTED).encode(text="told:N")
    return (bars + text).properties(width=width, height=96, title=_heading(title))


def _heading(title: str) -> alt.TitleParams:
    return alt.TitleParams(title, anchor="start", color=INK, fontSize=12, fontWeight=600, offset=6, frame="group")


def _labels(base: alt.Chart) -> Drawn:
    return base.mark_text(align="left", dx=6, fontSize=12, color=INK).encode(text="told:N")


def _chart(rows: Sequence[Mapping[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=[dict(row) for row in rows]))


def _span(series: Mapping[str, Mapping[str, int]]) -> tuple[date, date]:
    days = [date.fromisoformat(day) for part in series.values() for day in part] or [date(1970, 1, 1)]
    return min(days), max(days)


def _daily(days: Mapping[str, int], span: tuple[date, date], name: str) -> list[dict[str, Any]]:
    """A row for each day, those without anything included: an area over gaps would lie."""
    first, last = span
    every = (first + timedelta(days=number) for number in range((last - first).days + 2))
    return [{"day": day.isoformat(), "count": days.get(day.isoformat(), 0), "series": name} for day in every]


def _time_axis(width: int, *, labels: bool = True) -> alt.X:
    axis = _axis(format="%b %Y", tickCount=4 if width < WIDE else 8, grid=False, labels=labels)
    return alt.X("day:T", title=None, axis=axis, scale=alt.Scale(type="utc"))


def _count_axis(
    title: str | None, *, axis: str = "y", field: str = "count", ticks: int = 4, extent: int = 0, **more: Any
) -> Any:
    kind = alt.X if axis == "x" else alt.Y
    shown = _axis(tickCount=ticks, format=",d", tickMinStep=1, minExtent=extent)
    return kind(f"{field}:Q", title=title, axis=shown, **more)


def _axis(**more: Any) -> alt.Axis:
    return alt.Axis(**{"domain": False, "ticks": False, "labelPadding": 6, **more})


def _legend(names: Sequence[str], colours: Sequence[str], field: str = "series", symbol: str = "square") -> alt.Color:
    return alt.Color(
        f"{field}:N",
        scale=alt.Scale(domain=list(names), range=list(colours)[: max(1, len(names))]),
        legend=alt.Legend(title=None, orient="top", direction="horizontal", symbolType=symbol),
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


# ---- drawing -----------------------------------------------------------------------------------


def _svg(chart: Drawn, name: str, label: str) -> str:
    spec = chart.to_dict()
    spec["config"] = {
        "aria": False,
        "background": None,
        "font": "system-ui, sans-serif",
        "view": {"stroke": None},
        "axis": {
            "labelColor": MUTED,
            "titleColor": MUTED,
            "gridColor": LINE,
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
        },
        "legend": {"labelColor": INK, "labelFontSize": 12, "symbolSize": 110, "rowPadding": 4, "columnPadding": 22},
    }
    drawn: str = vl_convert.vegalite_to_svg(spec)
    drawn = re.sub(r' xmlns(:\w+)?="[^"]*"', "", drawn)
    drawn = _with_own_ids(drawn, f"{name}-{re.sub(r'[^a-z0-9]+', '-', label.lower()).strip('-')}")
    size = re.search(r'width="([\d.]+)" height="([\d.]+)"', drawn)
    assert size is not None
    told = label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return drawn.replace(
        f'class="marks" {size.group(0)}',
        f'class="{name}" role="img" aria-label="{told}" style="max-width:{float(size.group(1)):.0f}px"',
        1,
    )


def _with_own_ids(drawn: str, prefix: str) -> str:
    """Ids of this drawing alone: Vega goes on counting its clip paths from one drawing to the next."""
    found = dict.fromkeys(re.findall(r'\bid="([^"]+)"', drawn))
    own = {name: f"{prefix}-{number}" for number, name in enumerate(found)}
    drawn = re.sub(r'\bid="([^"]+)"', lambda match: f'id="{own[match.group(1)]}"', drawn)
    return re.sub(r"url\(#([^)]+)\)", lambda match: f"url(#{own[match.group(1)]})", drawn)
