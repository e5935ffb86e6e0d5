"""Taking figures of the day that is over, and mailing them, as activities."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import text
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.database import Database
from activities.figures.figure_store import course_of, days_taken, figures_of, first_day, newest_day, store
from activities.figures.figure_taking import FigureTaking, House
from activities.figures.followers import close_day
from activities.figures.journey_effects import journey_effects
from activities.found_changes import list_changes
from activities.loops.maintenance import heartbeating
from activities.providers.adapter import Adapter, OutgoingMessage
from activities.settings import Settings
from content.figure_report import FigureReport, report_html, report_text
from content.templates import Catalogue
from workflows.background.take_figures import REPORT, REPORT_MONTH, TAKE
from workflows.figures.definitions import SETTLING, SO_FAR, Period, Taken, period_before, period_of
from workflows.figures.targets import Judged, Target, judge
from workflows.gate.policy_book import of_deployment
from workflows.player_state.brand_groups import BrandGroups
from workflows.source.journey_loading import Registry

logger = logging.getLogger(__name__)

#: How far back the course goes that a report shows.
COURSE: Final = {"week": timedelta(weeks=26), "month": timedelta(days=400)}
#: On which day's evening the figures of the month before are taken: late words have come by then.
MONTH_TAKEN_ON: Final = SETTLING.days
#: How far before yesterday a missed day is still taken.
LOOK_BACK: Final = timedelta(days=6)
_DAY: Final = timedelta(days=1)


class FigureReports:
    """Takes figures and tells them, by what the deployment declares."""

    def __init__(
        self, database: Database, registry: Registry, templates: Catalogue, mail: Adapter, settings: Settings
    ) -> None:
        self.database = database
        self.registry = registry
        self.mail = mail
        self.settings = settings
        policies = of_deployment(
            registry.policies,
            adults_only=settings.adults_only,
            licences=settings.brand_licences,
            groups=BrandGroups(settings.brand_groups),
        )
        self.house = House(selling_templates(templates), settings.forms_with_players, policies)

    @property
    def activities(self) -> Sequence[Callable[..., Any]]:
        """What a worker must be given."""
        return [self.take, self.report, self.report_month]

    @activity.defn(name=TAKE)
    async def take(self) -> dict[str, int]:
        """Take the figures of yesterday, and of what was missed of the week before; by brand, how many were new.

        What cannot be taken keeps nothing else from it. Then it raises, to be tried again: something may not be counted
        yet that was received on that day.
        """
        yesterday, taken, failed = (await self.database.now()).date() - _DAY, dict[str, int](), list[str]()
        async with heartbeating():
            for brand in await self.brands():
                for day in await self._missing(brand, yesterday):
                    try:
                        taken[brand] = taken.get(brand, 0) + await self.take_of(brand, day)
                    except Exception as error:
                        logger.exception("Figures of %s on %s were not taken.", brand, day)
                        failed.append(f"{brand} on {day}: {error}")
        if failed:
            raise ApplicationError(f"Figures are missing. {' '.join(failed)}", type="FiguresMissing")
        return taken

    @activity.defn(name=REPORT)
    async def report(self) -> int:
        """Mail the newest figures of each brand to those who asked for them; how many mails were taken over."""
        async with heartbeating():
            return await self._send("week")

    @activity.defn(name=REPORT_MONTH)
    async def report_month(self) -> int:
        """Mail the figures of the newest month to the same people; how many mails were taken over."""
        async with heartbeating():
            return await self._send("month")

    async def _send(self, period: Period) -> int:
        now, sent = await self.database.now(), 0
        for brand, addresses in sorted(self.settings.report_recipients.items()):
            told = await self.report_of(brand, period=period)
            for number, address in enumerate(addresses if told is not None else ()):
                assert told is not None
                await self.mail.deliver(self._mail(told, address, number), now)
                sent += 1
        return sent

    async def take_of(self, brand: str, day: date) -> int:
        """Take the figures of a brand at the end of a day; how many were new. What was taken of it before stays."""
        async with self.database.transaction() as connection:
            if not await close_day(connection, day):
                raise ApplicationError(f"What was received on {day} is still being counted.", type="StillCounting")
        async with self.database.transaction() as connection:
            taking = FigureTaking(connection, brand, day, self.house)
            taken = await taking.newest_period()
            for period in self._periods_of_targets():
                taken += await taking.so_far(period)
            if day.day == MONTH_TAKEN_ON:
                taken += await replace(taking, period="month").newest_period()
            controlled = [name for name, one in self.registry.journeys.items() if one.control and one.is_for(brand)]
            taken += await journey_effects(taking, controlled)
            return await store(connection, brand, day, taken)

    def _periods_of_targets(self) -> list[Period]:
        """The quarter, whose sums reports have, and what else a change is wanted of."""
        wanted = {one.per for one in self.registry.targets if one.change is not None}
        return sorted({"quarter", *wanted})

    async def _missing(self, brand: str, yesterday: date) -> list[date]:
        """The days to take figures of, the oldest first; of a brand that never had any that is yesterday."""
        async with self.database.reading() as connection:
            first = await first_day(connection, brand) or yesterday
            taken = await days_taken(connection, brand, yesterday - LOOK_BACK)
        days = [yesterday - back * _DAY for back in range(LOOK_BACK.days, -1, -1)]
        return [day for day in days if day >= first and day not in taken]

    async def report_of(self, brand: str, until: date | None = None, *, period: Period = "week") -> FigureReport | None:
        """What there is to tell of a brand; None where no figure was taken."""
        return await read_report(self.database, brand, self.registry.targets, until, period=period)

    async def brands(self) -> list[str]:
        """Every brand that something was counted of."""
        async with self.database.reading() as connection:
            return [*(await connection.execute(_BRANDS)).scalars()]

    def _mail(self, told: FigureReport, address: str, number: int) -> OutgoingMessage:
        return OutgoingMessage(
            key=f"report:{told.brand}:{told.as_of}:{told.key}{number}/email",
            brand=told.brand,
            brand_name=self.settings.brand_names.get(told.brand, told.brand),
            channel="email",
            message_class="service",
            to=address,
            title=told.subject,
            body=report_text(told),
            language="en",
            html=report_html(told),
        )


async def read_report(
    database: Database,
    brand: str,
    targets: Sequence[Target],
    until: date | None = None,
    *,
    period: Period = "week",
) -> FigureReport | None:
    """What there is to tell of a brand, with what was known at the end of the newest day, or the last until `until`."""
    async with database.reading() as connection:
        as_of = await newest_day(connection, brand, until, period)
        if as_of is None:
            return None
        taken = await figures_of(connection, brand, as_of)
        found = await list_changes(connection, brand, period_before(period, as_of))
        course = await course_of(connection, brand, as_of, as_of - COURSE[period], period)
    judged = [_judged(wanted, taken, as_of) for wanted in targets]
    return FigureReport(
        brand, as_of, taken, course, judged, period, [(day, one.says) for day, one in found if day <= as_of + _DAY]
    )


def _judged(wanted: Target, taken: Sequence[Taken], as_of: date) -> Judged:
    mine = [one for one in taken if one.name == wanted.figure]
    if wanted.change is None:
        newest = next((one for one in mine if one.period == "week" and not one.split_by), None)
        return judge(wanted, newest, None, as_of)
    split_by = "" if wanted.per == "quarter" else SO_FAR
    sums = {one.starts: one for one in mine if (one.period, one.split_by) == (wanted.per, split_by)}
    starts = period_of(wanted.per, as_of)
    return judge(wanted, sums.get(starts), sums.get(period_before(wanted.per, starts)), as_of)


def selling_templates(templates: Catalogue) -> tuple[str, ...]:
    """Marketing with terms carries an offer: it sells."""
    return tuple(
        name
        for name in sorted(templates.names)
        if templates[name].message_class == "marketing" and templates[name].terms
    )


# Jumps from brand to brand by the index.
_BRANDS: Final = text(
    """
    WITH RECURSIVE known AS (
        (SELECT brand FROM player_days ORDER BY brand LIMIT 1)
        UNION ALL
        SELECT (SELECT d.brand FROM player_days d WHERE d.brand > k.brand ORDER BY d.brand LIMIT 1)
        FROM known k WHERE k.brand IS NOT NULL
    )
    SELECT brand FROM known WHERE brand IS NOT NULL
    """
)
