"""Figures of a brand as they were taken: with intervals, with what was known when, and with the reason for none."""

from datetime import date
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from activities.loops.figure_reports import read_report
from api.dependencies import EngineOf
from api.permissions import Key, needs
from api.problems import COMMON, Problem, documented
from content.figure_report import report_html
from content.figure_words import NAMES
from workflows.figures.definitions import FIGURES, Taken, Unit
from workflows.figures.targets import Judged, Standing
from workflows.json_object import JsonObject

router = APIRouter(prefix="/v1/figures", tags=["figures"])

Reading = Annotated[Key, needs("journeys:manage", "players:read")]
_EXAMPLE: Final[JsonObject] = {
    "name": "churn_30",
    "title": "Churn, 30 days",
    "unit": "share",
    "period": "week",
    "starts": "2026-01-05",
    "split_by": "",
    "part": "",
    "currency": "",
    "value": 0.412,
    "low": 0.393,
    "high": 0.431,
    "n": 2_604,
    "of": 2_604,
    "immature": 0,
    "reason": None,
}


class FigureView(BaseModel):
    """A figure of a period. Without a value `reason` says why there is no number."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: str
    title: str
    unit: Unit = Field(description="Shares are from 0 to 1, money is minor units.")
    period: str
    starts: date = Field(description="The first day of the period, of UTC.")
    split_by: str = Field(
        description="'' for everybody; segment, journey, journey_segment, kind (of reward), manager; so_far: a week or "
        "month that is not over, for targets."
    )
    part: str
    currency: str = Field(description="'' is the currency of players' accounts, or none.")
    value: float | None
    low: float | None = Field(description="From here to `high` lies the truth, 95 times of 100.")
    high: float | None
    n: int = Field(description="Of how many players, messages, grants or tasks it is.")
    of: int | None = Field(description="Of how many it could have been.")
    immature: int = Field(description="How many are left out because their window is not over.")
    reason: str | None

    @classmethod
    def of_taken(cls, one: Taken) -> "FigureView":
        """As the API tells it."""
        return cls(title=NAMES[one.name], unit=FIGURES[one.name].unit, **vars(one))


class TargetView(BaseModel):
    """What a figure is to come to, and where it stands."""

    figure: str
    wants: str
    standing: Standing
    why: str
    value: float | None
    wanted: float | None

    @classmethod
    def of_judged(cls, one: Judged) -> "TargetView":
        """As the API tells it."""
        return cls(
            figure=one.target.figure,
            wants=one.target.words,
            standing=one.standing,
            why=one.why,
            value=one.value,
            wanted=one.wanted,
        )


class FigureList(BaseModel):
    """The figures that were taken of a day, how each went week by week, and where targets stand."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"as_of": "2026-02-15", "items": [_EXAMPLE], "course": [], "targets": []}]}
    )

    as_of: date | None = Field(description="With what was known at the end of this day, of UTC; null before the first.")
    items: list[FigureView]
    course: list[FigureView] = Field(description="For everybody, the weeks of half a year, the oldest first.")
    targets: list[TargetView]


class FigureQuery(BaseModel):
    """Which figures."""

    model_config = ConfigDict(extra="forbid")

    as_of: date | None = Field(default=None, description="With what was known then: asked again, it is the same again.")
    name: str | None = Field(default=None, max_length=64, pattern=r"^[a-z0-9_]+$", examples=["churn_30"])
    split_by: str | None = Field(default=None, max_length=64, pattern=r"^[a-z_]*$", examples=["segment"])


class ReportQuery(BaseModel):
    """Which report."""

    model_config = ConfigDict(extra="forbid")

    period: Annotated[Literal["week", "month"], Field(description="Of the newest week, or of the newest month.")] = (
        "week"
    )


@router.get("", responses=COMMON)
async def list_figures(engine: EngineOf, key: Reading, query: Annotated[FigureQuery, Query()]) -> FigureList:
    """Churn, retention, value, recommendation, rewards taken, contacts, waiting, time of managers, what journeys bring.

    They are taken once a day and stay: the same `as_of` gives the same figures for as long as they are kept. What
    cannot be said is an answer too: `value` is null, and `reason` says why. What is of a single manager is there for
    keys with the scope `tasks:lead` that are bound to no team; else `/v1/figures/managers` has it.
    """
    told = await read_report(engine.database, key.brand, engine.registry.targets, query.as_of)
    if told is None:
        return FigureList(as_of=None, items=[], course=[], targets=[])
    leads = key.may(("tasks:lead",)) and not key.teams
    taken = [one for one in told.taken if leads or one.split_by != "manager"]
    items = [one for one in taken if query.name in {None, one.name} and query.split_by in {None, one.split_by}]
    course = [one for one in told.course if query.name in {None, one.name}]
    return FigureList(
        as_of=told.as_of,
        items=[FigureView.of_taken(one) for one in items],
        course=[FigureView.of_taken(one) for one in course],
        targets=[TargetView.of_judged(one) for one in told.targets if query.name in {None, one.target.figure}],
    )


@router.get(
    "/{as_of}/report",
    response_class=Response,
    responses={
        **COMMON,
        **documented(404),
        200: {"description": "The report as a page.", "content": {"text/html": {"schema": {"type": "string"}}}},
    },
)
async def get_report(as_of: date, engine: EngineOf, key: Reading, query: Annotated[ReportQuery, Query()]) -> Response:
    """The report of a day that figures were taken of, as it is mailed: a page that stands by itself.

    Figures of a month are taken on the second day of the next.
    """
    told = await read_report(engine.database, key.brand, engine.registry.targets, as_of, period=query.period)
    if told is None or told.as_of != as_of:
        raise Problem("not-found", "No figures were taken of that day; GET /v1/figures says which was the last.")
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
    return Response(report_html(told), media_type="text/html", headers=headers)
