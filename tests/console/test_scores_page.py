"""The page of scores: a person sees which model says each, how well, and why no newer one took over."""

from datetime import UTC, datetime

import pytest
from playwright.async_api import Browser, expect

from api.console.rendering import LANGUAGES
from tests.console.test_console_browser import picture
from tests.support.console import Console, window
from tests.support.kept_models import with_models


async def test_a_model_is_seen_with_its_floors_and_its_pictures(console: Console, browser: Browser) -> None:
    await with_models(console.api.engine.database, console.api.brand, datetime.now(UTC))
    at = await window(browser, await console.desk("operator"))
    page = at.page
    await at.open(f"/console/{console.api.brand}/journeys")
    await page.get_by_role("link", name="Scores", exact=True).click()
    churn = page.get_by_role("region", name="churn")
    await expect(churn.get_by_role("row", name="Ranks rightly (AUC)")).to_contain_text("at least 0.850")
    await expect(churn.get_by_role("row", name="Error of the chances (Brier)")).to_contain_text("at most 0.155")
    await expect(churn.locator("svg.plot circle")).to_have_count(10)
    await expect(churn.get_by_role("row", name="Time since the last deposit idle.days 0.31")).to_be_visible()
    await expect(churn.get_by_text("A model came of it that is not used.")).to_be_visible()
    await expect(churn.get_by_text("worse than v1: AUC 0.861, Brier 0.158").first).to_be_visible()
    await expect(churn.get_by_text("off in one after the other")).to_be_visible()
    value = page.get_by_role("region", name="value")
    await expect(value.locator("svg.plot polyline")).to_have_count(2)
    await expect(value.get_by_role("row", name="In the highest tenth")).to_contain_text("at least 80.0 %")
    vip = page.get_by_role("region", name="vip")
    await expect(vip.get_by_text("An estimate", exact=True)).to_be_visible()
    await expect(vip.get_by_text("120 rows to learn from and 41 players to judge on")).to_be_visible()
    await churn.get_by_text("Models so far").click()
    await expect(churn.get_by_role("row", name="v2")).to_contain_text("Not used")
    assert at.complaints == []
    await page.context.close()


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_page_is_for_everybody_in_each_language_and_on_a_phone(
    console: Console, browser: Browser, language: str
) -> None:
    await with_models(console.api.engine.database, console.api.brand, datetime.now(UTC))
    at = await window(browser, await console.desk("operator", locale=language))
    await at.open(f"/console/{console.api.brand}/scores")
    assert await at.faults() == []
    await picture(at.page, f"scores-{language}")
    said = await at.page.locator("main").inner_text()
    known = ("Came to", "Needed", "Learned last", "worse than", "rows to learn from")
    english = [text for text in known if text in said]
    assert bool(english) is (language == "en"), english
    await at.page.set_viewport_size({"width": 390, "height": 800})
    wide = await at.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"{wide} pixels too wide for a phone"
    assert await at.faults() == []
    await picture(at.page, f"scores-{language}-phone")
    assert at.complaints == []
    await at.page.context.close()
