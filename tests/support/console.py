"""The console served on a port, its people, and a real browser, for the tests of its pages."""

import asyncio
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import uvicorn
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Response
from sqlalchemy import event

from activities.actors import Actor
from activities.console_sessions import begin_session
from activities.people import Person, add_person, give
from activities.settings import GroupGrant, Settings
from activities.task_effects import TaskEffects
from api.app import create_app
from api.console.visitor import SESSION_COOKIE, csrf_of
from cli.processes import drawn
from local.slowness import slowness
from tests.support.api_client import LINK_SECRET, Api
from tests.support.api_journeys import Affordability
from tests.support.machine import eventually
from workflows.effects import OpenTask
from workflows.events import DepositFailed, PlayerRegistered
from workflows.player_facts import PlayerFacts

CLIENT = "console"
SECRET = secrets.token_urlsafe(24)
#: The brand that people join by a group of the provider.
JOINED = "joined"
#: What the house checks of a page: WCAG 2.2 AA and what is known to be good.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
ROOT = Path(__file__).parents[2]
#: Seconds within which a page comes, on a machine of usual speed that does other things as well.
PATIENCE = 30


@dataclass(frozen=True)
class Desk:
    """Somebody signed in, without a browser."""

    person: Person
    secret: str
    url: str

    @property
    def csrf(self) -> str:
        return csrf_of(self.secret)

    def client(self) -> httpx.AsyncClient:
        cookie = {"Cookie": f"{SESSION_COOKIE}={self.secret}"}
        return httpx.AsyncClient(base_url=self.url, headers=cookie, timeout=PATIENCE * slowness())

    async def get(self, path: str) -> httpx.Response:
        async with self.client() as client:
            return await client.get(path)

    async def post(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> httpx.Response:
        async with self.client() as client:
            return await client.post(path, data={"csrf": self.csrf} | (fields or {}), headers=headers)


@dataclass(frozen=True)
class Console:
    """A served console, for the people of one test's brand."""

    api: Api
    url: str

    async def desk(
        self,
        *roles: str,
        name: str = "Olena",
        teams: Sequence[str] = ("vip",),
        skills: Sequence[str] = ("aml",),
        brand: str | None = None,
        locale: str = "en",
    ) -> Desk:
        """Somebody of these roles, signed in since now."""
        now, brand = datetime.now(UTC), brand or self.api.brand
        giver = Actor(brand, "test", id="test")
        async with self.api.engine.database.transaction() as connection:
            email = f"{name.lower()}-{secrets.token_hex(3)}@example.com"
            person = await add_person(connection, brand, email, name, now, locale=locale, zone="Europe/Kyiv")
            for role in roles:
                await give(connection, person, "role", role, giver, now)
            for team in teams:
                await give(connection, person, "team", team, giver, now)
            for skill in skills:
                await give(connection, person, "skill", skill, giver, now)
        return await self.signed_in(person)

    async def again(self, desk: Desk) -> Desk:
        """The same person, signed in once more."""
        return await self.signed_in(desk.person)

    async def signed_in(self, person: Person) -> Desk:
        """A session of somebody who works here."""
        now = datetime.now(UTC)
        async with self.api.engine.database.transaction() as connection:
            secret = await begin_session(
                connection,
                person_id=person.id,
                issuer="test",
                subject=person.id,
                sid=None,
                authenticated_at=now,
                now=now,
            )
        return Desk(person, secret, self.url)

    async def task(self, player_id: str = "p-1001", *, name: str = "Anna", due: timedelta = timedelta(hours=1)) -> str:
        """A task about a player who is in a journey; its id."""
        brand, now, engine = self.api.brand, datetime.now(UTC), self.api.engine
        registered = PlayerRegistered.example().model_copy(
            update={"event_id": f"reg-{player_id}", "occurred_at": now - timedelta(hours=2), "first_name": name}
        )
        failed = DepositFailed.example().model_copy(update={"event_id": f"f-{player_id}", "occurred_at": now})
        await engine.intake.ingest(brand, [(player_id, registered), (player_id, failed)], now)
        run_id = (await (await self.api.client("players:read")).get("/v1/runs", params={"player": player_id})).json()[
            "items"
        ][0]["id"]
        opened = await TaskEffects(engine.database, lambda: now).open(
            OpenTask(
                brand=brand,
                player_id=player_id,
                journey="api_review",
                run_id=run_id,
                step="ask:Affordability#1",
                form="Affordability",
                question="Is this player's spend affordable and sustainable?",
                form_schema=Affordability.model_json_schema(),
                team="vip",
                skill="aml",
                reason="Deposits tripled in a week.",
                forbidden=["offer a bonus"],
                escalate_to="vip-head",
                due_at=now + due,
                facts=PlayerFacts(player_id=player_id, deposits=51, deposited_minor=700_000),
            )
        )
        return str(getattr(opened, "task_id"))  # noqa: B009 - of the two answers, the one that nobody holds back


@contextmanager
def counting(console: Console) -> Iterator[list[str]]:
    """The statements that the console asks Postgres meanwhile."""
    asked: list[str] = []

    def note(*given: object) -> None:
        asked.append(str(given[2]))

    engine = console.api.engine.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


@asynccontextmanager
async def serving_console(
    postgres_url: str, port: int, issuer: str, *, journeys: str = "tests.support.api_journeys"
) -> AsyncIterator[Console]:
    """The application with its console on a port, in this process."""
    url = f"http://127.0.0.1:{port}"
    app = create_app(
        Settings(
            database_url=postgres_url,
            link_secrets=(LINK_SECRET,),
            oidc_issuer=issuer,
            oidc_client_id=CLIENT,
            oidc_client_secret=SECRET,
            oidc_groups={"newcomers": (GroupGrant(brand=JOINED, roles=("manager",), teams=("vip",)),)},
            console_url=url,
            journeys=(journeys,),
        ),
        draw=drawn,
    )
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, lifespan="on", access_log=False)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # pytest has its own
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    from tests.support.api_client import called

    try:
        async with called(app) as api:
            yield Console(api, url)
    finally:
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await serving


