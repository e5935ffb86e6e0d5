"""The report of a week or a month: a page that stands by itself, and the same in plain text for mails."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from typing import Final

from content.figure_pictures import interval_bar, sparkline
from content.figure_words import DRAWN, EFFECT_PARTS, EFFECTS, GROUPS, NAMES, figure_text, interval_text
from workflows.figures.definitions import FIGURES, Period, Taken, period_before, period_of
from workflows.figures.targets import Judged

_PREFACE: Final = (
    '<p class="quiet">With what was known at the end of {day} (UTC). '
    "In brackets stands where the truth lies, 95 times of 100.</p>"
)
_STANDINGS: Final = {
    "reached": "reached",
    "on_course": "on course",
    "at_risk": "at risk",
    "missed": "missed",
    "not_measurable": "not measurable",
}
_AGAINST_CONTROL: Final = "Journeys against their control groups"
_FOR_WHOM: Final = "For whom, and with which reward"
_STYLE: Final = """
body{font:15px/1.45 system-ui,sans-serif;color:#1c2430;background:#fff;max-width:56rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin:2rem 0 .4rem}
table{border-collapse:collapse;width:100%;table-layout:fixed}col.a{width:30%}col.b{width:18%}col.c{width:34%}col.d{width:18%}
th,td{text-align:left;padding:.35rem .6rem .35rem 0;border-bottom:1px solid #d9dee6;vertical-align:top}
th,td{overflow-wrap:anywhere}td.n{font-variant-numeric:tabular-nums}.quiet{color:#5a6676}.spark{color:#2f5d8a}
.missed,.at_risk{color:#9b2c1f}.reached,.on_course{color:#1f6b3a}
.spark{display:block;margin-left:auto;max-width:100%}th span{display:block;font-weight:400}
td.n{overflow-wrap:normal}@media(max-width:40rem){body{font-size:13px}col.a{width:27%}col.b{width:25%}col.d{width:14%}}
"""
# Every table has the same columns, so that a page is read down: what, how much, how sure, a picture.
_COLUMNS: Final = '<colgroup><col class="a"><col class="b"><col class="c"><col class="d"></colgroup>'


@dataclass(frozen=True)
class FigureReport:
    """What a report tells: of a brand, with what was known at the end of a day."""

    brand: str
    as_of: date
    taken: Sequence[Taken]
    #: The figures for everybody of past weeks or months, the oldest first.
    course: Sequence[Taken]
    targets: Sequence[Judged]
    period: Period = "week"
    #: What was found to have changed lately, and when.
    changes: Sequence[tuple[date, str]] = ()

    @property
    def subject(self) -> str:
        """The line above a mail."""
        if self.period == "week":
            return f"{self.brand}: figures until {self.as_of}"
        return f"{self.brand}: figures of {period_before(self.period, period_of(self.period, self.as_of)):%B %Y}"

    @property
    def key(self) -> str:
        """What parts its mails from those of the week that were taken on the same day."""
        return "" if self.period == "week" else f"{self.period}:"

    def before(self, one: Taken) -> Taken | None:
        """The same figure of the period before."""
        earlier = period_before(self.period, one.starts)
        mine = (one.name, one.currency, earlier)
        return next((each for each in self.course if (each.name, each.currency, each.starts) == mine), None)


def report_html(report: FigureReport) -> str:
    """The report as a page without scripts or anything from elsewhere."""
    parts = [
        f"<h1>{escape(report.subject)}</h1>",
        _PREFACE.format(day=report.as_of),
        _changes(report.changes),
        _targets(report.targets),
        *(_group(name, figures, report) for name, figures in GROUPS.items()),
        _effects(_AGAINST_CONTROL, EFFECTS, report),
        _effects(_FOR_WHOM, EFFECT_PARTS, report),
        _parts(report),
    ]
    title = escape(report.subject)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def report_text(report: FigureReport) -> str:
    """The report in plain text."""
    lines = [f"{report.brand}, with what was known at the end of {report.as_of} (UTC)", ""]
    lines += [
        f"Target {NAMES[one.target.figure]}, {one.target.words}: {_STANDINGS[one.standing]} ({one.why})"
        for one in report.targets
    ]
    lines += _lines("What has changed", [f"{day}: {says}" for day, says in report.changes])
    for name, figures in GROUPS.items():
        whole = _whole(report, figures)
        lines += _lines(name, [f"{_label(one)}: {_value(one, _told(one, report))}" for one in whole])
    for title, figures in (_AGAINST_CONTROL, EFFECTS), (_FOR_WHOM, EFFECT_PARTS):
        effects = _of(report.taken, figures)
        lines += _lines(title, [f"{one.part}, {_label(one)}: {_value(one, _beside(one))}" for one in effects])
    return "\n".join(lines) + "\n"


def _lines(title: str, rows: Sequence[str]) -> list[str]:
    return ["", title, *(f"  {row}" for row in rows)] if rows else []


def _changes(changes: Sequence[tuple[date, str]]) -> str:
    rows = [f'<tr><td class="n">{day}</td><td colspan="3">{escape(says)}</td></tr>' for day, says in changes]
    return _table("What has changed", rows)


def _targets(targets: Sequence[Judged]) -> str:
    rows = [
        f"<tr><th>{escape(NAMES[one.target.figure])}<span>{escape(one.target.words)}</span></th>"
        f'<td class="n">{escape(figure_text(one.target.figure, one.value))}</td>'
        f'<td class="quiet">{escape(one.why)}</td><td class="{one.standing}">{_STANDINGS[one.standing]}</td></tr>'
        for one in targets
    ]
    return _table("Targets", rows)


def _group(name: str, figures: Iterable[str], report: FigureReport) -> str:
    rows = []
    for one in _whole(report, figures):
        values = [each.value for each in report.course if (each.name, each.currency) == (one.name, one.currency)]
        picture = sparkline(values, f"{NAMES[one.name]}, {report.period} by {report.period}")
        head = f'<th title="{escape(FIGURES[one.name].says, quote=True)}">{escape(_label(one))}</th>'
        rows.append(_row(head, one, _told(one, report), picture))
    return _table(name, rows)


def _effects(title: str, figures: Sequence[str], report: FigureReport) -> str:
    rows = []
    for one in _of(report.taken, figures):
        picture = ""
        if one.value is not None and one.low is not None and one.high is not None and one.name in DRAWN:
            picture = interval_bar(one.value, one.low, one.high, interval_text(one))
        rows.append(_row(f"<th>{escape(one.part)}<span>{escape(_label(one))}</span></th>", one, _beside(one), picture))
    return _table(title, rows)


def _parts(report: FigureReport) -> str:
    """What is known of segments, kinds of reward and journeys apart."""
    above, splits = {*EFFECTS, *EFFECT_PARTS}, {"segment", "kind", "journey"}
    rows = [
        _row(f"<th>{escape(one.split_by)} {escape(one.part)}<span>{escape(_label(one))}</span></th>", one, _beside(one))
        for one in report.taken
        if one.split_by in splits and one.name not in above and one.period == report.period
    ]
    return _table("Segments, rewards and journeys", rows)


def _row(head: str, one: Taken, beside: str, picture: str = "") -> str:
    value = escape(figure_text(one.name, one.value, one.currency))
    return f'<tr>{head}<td class="n">{value}</td><td class="quiet">{escape(beside)}</td><td>{picture}</td></tr>'


def _table(title: str, rows: Sequence[str]) -> str:
    return f"<h2>{escape(title)}</h2><table>{_COLUMNS}{''.join(rows)}</table>" if rows else ""


def _whole(report: FigureReport, figures: Iterable[str]) -> list[Taken]:
    return [one for one in _of(report.taken, figures) if one.period == report.period and not one.split_by]


def _told(one: Taken, report: FigureReport) -> str:
    """What stands beside a figure for everybody; of a month what it was before, for a week has its line."""
    earlier = report.before(one)
    if report.period == "week" or earlier is None or earlier.value is None:
        return _beside(one)
    before = f"before: {figure_text(one.name, earlier.value, one.currency)}"
    return "; ".join(part for part in (_beside(one), before) if part)


def _of(taken: Iterable[Taken], figures: Iterable[str]) -> list[Taken]:
    wanted = list(figures)
    mine = [one for one in taken if one.name in wanted]
    return sorted(mine, key=lambda one: (one.split_by, one.part, wanted.index(one.name), one.currency))


def _label(one: Taken) -> str:
    return f"{NAMES[one.name]} ({one.currency})" if one.currency else NAMES[one.name]


def _value(one: Taken, beside: str) -> str:
    value = figure_text(one.name, one.value, one.currency)
    return f"{value}{' ' if beside.startswith('(') else ', '}{beside}" if beside else value


def _beside(one: Taken) -> str:
    """What belongs beside a value: its interval and of how many it is, or why there is none."""
    if one.value is None:
        return f"no number: {one.reason}"
    interval = interval_text(one)
    of = f"of {one.n:,}" if one.n and FIGURES[one.name].unit != "count" else ""
    waiting = f"{one.immature:,} are not over yet" if one.immature else ""
    return ", ".join(part for part in (f"({interval})" if interval else "", of, waiting) if part)
