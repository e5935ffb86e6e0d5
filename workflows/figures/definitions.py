"""What each figure is: its unit, its window, and from how many players on it is a number."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

Unit = Literal["share", "count", "money", "score", "minutes", "seconds", "days"]
Period = Literal["week", "month", "quarter"]
#: What sums of a week or month that is not over yet are split by, for targets: they are no figures of it.
SO_FAR: Final = "so_far"
#: How long after a window is over a figure of it is taken: late words have come by then.
SETTLING: Final = timedelta(days=2)


@dataclass(frozen=True)
class FigureDefinition:
    """A figure by its name."""

    name: str
    unit: Unit
    #: What it says, in a sentence for people.
    says: str
    #: Days after the end of its period that it looks at.
    window: int = 0
    #: Players, messages or grants below which it is no number.
    least: int = 0
    #: Whether less is better.
    less_is_better: bool = False

    def mature_on(self, starts: date, ends: date) -> date:
        """The first day on whose evening the figure of a period can be taken."""
        return (starts if self.name.startswith("churn") else ends) + timedelta(days=self.window) + SETTLING


_COHORT: Final = 100
_ALL: Final = (
    FigureDefinition("registered", "count", "Players who registered."),
    FigureDefinition("active_players", "count", "Players who logged in, played, bet or deposited."),
    FigureDefinition("first_depositors", "count", "Players who deposited for the first time."),
    FigureDefinition("deposited", "money", "What players deposited."),
    FigureDefinition(
        "ngr",
        "money",
        "Net gaming revenue: stakes less wins of real money, bets less payouts, less bonus cost, fees and reversals.",
    ),
    FigureDefinition("harm_signals", "count", "Signs of harm that were told.", less_is_better=True),
    FigureDefinition(
        "churn_30",
        "share",
        "Of players who deposited in the 30 days before the week: those who did not in the 30 days from then on.",
        window=30,
        least=_COHORT,
        less_is_better=True,
    ),
    *(
        FigureDefinition(
            f"retention_d{day}",
            "share",
            f"Of players who registered in the week: those who came on day {day} after that.",
            window=day + 1,
            least=_COHORT,
        )
        for day in (1, 7, 30)
    ),
    *(
        FigureDefinition(
            f"repeat_deposit_{day}",
            "share",
            f"Of players who deposited for the first time in the week: those who did again within {day} days.",
            window=day + 1,
            least=_COHORT,
        )
        for day in (7, 30)
    ),
    FigureDefinition(
        "clv_90",
        "money",
        "Net gaming revenue a player in the 90 days from registration, of players who registered in the week.",
        window=90,
        least=_COHORT,
    ),
    FigureDefinition(
        "deposits_90",
        "money",
        "Deposits a player in the 90 days from registration, of players who registered in the week.",
        window=90,
        least=_COHORT,
    ),
    FigureDefinition(
        "nps", "score", "Promoters less detractors of 100 who answered, each with their newest answer.", least=50
    ),
    FigureDefinition(
        "redemption", "share", "Of rewards granted in the week that are over: those that were taken.", least=30
    ),
    FigureDefinition("active_days_7", "days", "Days on which a player who came in the week came.", least=1),
    FigureDefinition(
        "stickiness", "share", "Players a day of those who came in the 30 days until the week's end.", least=1
    ),
    FigureDefinition("non_selling", "share", "Of contacts in the week: those that sell nothing.", least=1),
    *(
        FigureDefinition(
            f"recognition_p{part}",
            "seconds",
            f"From what happened to our first word or reward: {part} of 100 players waited no longer.",
            least=30,
            less_is_better=True,
        )
        for part in (50, 95, 99)
    ),
    FigureDefinition("manager_minutes", "minutes", "Time of people at tasks they answered in the week."),
    FigureDefinition(
        "manager_with_players", "share", "Of that time: with players, and not with tables and papers.", least=1
    ),
    FigureDefinition(
        "answered_in_time", "share", "Of tasks that were due in the week: those answered by then.", least=1
    ),
    FigureDefinition("hosted_players", "count", "Players whom somebody looks after."),
    FigureDefinition("known_players", "share", "Of them: those of whom anything is noted.", least=1),
    FigureDefinition(
        "milestones_missed",
        "share",
        "Of birthdays, anniversaries and new tiers that asked for a greeting: those it did not reach in time.",
        least=1,
        less_is_better=True,
    ),
    FigureDefinition(
        "goal_difference",
        "share",
        "Treated players of a journey who reached its goal less those of its control group, each in their first entry.",
        window=30,
    ),
    FigureDefinition(
        "goal_by_segment",
        "share",
        "The same in a segment that players were in when they entered, where it is shown to differ from the others.",
        window=30,
    ),
    FigureDefinition(
        "goal_by_kind",
        "share",
        "The same of journeys that give one kind of reward and no other, on average of their treated players.",
        window=30,
    ),
    FigureDefinition(
        "incremental_ngr",
        "money",
        "What a journey brought in 30 days: the difference of its arms a player, for all who were treated.",
        window=30,
    ),
    FigureDefinition(
        "cost_per_incremental",
        "money",
        "What one player cost who reached the goal because of the journey.",
        window=30,
        less_is_better=True,
    ),
)
#: Every figure by its name, in the order in which people read them.
FIGURES: Final[Mapping[str, FigureDefinition]] = {one.name: one for one in _ALL}


@dataclass(frozen=True)
class Taken:
    """A figure as it was taken; without a value the reason says why there is none.

    `n` is of how many it is, `of` of how many more that could have been, `immature` how many wait for their window.
    """

    name: str
    period: Period
    starts: date
    n: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    of: int | None = None
    immature: int = 0
    reason: str | None = None
    split_by: str = ""
    part: str = ""
    currency: str = ""


def none_because(
    figure: FigureDefinition, period: Period, starts: date, reason: str, n: int = 0, **more: object
) -> Taken:
    """No number, and why."""
    return Taken(figure.name, period, starts, n, reason=reason, **more)  # type: ignore[arg-type]  # names of `Taken`


def too_few(figure: FigureDefinition, n: int) -> str | None:
    """Why so few make no number; None when they are enough."""
    return None if n >= max(1, figure.least) else f"{n} where at least {max(1, figure.least)} are needed"


def week_of(day: date) -> date:
    """The Monday of the week."""
    return day - timedelta(days=day.weekday())


def month_of(day: date) -> date:
    """The first day of the month."""
    return day.replace(day=1)


def period_of(period: Period, day: date) -> date:
    """The first day of the week, month or quarter that a day is in."""
    return {"week": week_of, "month": month_of, "quarter": quarter_of}[period](day)


def period_before(period: Period, starts: date) -> date:
    """The first day of the period before one."""
    return period_of(period, starts - timedelta(days=1))


def quarter_of(day: date) -> date:
    """The first day of the quarter."""
    return date(day.year, 3 * ((day.month - 1) // 3) + 1, 1)


def period_end(period: Period, starts: date) -> date:
    """The day after the last one of a period."""
    match period:
        case "week":
            return starts + timedelta(days=7)
        case "month":
            return date(starts.year + starts.month // 12, starts.month % 12 + 1, 1)
        case "quarter":
            return quarter_of(starts + timedelta(days=100))
