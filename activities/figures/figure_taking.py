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
    SO_FAR,
    FigureDefinition,
    Period,
    Taken,
    none_because,
    period_before,
    period_end,
    period_of,
    too_few,
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
    #: Of which periods: the figures of a month stand by themselves, and are no mean of those of its weeks.
    period: Period = "week"

    async def newest_period(self) -> list[Taken]:
        """The figures of the newest period that is over, and of the newest of which each is mature."""
        newest = period_before(self.period, period_of(self.period, self.as_of + _DAY))
        taken = [*await self.sums(self.period, newest), *await self.visits(newest), *await self.answers(newest)]
        taken += [*await self.contacts(newest), *await self.recognition(newest), *await self.tasks(newest)]
        taken += await self.share("churn_30", queries.CHURN)
        for day in (1, 7, 30):
            taken += await self.share(f"retention_d{day}", queries.RETENTION, later=day)
        for day in (7, 30):
            taken += await self.share(f"repeat_deposit_{day}", queries.REPEAT_DEPOSITS, later=day)
        return [*taken, *await self.values(), *await self.redemption()]

    async def so_far(self, period: Period) -> list[Taken]:
        """The sums of this period so far and of the one before, which targets are judged by.

        Those of a week or a month are marked as such: figures of these are taken when they are over.
        """
        starts = period_of(period, self.as_of)
        sums = [*await self.sums(period, period_before(period, starts)), *await self.sums(period, starts)]
        return sums if period == "quarter" else [replace(one, split_by=SO_FAR) for one in sums if not one.split_by]

    async def ask(self, query: TextClause, starts: date, ends: date, **more: object) -> Sequence[Row[Any]]:
        """The rows of a question about a period."""
        given = {"brand": self.brand, "since": starts, "until": ends, "as_of": self.as_of, **more}
        return (await self.connection.execute(query, given)).all()

    def newest(self, figure: FigureDefinition) -> date:
        """The first day of the newest period of which a figure is mature."""
        starts = period_of(self.period, self.as_of)
        while figure.mature_on(starts, self.ends(starts)) > self.as_of + _DAY:
            starts = period_before(self.period, starts)
        return starts

    def ends(self, starts: date) -> date:
        """The day after the last one of a period that starts then."""
        return period_end(self.period, starts)

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

    async def visits(self, starts: date) -> list[Taken]:
        """How many came, of a week on how many days, and how many a day of those of the 30 days until its end."""
        (row,) = await self.ask(queries.VISITS, starts, self.ends(starts))
        taken = [_count("active_players", self.period, starts, row.players)]
        of_week = [("active_days_7", row.days, row.players)] if self.period == "week" else []
        days = (self.ends(starts) - starts).days
        for name, over, under in (*of_week, ("stickiness", row.days / days, row.monthly)):
            reason = too_few(FIGURES[name], under)
            value = None if reason else over / under
            taken.append(Taken(name, self.period, starts, under, value, reason=reason))
        return taken

    async def share(self, name: str, query: TextClause, **more: object) -> list[Taken]:
        """A share of players, each part with its interval."""
        figure = FIGURES[name]
        starts = self.newest(figure)
        rows = await self.ask(query, starts, self.ends(starts), **more)
        taken = []
        for row in rows:
            split_by, part = getattr(row, "split_by", ""), getattr(row, "part", "")
            taken.append(replace(self._share(figure, starts, row.hits, row.players), split_by=split_by, part=part))
        return taken or [none_because(figure, self.period, starts, "nobody is of whom it could be")]

    async def values(self) -> list[Taken]:
        """What a new player brings in 90 days: deposits, and net gaming revenue where every part of it is known."""
        figure = FIGURES["clv_90"]
        starts = self.newest(figure)
        found = await self.ask(queries.COHORT_MONEY, starts, self.ends(starts), later=figure.window)
        rows = [row for row in found if row.deposited or row.ngr]
        (given,) = await self.ask(queries.GRANTED, starts, self.ends(starts) + timedelta(days=figure.window))
        taken = []
        for row in rows:
            for name, total, squares in (
                ("deposits_90", row.deposited, row.deposited_squares),
                ("clv_90", row.ngr, row.ngr_squares),
            ):
                why = too_few(FIGURES[name], row.players)
                if name == "clv_90" and why is None:
                    why = missing_part(games=row.games, granted=given.grants, ended=row.reward_ends)
                one = Taken(name, self.period, starts, row.players, reason=why, currency=row.currency)
                taken.append(one if why else _with_mean(one, float(total), float(squares)))
        if not rows:
            why = "nobody who registered moved money"
            taken = [none_because(FIGURES[name], self.period, starts, why) for name in ("deposits_90", "clv_90")]
        return taken

    async def answers(self, starts: date) -> list[Taken]:
        """The Net Promoter Score of the newest answers."""
        (row,) = await self.ask(queries.NPS, starts, self.ends(starts))
        score = nps_interval(row.promoters, row.detractors, row.answers)
        if isinstance(score, NoNumber):
            return [none_because(FIGURES["nps"], self.period, starts, score.reason, row.answers)]
        low, high = score.interval.low, score.interval.high
        return [Taken("nps", self.period, starts, row.answers, score.estimate, low, high)]

    async def redemption(self) -> list[Taken]:
        """Of rewards that are over: how many were taken; by kind and by journey. Some weeks old, so most are over."""
        starts = period_of(self.period, self.as_of + _DAY - 5 * _WEEK)
        figure, taken = FIGURES["redemption"], []
        for row in await self.ask(queries.REDEMPTION, starts, self.ends(starts)):
            immature = row.given - row.over - row.unknown
            one = self._share(figure, starts, row.taken, row.over)
            if one.reason and row.unknown:
                one = replace(one, reason=f"of {row.unknown} rewards nobody told until when they can be taken")
            taken.append(replace(one, of=row.given, immature=immature, split_by=row.split_by, part=row.part))
        return taken or [none_because(figure, self.period, starts, "nothing was granted")]

    async def contacts(self, starts: date) -> list[Taken]:
        """The share of contacts that sell nothing; by journey."""
        figure = FIGURES["non_selling"]
        rows = await self.ask(queries.CONTACTS, starts, self.ends(starts), selling=[*self.house.selling])
        return [
            replace(self._share(figure, starts, row.plain, row.contacts), split_by=row.split_by, part=row.part)
            for row in rows
        ]

    async def recognition(self, starts: date) -> list[Taken]:
        """How long players waited for a first word or reward."""
        (row,) = await self.ask(queries.RECOGNITION, starts, self.ends(starts), sample=SAMPLE)
        taken = []
        for number, part in enumerate((50, 95, 99)):
            figure = FIGURES[f"recognition_p{part}"]
            reason = too_few(figure, row.runs)
            value = None if reason else float(row.parts[number])
            taken.append(Taken(figure.name, self.period, starts, row.runs, value, reason=reason))
        return taken

    async def tasks(self, starts: date) -> list[Taken]:
        """How long people were at tasks, how much of it with players, and what was answered in time."""
        taken = []
        rows = await self.ask(queries.TASK_TIME, starts, self.ends(starts), with_players=[*self.house.with_players])
        for row in rows:
            where = {"split_by": row.split_by, "part": row.part}
            minutes = float(row.minutes)
            taken.append(Taken("manager_minutes", self.period, starts, row.timed, minutes, of=row.tasks, **where))
            why = None if minutes else "nobody claimed a task before answering it, so no time is known"
            value = None if why else float(row.with_players) / minutes
            taken.append(Taken("manager_with_players", self.period, starts, row.timed, value, reason=why, **where))
        for due in await self.ask(queries.DUE_TASKS, starts, self.ends(starts)):
            one = self._share(FIGURES["answered_in_time"], starts, due.in_time, due.due)
            taken.append(replace(one, split_by=due.split_by, part=due.part))
        return [*taken, *await self.portfolios(starts)]

    async def portfolios(self, starts: date) -> list[Taken]:
        """By the address of each manager: their players, how many are known, and milestones that were missed."""
        taken = []
        for row in await self.ask(queries.PORTFOLIOS, starts, self.ends(starts), greetings=[*GREETINGS]):
            mine = [
                _count("hosted_players", self.period, starts, row.players),
                self._share(FIGURES["known_players"], starts, row.known, row.players),
                self._share(FIGURES["milestones_missed"], starts, row.missed, row.greetings),
            ]
            taken += [replace(one, split_by="manager", part=row.address) for one in mine]
        return taken

    def _share(self, figure: FigureDefinition, starts: date, hits: int, players: int) -> Taken:
        if (reason := too_few(figure, players)) is not None:
            return none_because(figure, self.period, starts, reason, players)
        share = Conversion(hits, players)
        interval = share_interval(share)
        return Taken(figure.name, self.period, starts, players, share.value, interval.low, interval.high, of=players)


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


def _with_mean(one: Taken, total: float, squares: float) -> Taken:
    mean = total / one.n
    variance = max(0.0, squares - one.n * mean * mean) / max(1, one.n - 1)
    interval = mean_interval(Moments(one.n, mean, variance))
    if isinstance(interval, NoNumber):
        return replace(one, reason=interval.reason)
    return replace(one, value=mean, low=interval.low, high=interval.high)
