"""Taking figures: of a brand, at the end of a day, from what is counted; stored once and never changed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import Row, TextClause
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.figures import figure_queries as queries
from learning.differences import (
    Conversion,
    Moments,
    NoNumber,
    mean_interval,
    nps_interval,
    share_interval,
)
from workflows.figures.definitions import (
    FIGURES,
    FigureDefinition,
    Period,
    Taken,
    none_because,
    period_end,
    quarter_before,
    quarter_of,
    too_few,
    week_of,
)
from workflows.gate.policy_book import PolicyBook

#: Runs that recognition is measured on.
SAMPLE: Final = 20_000
#: Forms that are asked on a milestone of a player.
GREETINGS: Final = ("GreetingCall", "PersonalNote")
_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=7)


@dataclass(frozen=True)
class House:
    """What figures must know of a deployment besides what is counted."""

    #: Templates that sell something.
    selling: tuple[str, ...]
    #: Forms whose task is time with a player.
    with_players: tuple[str, ...]
    #: What says who is in a brand's holdout.
    policies: PolicyBook = field(default_factory=PolicyBook)


@dataclass(frozen=True)
class FigureTaking:
    """Taking the figures of one brand at the end of a day."""

    connection: AsyncConnection
    brand: str
    as_of: date
    house: House

    async def weekly(self) -> list[Taken]:
        """The figures of the newest week that is over, and of the newest of which each is mature."""
        week = week_of(self.as_of + _DAY) - _WEEK
        taken = [*await self.sums("week", week), *await self.visits(week), *await self.answers(week)]
        taken += [*await self.contacts(week), *await self.recognition(week), *await self.tasks(week)]
        taken += await self.share("churn_30", queries.CHURN)
        for day in (1, 7, 30):
            taken += await self.share(f"retention_d{day}", queries.RETENTION, later=day)
        for day in (7, 30):
            taken += await self.share(f"repeat_deposit_{day}", queries.REPEAT_DEPOSITS, later=day)
        return [*taken, *await self.values(), *await self.redemption()]

    async def quarterly(self) -> list[Taken]:
        """The sums of this quarter so far and of the one before, which targets are judged by."""
        quarter = quarter_of(self.as_of)
        return [*await self.sums("quarter", quarter_before(quarter)), *await self.sums("quarter", quarter)]

    async def ask(self, query: TextClause, starts: date, ends: date, **more: object) -> Sequence[Row[Any]]:
        """The rows of a question about a period."""
        given = {"brand": self.brand, "since": starts, "until": ends, "as_of": self.as_of, **more}
        return (await self.connection.execute(query, given)).all()

    def newest(self, figure: FigureDefinition) -> date:
        """The Monday of the newest week of which a figure is mature."""
        week = week_of(self.as_of)
        while figure.mature_on(week, week + _WEEK) > self.as_of + _DAY:
            week -= _WEEK
        return week

    async def sums(self, period: Period, starts: date) -> list[Taken]:
        """What adds up over a period, by segment and, of money, by currency."""
        ends = min(period_end(period, starts), self.as_of + _DAY)
        rows = await self.ask(queries.SUMS, starts, ends)
        (first,) = await self.ask(queries.FIRST_DEPOSITORS, starts, ends)
        parts = sorted({(row.split_by, row.part) for row in rows} | {("", "")})
        taken = [_count("first_depositors", period, starts, first.players)]
        for split_by, part in parts:
            mine = [row for row in rows if (row.split_by, row.part) == (split_by, part)]
            counts = [
                _count(name, period, starts, sum(getattr(row, name) for row in mine))
                for name in ("registered", "harm_signals")
            ]
            money = [one for row in mine for one in _money(row, period, starts)]
            taken += [replace(one, split_by=split_by, part=part) for one in (*counts, *money)]
        return taken

    async def visits(self, week: date) -> list[Taken]:
        """How many came, on how many days, and how many a day of those of the month."""
        (row,) = await self.ask(queries.VISITS, week, week + _WEEK)
        taken = [_count("active_players", "week", week, row.players)]
        for name, over, under in (
            ("active_days_7", row.days, row.players),
            ("stickiness", row.days / 7, row.monthly),
        ):
            reason = too_few(FIGURES[name], under)
            value = None if reason else over / under
            taken.append(Taken(name, "week", week, under, value, reason=reason))
        return taken

    async def share(self, name: str, query: TextClause, **more: object) -> list[Taken]:
        """A share of players, each part with its interval."""
        figure = FIGURES[name]
        week = self.newest(figure)
        rows = await self.ask(query, week, week + _WEEK, **more)
        taken = []
        for row in rows:
            split_by, part = getattr(row, "split_by", ""), getattr(row, "part", "")
            taken.append(replace(_share(figure, week, row.hits, row.players), split_by=split_by, part=part))
        return taken or [none_because(figure, "week", week, "nobody is of whom it could be")]

    async def values(self) -> list[Taken]:
        """What a new player brings in 90 days: deposits, and net gaming revenue where every part of it is known."""
        figure = FIGURES["clv_90"]
        week = self.newest(figure)
        found = await self.ask(queries.COHORT_MONEY, week, week + _WEEK, later=figure.window)
        rows = [row for row in found if row.deposited or row.ngr]
        (given,) = await self.ask(queries.GRANTED, week, week + _WEEK + timedelta(days=figure.window))
        taken = []
        for row in rows:
            for name, total, squares in (
                ("deposits_90", row.deposited, row.deposited_squares),
                ("clv_90", row.ngr, row.ngr_squares),
            ):
                why = too_few(FIGURES[name], row.players)
                if name == "clv_90" and why is None:
                    why = missing_part(games=row.games, granted=given.grants, ended=row.reward_ends)
                one = Taken(name, "week", week, row.players, reason=why, currency=row.currency)
                taken.append(one if why else _with_mean(one, float(total), float(squares)))
        if not rows:
            why = "nobody who registered moved money"
            taken = [none_because(FIGURES[name], "week", week, why) for name in ("deposits_90", "clv_90")]
        return taken

    async def answers(self, week: date) -> list[Taken]:
        """The Net Promoter Score of the newest answers."""
        (row,) = await self.ask(queries.NPS, week, week + _WEEK)
        score = nps_interval(row.promoters, row.detractors, row.answers)
        if isinstance(score, NoNumber):
            return [none_because(FIGURES["nps"], "week", week, score.reason, row.answers)]
        low, high = score.interval.low, score.interval.high
        return [Taken("nps", "week", week, row.answers, score.estimate, low, high)]

    async def redemption(self) -> list[Taken]:
        """Of rewards that are over: how many were taken; by kind and by journey. Four weeks old, so most are over."""
        week = week_of(self.as_of + _DAY) - 5 * _WEEK
        figure, taken = FIGURES["redemption"], []
        for row in await self.ask(queries.REDEMPTION, week, week + _WEEK):
            immature = row.given - row.over - row.unknown
            one = _share(figure, week, row.taken, row.over)
            if one.reason and row.unknown:
                one = replace(one, reason=f"of {row.unknown} rewards nobody told until when they can be taken")
            taken.append(replace(one, of=row.given, immature=immature, split_by=row.split_by, part=row.part))
        return taken or [none_because(figure, "week", week, "nothing was granted")]

    async def contacts(self, week: date) -> list[Taken]:
        """The share of contacts that sell nothing; by journey."""
        figure = FIGURES["non_selling"]
        rows = await self.ask(queries.CONTACTS, week, week + _WEEK, selling=[*self.house.selling])
        return [
            replace(_share(figure, week, row.plain, row.contacts), split_by=row.split_by, part=row.part) for row in rows
        ]

    async def recognition(self, week: date) -> list[Taken]:
        """How long players waited for a first word or reward."""
        (row,) = await self.ask(queries.RECOGNITION, week, week + _WEEK, sample=SAMPLE)
        taken = []
        for number, part in enumerate((50, 95, 99)):
            figure = FIGURES[f"recognition_p{part}"]
            reason = too_few(figure, row.runs)
            value = None if reason else float(row.parts[number])
            taken.append(Taken(figure.name, "week", week, row.runs, value, reason=reason))
        return taken

    async def tasks(self, week: date) -> list[Taken]:
        """How long people were at tasks, how much of it with players, and what was answered in time."""
        taken = []
        rows = await self.ask(queries.TASK_TIME, week, week + _WEEK, with_players=[*self.house.with_players])
        for row in rows:
            where = {"split_by": row.split_by, "part": row.part}
            minutes = float(row.minutes)
            taken.append(Taken("manager_minutes", "week", week, row.timed, minutes, of=row.tasks, **where))
            why = None if minutes else "nobody claimed a task before answering it, so no time is known"
            value = None if why else float(row.with_players) / minutes
            taken.append(Taken("manager_with_players", "week", week, row.timed, value, reason=why, **where))
        for due in await self.ask(queries.DUE_TASKS, week, week + _WEEK):
            one = _share(FIGURES["answered_in_time"], week, due.in_time, due.due)
            taken.append(replace(one, split_by=due.split_by, part=due.part))
        return [*taken, *await self.portfolios(week)]

    async def portfolios(self, week: date) -> list[Taken]:
        """By the address of each manager: their players, how many are known, and milestones that were missed."""
        taken = []
        for row in await self.ask(queries.PORTFOLIOS, week, week + _WEEK, greetings=[*GREETINGS]):
            mine = [
                _count("hosted_players", "week", week, row.players),
                _share(FIGURES["known_players"], week, row.known, row.players),
                _share(FIGURES["milestones_missed"], week, row.missed, row.greetings),
            ]
            taken += [replace(one, split_by="manager", part=row.address) for one in mine]
        return taken


def missing_part(*, games: int, granted: int, ended: int) -> str | None:
    """Which part of net gaming revenue nobody tells; None when all are there. Without it the figure is a wrong one."""
    if not games:
        return "no rounds or bets are told, so nobody knows what was won and lost; deposits stand beside"
    if granted and not ended:
        return f"{granted} rewards were granted and the end of none was told, so bonuses would cost nothing"
    return None


def _count(name: str, period: Period, starts: date, number: int) -> Taken:
    return Taken(name, period, starts, int(number), float(number))


def _money(row: Row[Any], period: Period, starts: date) -> list[Taken]:
    deposited = Taken("deposited", period, starts, 0, float(row.deposited), currency=row.currency)
    why = missing_part(games=row.rounds + row.bets, granted=0, ended=0)
    ngr = Taken("ngr", period, starts, 0, None if why else float(row.ngr), reason=why, currency=row.currency)
    return [one for one, told in ((deposited, row.deposited), (ngr, row.ngr)) if told]


def _share(figure: FigureDefinition, week: date, hits: int, players: int) -> Taken:
    if (reason := too_few(figure, players)) is not None:
        return none_because(figure, "week", week, reason, players)
    share = Conversion(hits, players)
    interval = share_interval(share)
    return Taken(figure.name, "week", week, players, share.value, interval.low, interval.high, of=players)


def _with_mean(one: Taken, total: float, squares: float) -> Taken:
    mean = total / one.n
    variance = max(0.0, squares - one.n * mean * mean) / max(1, one.n - 1)
    interval = mean_interval(Moments(one.n, mean, variance))
    if isinstance(interval, NoNumber):
        return replace(one, reason=interval.reason)
    return replace(one, value=mean, low=interval.low, high=interval.high)
