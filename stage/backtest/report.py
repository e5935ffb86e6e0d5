"""The report of a back-test: one HTML file that opens anywhere and asks the network for nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stage.backtest import report_charts as charts
from stage.backtest.counts import UNDER_WAY
from stage.backtest.metrics import BacktestMetrics, RewardLine, StepMetrics
from workflows.minor_units import whole_units

FOLDER: Final = Path(__file__).parent
DASH: Final = "\N{EN DASH}"
#: Outcomes after which the player has something, and those after which something was kept from them or not done.
GOOD: Final = frozenset({"sent", "confirmed", "answered", "started", "reached"})
BAD: Final = frozenset({"suppressed", "refused", "nobody_answered", "expire", "unknown"})
QUIET: Final = frozenset({"timed_out", "refreshed", "marked", "opened", "remind", "escalate", "waiting", "quiet_hours"})


@dataclass(frozen=True)
class Part:
    """One outcome of one step: how many runs, and its share of the step's bar in percent."""

    words: str
    count: int
    share: float
    tone: str


@dataclass(frozen=True)
class ReportRow:
    """One step as it is shown: its place in the river of runs, its bar, and who went no further."""

    verb: str
    name: str
    runs: int
    share: float
    river: str
    parts: list[Part]
    after: str
    left: list[tuple[str, int]]


