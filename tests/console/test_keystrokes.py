"""How many keys a manager with five hundred players presses for a task of their morning, counted by the browser."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Browser, expect
from sqlalchemy import insert, select

from activities.tables import player_hosts, tasks
from tests.support.console import Console, Desk, Window, window
from workflows.events import PlayerRegistered

#: Keys a task may take at most (`docs/console.md`).
MOST = 12
NOTE = "She had cake."
#: Tells each key that goes down, modifiers too, and whether it is a letter of what somebody writes.
COUNTING = """
addEventListener("keydown", (event) => {
  const letter = event.key.length === 1 && !event.ctrlKey;
  pressed(event.code, letter && event.target.matches("textarea, input:not([type=radio])"));
}, true);
"""


@dataclass
class Hands:
    """Somebody who touches nothing but the keyboard, and every key that went down since the last task."""

    at: Window
    keys: list[str] = field(default_factory=list)
    #: The keys of each task that is answered.
    tasks: list[list[str]] = field(default_factory=list)

    async def press(self, *keys: str) -> None:
        """Press keys that leave the page where it is."""
        for key in keys:
            await self.at.page.keyboard.press(key)

    async def go(self, *keys: str) -> None:
        """Press keys of which the last opens another page, and wait until that listens."""
        await self.press(*keys[:-1])
        async with self.at.page.expect_event("domcontentloaded"):
            await self.at.page.keyboard.press(keys[-1])
        await self.at.settled()

    async def answer(self) -> None:
        """The call is made: say how it went, and on to the next."""
        await self.press("1", "n")
        await self.at.page.keyboard.type(NOTE)
        await self.go("Control+Enter")
        self.tasks.append(self.keys.copy())
        self.keys.clear()


async def house(console: Console, players: int, given: int, unclaimed: int) -> Desk:
    """A manager who looks after so many players, of whom some have their birthday, and tasks that nobody has yet."""
    now, brand = datetime.now(UTC), console.api.brand
    desk = await console.desk("manager")
    born_today = now.date().replace(year=1988)
    half_a_year_off = born_today + timedelta(days=180)
    registered = [
        (
            f"p-{number:04}",
            PlayerRegistered.example().model_copy(
                update={
                    "event_id": f"r-{number}",
                    "occurred_at": now - timedelta(days=30),
                    "first_name": f"Anna {number}",
                    "birth_date": born_today if number % (players // given) == 0 else half_a_year_off,
                    "timezone": "UTC",
                }
            ),
        )
        for number in range(players + unclaimed)
    ]
    await console.api.engine.intake.ingest(brand, registered, now)
    mine = [{"brand": brand, "player_id": one, "person_id": desk.person.id} for one, _ in registered[:players]]
    async with console.api.engine.database.transaction() as connection:
        await connection.execute(insert(player_hosts).values(since=now, given_by="test"), mine)
    client = await console.api.client("tasks:work")
    celebrating = [one for one, fact in registered[:players] if fact.birth_date == born_today][:given]
    for player_id in [*celebrating, *(one for one, _ in registered[players:])]:
        body = {"kind": "birthday_call", "player_id": player_id, "reason": "Her birthday."}
        assert (await client.post("/v1/tasks", json=body)).status_code == 201
    return desk


async def morning(console: Console, browser: Browser, players: int, *, given: int, unclaimed: int) -> list[int]:
    """How many keys each task took, letters of notes not counted."""
    at = await window(browser, await house(console, players, given, unclaimed))
    hands, page = Hands(at), at.page

    async def pressed(_: object, code: str, writing: bool) -> None:  # noqa: FBT001 - as the page calls it
        if not writing:
            hands.keys.append(code)

    await page.context.expose_binding("pressed", pressed)
    await page.context.add_init_script(COUNTING)
    await at.open(f"/console/{console.api.brand}/inbox")
    await at.settled()
    # Whose birthday is it today? Call the first of them; the next task comes by itself.
    await hands.go("g", "m")
    await hands.go("3")
    await expect(page.get_by_text("today")).to_have_count(given)
    await hands.go("t")
    for _ in range(given):
        await expect(page.get_by_role("heading", name="Birthday call")).to_be_visible()
        await hands.answer()
    # Nothing is left of one's own: take what nobody has.
    await expect(page.get_by_text("Nothing is yours right now.")).to_be_visible()
    if unclaimed:
        await hands.go("3")
        await hands.go("j", "Enter")
    for _ in range(unclaimed):
        await hands.go("c")
        await hands.answer()
    await expect(page).to_have_url(re.compile("/inbox"))
    async with console.api.engine.database.reading() as connection:
        answers = await connection.execute(select(tasks.c.answer).where(tasks.c.brand == console.api.brand))
        told = [(answer["outcome"], answer["note"]) for answer in answers.scalars()]
    assert told == [("reached", NOTE)] * (given + unclaimed)
    assert at.complaints == []
    await page.context.close()
    return [len(keys) for keys in hands.tasks]


async def test_a_task_of_the_morning_takes_few_keys(console: Console, browser: Browser) -> None:
    # G M 3 T 1 N Ctrl Enter, then 1 N Ctrl Enter.
    assert await morning(console, browser, 10, given=2, unclaimed=0) == [8, 4]


@pytest.mark.slow  # five hundred players are told of first, and twenty pages are opened
@pytest.mark.timeout(300)
async def test_a_morning_with_five_hundred_players_takes_at_most_twelve_keys_a_task(
    console: Console, browser: Browser
) -> None:
    # Of what nobody has 3 J Enter C first, then C.
    took = await morning(console, browser, 500, given=10, unclaimed=4)
    assert took == [8, *[4] * 9, 8, *[5] * 3]
    assert max(took) <= MOST
