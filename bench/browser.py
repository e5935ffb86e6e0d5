"""What a person waits for in a real browser: a first page on a slow machine, and the next task after an answer."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from playwright.async_api import Page, async_playwright

from bench.measuring import Figures, percentile, say

#: How much slower than this machine's the processor is that opens a first page.
SLOWER: Final = 4
#: Milliseconds from the beginning of a page until its scripts listen: modules run before this event ends.
_LISTENS: Final = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
#: Remembers when an answer was sent, over the change of the page.
_REMEMBERS: Final = """
addEventListener("keydown", (event) => {
  if (event.ctrlKey && event.code === "Enter") sessionStorage.setItem("answered", Date.now());
}, true);
"""
_SINCE_ANSWER: Final = f"performance.timeOrigin + {_LISTENS} - Number(sessionStorage.getItem('answered'))"


async def cold(url: str, brand: str, cookie: dict[str, str], times: int) -> Figures:
    """Milliseconds until an inbox that nobody opened before listens, on a processor four times slower; p50 of some."""
    took = []
    for _ in range(times):
        async with opened(url, cookie) as page:
            if page is None:
                return {}
            throttle = await page.context.new_cdp_session(page)
            await throttle.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
            await page.goto(f"{url}/console/{brand}/inbox?tab=team")
            took.append(await page.evaluate(_LISTENS))
    return {"console_cold_ms": round(percentile(took, 0.5))}


async def answering(url: str, brand: str, cookie: dict[str, str], answers: int) -> Figures:
    """Milliseconds from the key that answers a task until the next one listens, p95."""
    async with opened(url, cookie) as page:
        if page is None:
            return {}
        await page.add_init_script(_REMEMBERS)
        await page.goto(f"{url}/console/{brand}/inbox?tab=team")
        await page.locator("[data-row]").first.click()
        took = []
        for _ in range(answers):
            await page.locator("html[data-settled] [data-outcome]").wait_for()
            await page.keyboard.press("1")
            async with page.expect_event("domcontentloaded"):
                await page.keyboard.press("Control+Enter")
            await page.locator("html[data-settled]").wait_for()
            took.append(await page.evaluate(_SINCE_ANSWER))
    return {"console_next_p95_ms": round(percentile(took, 0.95))}


@asynccontextmanager
async def opened(url: str, cookie: dict[str, str]) -> AsyncIterator[Page | None]:
    """A page of a browser that knows nothing yet, signed in; None where no browser is installed."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        say("No Chromium is installed, so what a person waits for in a browser is left out.")
        yield None
        return
    async with async_playwright() as playwright:
        # The sandbox of Chromium does not start as root; what it opens here is ours alone.
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            context = await browser.new_context(viewport={"width": 1280, "height": 800})
            name, _, value = cookie["Cookie"].partition("=")
            secure = url.replace("http:", "https:")
            await context.add_cookies([{"name": name, "value": value, "url": secure, "secure": True, "httpOnly": True}])
            yield await context.new_page()
        finally:
            await browser.close()
