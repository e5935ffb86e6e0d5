"""Managers' own figures in the console: one's own, a team's for who leads it, and nobody else's."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Browser, expect

from activities.figures.figure_store import store
from tests.console.test_console_browser import picture
from tests.support.console import Console, Desk, window
from workflows.figures.definitions import Taken, week_of

#: The day that figures were taken of, and the first of the week they are of.
TODAY = datetime.now(UTC).date()
WEEK = week_of(TODAY - timedelta(days=7))


def of_a_week(address: str, back: int, *, known: float = 0.82, late: int = 0) -> list[Taken]:
    """What is taken of a manager with 500 players, some weeks back."""
    of = {"period": "week", "starts": WEEK - timedelta(weeks=back), "split_by": "manager", "part": address}
    return [
        Taken("hosted_players", n=500, value=500.0, **of),  # type: ignore[arg-type]  # names of `Taken`
        Taken("known_players", n=500, value=known - back / 50, low=0.7, high=0.9, **of),  # type: ignore[arg-type]
        Taken("milestones_missed", n=20, value=late / 20, low=0.0, high=0.3, **of),  # type: ignore[arg-type]
        Taken("answered_in_time", n=80, value=0.9 - back / 100, low=0.8, high=0.95, **of),  # type: ignore[arg-type]
        Taken("manager_minutes", n=80, value=1_200.0 + 30 * back, of=90, **of),  # type: ignore[arg-type]
        Taken("manager_with_players", n=80, value=0.64 - back / 50, **of),  # type: ignore[arg-type]
    ]


async def taken_of(console: Console, desks: Sequence[Desk]) -> None:
    async with console.api.engine.database.transaction() as connection:
        for back in range(8):
            week = [one for number, desk in enumerate(desks) for one in of_a_week(desk.person.email, back, late=number)]
            await store(connection, console.api.brand, TODAY - timedelta(weeks=back), week)


async def test_a_manager_reads_how_much_of_the_time_is_with_players(console: Console, browser: Browser) -> None:
    desk = await console.desk("manager")
    await taken_of(console, [desk])
    at = await window(browser, desk)
    page = at.page
    await at.open(f"/console/{console.api.brand}/work")
    await page.locator(".menu summary").click()
    await page.get_by_role("link", name="My figures").click()
    await expect(page.get_by_role("heading", name="My figures")).to_be_visible()
    with_players = page.get_by_role("row", name="Of it with players")
    await expect(with_players).to_contain_text("64.0 %")
    await expect(with_players.get_by_role("img", name="64 %", exact=True)).to_be_visible()
    # Eight weeks of it, the newest last.
    await expect(with_players.get_by_role("img").last).to_have_accessible_name("50%, 52%, 54%, 56%, 58%, 60%, 62%, 64%")
    await expect(page.get_by_role("row", name="Of them known")).to_contain_text("70.0 % to 90.0 % of 500")
    await expect(page.get_by_role("row", name="Time at tasks")).to_contain_text("20.0 h")
    await expect(page.get_by_role("heading", name="My teams")).to_have_count(0)
    assert at.complaints == []
    await page.context.close()


async def test_who_leads_a_team_goes_from_it_to_each_of_its_people(console: Console, browser: Browser) -> None:
    head, olena = await console.desk("head", name="Mira"), await console.desk("manager")
    ivan, other = await console.desk("manager", name="Ivan"), await console.desk("manager", name="Kim", teams=["aml"])
    await taken_of(console, [olena, ivan, other])
    at = await window(browser, head)
    page = at.page
    await at.open(f"/console/{console.api.brand}/managers")
    await expect(page.get_by_text("Nothing happened in the week")).to_be_visible()
    team = page.get_by_role("region", name="My teams")
    await expect(team.get_by_role("row", name="Ivan")).to_contain_text("5.0 %")
    # 0 of 20 and 1 of 20.
    await expect(team.get_by_role("row", name="Together")).to_contain_text("2.5 %")
    await expect(team.get_by_text("1,000")).to_be_visible()
    await expect(team.get_by_text("Kim")).to_have_count(0)
    await team.get_by_role("link", name="Ivan").click()
    await expect(page.get_by_role("heading", name="Figures of Ivan")).to_be_visible()
    await expect(page.get_by_role("row", name="Answered in time").first).to_contain_text("90.0 %")
    assert at.complaints == []
    await page.context.close()


@pytest.mark.parametrize("language", ["en", "uk", "ru"])
async def test_the_page_is_for_everybody_by_day_and_night_and_on_a_phone(
    console: Console, browser: Browser, language: str
) -> None:
    head, olena = await console.desk("head", name="Mira", locale=language), await console.desk("manager")
    await taken_of(console, [head, olena])
    at = await window(browser, head)
    await at.open(f"/console/{console.api.brand}/managers")
    assert await at.faults() == []
    await picture(at.page, f"managers-{language}")
    await at.page.set_viewport_size({"width": 390, "height": 800})
    wide = await at.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"{wide} pixels too wide for a phone"
    assert await at.faults() == []
    await picture(at.page, f"managers-{language}-phone")
    assert at.complaints == []
    await at.page.context.close()


async def test_the_figures_of_somebody_one_does_not_lead_are_not_there(console: Console) -> None:
    olena, ivan = await console.desk("manager"), await console.desk("manager", name="Ivan")
    kim = await console.desk("manager", name="Kim", teams=["aml"])
    head = await console.desk("head", name="Mira")
    await taken_of(console, [olena, ivan, kim])

    async def seen(desk: Desk, of: Desk) -> int:
        return (await desk.get(f"/console/{console.api.brand}/managers?person={of.person.id}")).status_code

    assert [await seen(olena, of) for of in (olena, ivan, kim)] == [200, 404, 404]
    assert [await seen(head, of) for of in (head, olena, ivan, kim)] == [200, 200, 200, 404]


async def test_before_the_first_night_the_page_says_that_nothing_was_taken(console: Console) -> None:
    page = await (await console.desk("manager")).get(f"/console/{console.api.brand}/managers")
    assert "No figures were taken yet. They are taken every night." in page.text
