"""Fixtures of the tests of the console: served on a port, beside a real identity provider, in a real browser."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright, expect

from local.development_people import PEOPLE, at_the_provider
from local.ports import free_port
from local.postgres import Postgres
from local.slowness import slowness
from local.stand_in_processes import identity_provider
from tests.support.console import CLIENT, PATIENCE, SECRET, Console, chromium, serving_console
from tests.support.servers import fresh_database, running

#: Somebody the provider knows and nobody here does.
STRANGER = {"sub": "stranger", "name": "Stranger", "about": "nobody", "email": "s@example.com", "email_verified": True}
#: Somebody whom a group lets in, where the deployment says so.
NEWCOMER = {
    "sub": "newcomer",
    "name": "Newcomer",
    "about": "in a group",
    "groups": ["newcomers"],
    "email": "n@example.com",
    "email_verified": True,
}
#: Somebody whose address the provider has not verified.
UNVERIFIED = {"sub": "mallory", "name": "Mallory", "about": "no proof", "email": PEOPLE[0].email}


@pytest.fixture(scope="session")
async def served_console(postgres: Postgres, session_folder: Path) -> AsyncIterator[Console]:
    """The console of this session's tests."""
    port, provider_port = free_port(), free_port()
    people = json.dumps([*json.loads(at_the_provider()), STRANGER, UNVERIFIED, NEWCOMER])
    provider = identity_provider(
        provider_port, client=CLIENT, secret=SECRET, console_url=f"http://127.0.0.1:{port}", people=people
    )
    async with (
        running(provider, session_folder),
        fresh_database(postgres) as url,
        serving_console(url, port, f"http://127.0.0.1:{provider_port}") as console,
    ):
        yield console


@pytest.fixture
async def console(served_console: Console) -> AsyncIterator[Console]:
    """The console with a brand of this test alone."""
    async with served_console.api.for_one_test() as own:
        yield Console(own, served_console.url)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A real Chromium, without a window."""
    program = chromium()
    if program is None:
        pytest.skip("No Chromium is installed here; CONTRIBUTING.md says how to install it.")
    async with async_playwright() as playwright:
        # The sandbox of Chromium does not start as root; what it opens here is ours alone.
        # Without this a page has five seconds for what is expected of it, on whatever machine.
        expect.set_options(timeout=PATIENCE * 1_000 * slowness())
        launched = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        await launched.close()
