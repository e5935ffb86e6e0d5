"""A casino's own page in a real browser: it fills by itself, sells once, and runs nothing that is not its own."""

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, expect

from local.ports import free_port
from local.postgres import Postgres
from local.stand_in_processes import casino_site
from tests.support.console import ROOT, RULES, serving_console
from tests.support.servers import fresh_database, running

#: Where pictures of the page are left for people to look at.
PICTURES = os.environ.get("CONSOLE_PICTURES")


@pytest.fixture(scope="module")
async def site(postgres: Postgres, session_folder: Path) -> AsyncIterator[str]:
    """The address of the page, in front of an API with a shop."""
    port, own = free_port(), free_port()
    async with (
        fresh_database(postgres) as url,
        serving_console(url, port, "http://127.0.0.1:9", journeys="tests.support.shop_journeys") as served,
    ):
        key = await served.api.key("events:write", "players:tokens")
        async with running(casino_site(own, api_url=served.url, key=key), session_folder):
            yield f"http://127.0.0.1:{own}"


async def opened(browser: Browser, site: str, player: str, *, width: int = 1280) -> tuple[Page, list[str]]:
    """The page of a player, and everything that the browser complained of."""
    page = await (await browser.new_context(viewport={"width": width, "height": 900})).new_page()
    complaints: list[str] = []

    def told(message: ConsoleMessage) -> None:
        # There is no board here, and a refused purchase is an answer.
        if message.type in {"error", "warning"} and not re.search(r"status of (404|409)", message.text):
            complaints.append(message.text)

    page.on("console", told)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(f"{site}/?player={player}")
    await expect(page.locator("#live")).to_have_text("live")
    return page, complaints


async def test_points_and_missions_fill_while_the_player_plays(browser: Browser, site: str) -> None:
    page, complaints = await opened(browser, site, "page-1")
    await expect(page.locator("#balance")).to_contain_text("No points yet")
    await page.get_by_role("button", name="Begin").click()
    await page.get_by_role("button", name="Play Book of Tests").click()
    await expect(page.locator("#balance .number")).to_have_text("200")
    await expect(page.locator("#mission")).to_contain_text("games: 1 of 3")
    await page.get_by_role("button", name="Play Seven Seas").click()
    await page.get_by_role("button", name="Play Night Owl").click()
    await page.get_by_role("button", name="Take the prize").click()
    await expect(page.locator("#balance .number")).to_have_text("800")
    await page.get_by_role("button", name="Deposit 50.00").click()
    await expect(page.locator("#tier .number")).to_have_text("bronze")
    assert complaints == []
    await page.context.close()


async def test_a_purchase_and_a_spin_are_the_players_at_once(browser: Browser, site: str) -> None:
    page, complaints = await opened(browser, site, "page-2")
    await page.get_by_role("button", name="Play Book of Tests").click()
    badge = page.locator("#items .card").filter(has_text="badge")
    await badge.get_by_role("button", name="Buy").click()
    await expect(page.locator("#badge")).to_contain_text("patron")
    await expect(badge.get_by_role("button")).to_have_text("limit reached")
    await expect(page.locator("#shop")).to_contain_text("badge: fulfilled")
    await page.get_by_role("button", name="Spin (1 left)").click()
    await expect(page.get_by_role("alert")).to_contain_text("points are yours")
    await expect(page.get_by_role("button", name="Spin (0 left)")).to_be_disabled()
    if PICTURES:
        for scheme, width in (("light", 1280), ("dark", 1280), ("light", 390)):
            await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            await page.set_viewport_size({"width": width, "height": 900})
            await page.screenshot(path=Path(PICTURES) / f"site-{scheme}-{width}.png", full_page=True)
    assert complaints == []
    await page.context.close()


async def test_the_page_is_for_everybody_and_runs_nothing_else(browser: Browser, site: str) -> None:
    page, _ = await opened(browser, site, "page-3", width=390)
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        await page.evaluate((ROOT / "node_modules/axe-core/axe.min.js").read_text())
        told = await page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in told["violations"]] == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    async with httpx.AsyncClient(base_url=site) as client:
        answer = await client.get("/")
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    await page.context.close()