def report(figures: BacktestMetrics) -> str:
    """The whole page. The same figures give the same page, byte for byte."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": lambda number: f"{number:,}",
        "money": money,
        "day": lambda moment: f"{moment.day} {moment:%B %Y}",
        "iso_day": lambda text: "{0.day} {0:%B %Y}".format(datetime.fromisoformat(text)),
        "words": lambda text: str(text).replace("_", " "),
        "percent": percent,
    }
    page: str = environment.get_template("report.html.j2").render(
        f=figures,
        pictures={name: Markup(drawn) for name, drawn in _pictures(figures).items()},  # noqa: S704 - our own drawings
        goals={name: Markup(drawn) for name, drawn in _goal_pictures(figures).items()},  # noqa: S704
        colours={name: charts.colour_of(figures.journeys, name) for name in figures.journeys},
        rows={name: rows_of(figures, name) for name in figures.journeys},
        totals=totals(figures),
        title=title(figures),
        rewards=rewards_of(figures),
        # Inside a script element only this character could end it.
        line=Markup(figures.line().replace("<", "\\u003c")),  # noqa: S704
    )
    return page


def write_report(figures: BacktestMetrics, path: Path) -> None:
    """Write the page to a file."""
    path.write_text(report(figures), encoding="utf-8")


def title(figures: BacktestMetrics) -> str:
    """One or two journeys by name, more by number."""
    if len(figures.journeys) < 3:
        return " and ".join(figures.journeys)
    days = (figures.period.last - figures.period.live_from).days + 1
    numbers = ("three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    count = len(figures.journeys)
    return f"{numbers[count - 3] if count < 13 else count} journeys over {days} days".capitalize()


def totals(figures: BacktestMetrics) -> dict[str, Any]:
    """The sums of the tiles."""
    costs: dict[str, int] = {}
    for line in figures.rewards:
        costs[line.currency] = costs.get(line.currency, 0) + (line.expected_minor or 0)
    keys = ("entered", "control", "messages", "suppressed", "grants", "tasks", "conversions")
    return {key: sum(getattr(figures, key).values()) for key in keys} | {
        "costs": {currency: minor for currency, minor in sorted(costs.items()) if minor},
        "people": max((team.people_on_busiest_day for team in figures.teams.values()), default=0),
    }


def rewards_of(figures: BacktestMetrics) -> list[dict[str, Any]]:
    """Rewards of one kind and rule in one line, whatever the currencies."""
    found: dict[tuple[str, str, str], list[RewardLine]] = {}
    for line in figures.rewards:
        found.setdefault((line.journey, line.kind, line.rule), []).append(line)
    return [
        {
            "journey": journey,
            "kind": kind,
            "rule": rule,
            "granted": sum(line.granted for line in lines),
            "expected": _amounts([(line.expected_minor, line.currency) for line in lines]),
            "most": _amounts([(line.most_minor, line.currency) for line in lines]),
        }
        for (journey, kind, rule), lines in found.items()
    ]


def _amounts(amounts: Sequence[tuple[int | None, str]]) -> list[str]:
    return [money(minor, currency) for minor, currency in amounts if minor] or [DASH]


def rows_of(figures: BacktestMetrics, journey: str) -> list[ReportRow]:
    """The steps of a journey as a river that narrows by those who go no further, to the last one left."""
    steps = figures.steps[journey]
    most = sum(sum(step.left.values()) for step in steps) or 1
    widths = list(accumulate((-sum(step.left.values()) / most for step in steps), initial=1.0))
    return [
        ReportRow(
            *_named(step.step),
            runs=step.runs,
            share=100 * step.runs / most,
            river=_river(width, below),
            parts=_parts(step),
            after=format_elapsed(step.median_minutes),
            left=sorted(((_outcome(name), count) for name, count in step.left.items()), key=lambda one: (-one[1], one)),
        )
        for step, width, below in zip(steps, widths, widths[1:], strict=False)
    ]


def _named(step: str) -> tuple[str, str]:
    verb, _, name = step.partition(":")
    if not name:
        verb, _, number = step.partition("#")
        return verb, "" if number in {"", "1"} else f"({number})"
    name, _, number = name.rpartition("#")
    return verb, name.replace("|", " or ") + ("" if number == "1" else f" ({number})")


def _parts(step: StepMetrics) -> list[Part]:
    def tone(outcome: str) -> str:
        return "bad" if outcome in BAD else "quiet" if outcome in QUIET else "good"

    ordered = sorted(
        step.outcomes.items(), key=lambda one: (("good", "quiet", "bad").index(tone(one[0])), -one[1], one)
    )
    return [Part(_outcome(name), count, 100 * count / step.runs, tone(name)) for name, count in ordered]


def _outcome(name: str) -> str:
    words = {
        "timed_out": "nothing came",
        "confirmed": "given",
        "nobody_answered": "nobody answered",
        "quiet_hours": "left while it was night",
        "opened": "left before an answer",
        "remind": "left before an answer",
        "escalate": "left before an answer",
        "waiting": "held for the morning",
        "ended": "time was up",
        UNDER_WAY: "still under way",
    }
    if name.startswith("exit_on:"):
        return f"left on {name.removeprefix('exit_on:')}"
    return words.get(name, name.replace("_", " "))


def _river(width: float, below: float) -> str:
    """A stretch of river, 100 by 100: the share of runs still in it above the step, and below."""
    top, foot = 48 * width, 48 * below
    return (
        f"M{50 - top:.2f} 0C{50 - top:.2f} 60 {50 - foot:.2f} 40 {50 - foot:.2f} 100"
        f"L{50 + foot:.2f} 100C{50 + foot:.2f} 40 {50 + top:.2f} 60 {50 + top:.2f} 0Z"
    )


def format_elapsed(minutes: int) -> str:
    """A time since entry in its two largest units: 2 d 4 h."""
    days, rest = divmod(minutes, 1_440)
    hours, left = divmod(rest, 60)
    parts = [f"{number} {unit}" for number, unit in ((days, "d"), (hours, "h"), (left, "min")) if number]
    return " ".join(parts[:2]) or "at once"


def money(minor: int | None, currency: str) -> str:
    """An amount of minor units; a dash where there is none or it cannot be said."""
    return f"{whole_units(minor, currency):,.0f} {currency}" if minor else DASH


def percent(part: int, whole: int) -> str:
    """A share in words a table can hold; a dash where there is no whole."""
    if not whole:
        return DASH
    share = 100 * part / whole
    return f"{share:.0f} %" if share >= 10 or share == int(share) else f"{share:.1f} %"


def _pictures(figures: BacktestMetrics) -> Mapping[str, str]:
    return {
        "entered": charts.figure(charts.entered(figures), "Players entered per day, by journey"),
        "contacts": charts.figure(charts.contacts(figures), "Contacts per day"),
        "busiest": charts.figure(charts.busiest(figures.caps), "Players by their most contacts in a day and a week"),
        "suppressed": charts.figure(charts.suppressed(figures), "Suppressed messages by journey and reason"),
        "spending": charts.figure(charts.spending(figures), "Expected cost of rewards by month"),
        "tasks": charts.figure(charts.tasks(figures), "Tasks per day and team against one person's day"),
        "returning": charts.figure(charts.returning(figures.natural_return), "Silences that ended by themselves"),
    }


def _goal_pictures(figures: BacktestMetrics) -> Mapping[str, str]:
    return {
        name: charts.figure(
            charts.goals(arms, charts.colour_of(figures.journeys, name)), f"Goal of {name} by days after entry"
        )
        for name, arms in figures.arms.items()
        if any(arm.conversions for arm in arms.values())
    }
