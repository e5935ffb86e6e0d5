"""Targets are judged by the sums of their own period, which make no figures of one that is not over."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import insert

from activities.figures.figure_store import newest_day
from activities.loops.figure_reports import MONTH_TAKEN_ON, FigureReports
from activities.providers.email import EmailAdapter
from activities.settings import Settings
from activities.tables import player_days
from content.templates import Catalogue
from tests.support.engine import BRAND, connected, execute
from workflows.figures.definitions import Period, period_of, week_of
from workflows.figures.targets import target
from workflows.source.journey_loading import Registry

DAY = timedelta(days=1)
YESTERDAY = datetime.now(UTC).date() - DAY
PERIODS: tuple[Period, ...] = ("week", "month", "quarter")


async def test_a_target_counts_by_its_own_period_and_makes_no_figure_of_one_that_is_not_over(
    postgres_url: str,
) -> None:
    """Ten registered in one week and twelve in the next: a fifth more, by the week and by nothing longer."""
    monday = week_of(YESTERDAY - timedelta(weeks=10))
    thursday, came = monday + 10 * DAY, {monday: 10, monday + 7 * DAY: 12}
    given = [
        {"brand": BRAND, "player_id": f"p-{day}-{n}", "day": day, "currency": "", "known_on": day, "registered": 1}
        for day, players in came.items()
        for n in range(players)
    ]
    async with connected(postgres_url) as database:
        followed = "INSERT INTO followers (name, as_of) VALUES ('events', :at), ('rewards', :at)"
        await execute(database, followed, at=datetime.now(UTC) + DAY)
        async with database.transaction() as connection:
            await connection.execute(insert(player_days), given)
        registry = Registry({}, (), {}, targets=tuple(target("registered", +20, per=period) for period in PERIODS))
        mail = EmailAdapter("smtp://127.0.0.1:9", sender="casino@example.com")
        reports = FigureReports(database, registry, Catalogue({}, {}, {}), mail, Settings(database_url=postgres_url))
        await reports.take_of(BRAND, thursday)
        told = await reports.report_of(BRAND, thursday)
        async with database.reading() as connection:
            of_month = await newest_day(connection, BRAND, thursday, "month")
    assert told is not None
    assert [one.value for one in told.targets] == [
        sum(players for day, players in came.items() if day >= period_of(period, thursday)) for period in PERIODS
    ]
    assert (told.targets[0].standing, told.targets[0].wanted) == ("reached", 12.0)
    whole = [one for one in told.taken if (one.name, one.period, one.split_by) == ("registered", "week", "")]
    assert [one.starts for one in whole] == [monday]
    assert of_month == (thursday if thursday.day == MONTH_TAKEN_ON else None)