def chromium() -> str | None:
    """The browser of this machine, if there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@dataclass
class Window:
    """A page of a browser, and everything it complained of."""

    page: Page
    url: str
    complaints: list[str]

    async def open(self, path: str) -> Response | None:
        return await self.page.goto(self.url + path)

    async def settled(self) -> None:
        """Return when the page's script listens."""
        await self.page.locator("html[data-settled]").wait_for()

    async def faults(self) -> list[str]:
        """What axe finds wrong with the page, by day and by night."""
        found = []
        for scheme in ("light", "dark"):
            # Colours that are on their way from day to night are nobody's.
            await self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            # Through the debugger, so that the policy of the page stays as it is.
            await self.page.evaluate((ROOT / "node_modules/axe-core/axe.min.js").read_text())
            told = await self.page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)
            found += [
                f"{scheme} {self.page.url}: {one['id']} at {[node['html'][:160] for node in one['nodes']]}"
                for one in told["violations"]
            ]
        await self.page.emulate_media(color_scheme="light")
        return found


async def window(browser: Browser, desk: Desk, *, script: bool = True, width: int = 1280) -> Window:
    """A window of a browser of its own, with somebody signed in."""
    context = await browser.new_context(java_script_enabled=script, viewport={"width": width, "height": 800})
    context.set_default_timeout(PATIENCE * 1_000 * slowness())
    await signed_in(context, desk)
    page = await context.new_page()
    complaints: list[str] = []

    def told(message: ConsoleMessage) -> None:
        # A form that comes back with its faults is an answer, though the browser counts it among the failures.
        if message.type in {"error", "warning"} and not re.search(r"status of (404|409|412|422)", message.text):
            complaints.append(message.text)

    page.on("console", told)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return Window(page, desk.url, complaints)


async def signed_in(context: BrowserContext, desk: Desk) -> None:
    """Have a browser be signed in as somebody."""
    await context.add_cookies(
        [
            {
                "name": SESSION_COOKIE,
                "value": desk.secret,
                "url": desk.url.replace("http:", "https:"),
                "secure": True,
                "httpOnly": True,
                "sameSite": "Lax",
            }
        ]
    )
