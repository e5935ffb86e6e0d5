"""The console in a real browser: by keyboard, without a script, on a phone, at night, and when things go wrong."""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, expect
from sqlalchemy import select, update

from activities.actors import engine_in
from activities.console_sessions import IDLE
from activities.player_hosts import set_host
from activities.roles import ROLES
from activities.tables import sessions, tasks
from activities.task_rows import TaskRequest
from activities.tasks import escalate, lock_task
from api.console.rendering import LANGUAGES
from local.development_people import BRAND, add_people
from tests.support.api_seed import seeded
from tests.support.console import Console, Desk, signed_in, window

#: Where pictures of the pages are left for people to look at.
PICTURES = os.environ.get("CONSOLE_PICTURES")


async def answer_of(console: Console, task_id: str) -> dict[str, object] | None:
    async with console.api.engine.database.reading() as connection:
        found = await connection.execute(select(tasks.c.answer).where(tasks.c.id == task_id))
        return found.scalar_one()  # type: ignore[no-any-return]  # JSON


async def test_somebody_signs_in_at_the_provider_and_out_again(console: Console, browser: Browser) -> None:
    await add_people(console.api.engine.database, datetime.now(UTC))
    page = await (await browser.new_context()).new_page()
    await page.goto(f"{console.url}/console/{BRAND}/players")
    await page.get_by_role("button", name="Sam").click()
    await expect(page).to_have_url(f"{console.url}/console/{BRAND}/players")
    await page.get_by_text("Sam", exact=False).first.click()
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_role("button", name=re.compile("Yes")).click()
    await expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    await page.goto(f"{console.url}/console/{BRAND}/players")
    await expect(page.get_by_role("heading", name="Who are you?")).to_be_visible()
    await page.context.close()


async def test_a_morning_of_tasks_goes_by_keyboard(console: Console, browser: Browser) -> None:
    first, second = await console.task("p-1", name="Anna"), await console.task("p-2", name="Mia")
    at = await window(browser, await console.desk("manager"))
    page, keys = at.page, at.page.keyboard
    await at.open(f"/console/{console.api.brand}/inbox?tab=team")
    await keys.press("j")
    await keys.press("Enter")
    await expect(page.get_by_role("heading", name="Affordability")).to_be_visible()
    await at.settled()
    await keys.press("c")
    await expect(page.get_by_role("button", name="Give back")).to_be_visible()
    await at.settled()
    await keys.press("1")
    await keys.press("n")
    await keys.type("Payslips seen.")
    await keys.press("Control+Enter")
    await expect(page.get_by_text("This is the next task.")).to_be_visible()
    assert await answer_of(console, first) == {"outcome": "approve", "note": "Payslips seen."}
    assert await answer_of(console, second) is None
    await expect(page).to_have_url(re.compile(f"/tasks/{second}"))
    await at.settled()
    await keys.press("g")
    await keys.press("j")
    await expect(page.get_by_role("heading", name="Journeys")).to_be_visible()
    assert at.complaints == []
    await page.context.close()


async def test_of_two_who_answer_one_wins_and_the_other_keeps_every_word(console: Console, browser: Browser) -> None:
    task_id = await console.task()
    mine, theirs = await console.desk("manager"), await console.desk("manager", name="Ivan")
    at = await window(browser, mine)
    await at.open(f"/console/{console.api.brand}/tasks/{task_id}?tab=team")
    await at.page.get_by_label("More documents").check()
    await at.page.get_by_label("Note optional").fill("I asked for two more payslips.")
    answered = await theirs.post(f"/console/{console.api.brand}/tasks/{task_id}/answer", {"answer.outcome": "approve"})
    assert answered.status_code == 303
    await at.page.get_by_role("button", name="Answer and next").click()
    await expect(at.page.get_by_role("alert").first).to_contain_text("What you typed is still here")
    await expect(at.page.get_by_text("I asked for two more payslips.")).to_be_visible()
    assert await answer_of(console, task_id) == {"outcome": "approve"}
    assert at.complaints == []
    await at.page.context.close()


async def test_a_task_that_changed_meanwhile_is_answered_after_a_second_look(
    console: Console, browser: Browser
) -> None:
    task_id = await console.task()
    mine, theirs = await console.desk("manager"), await console.desk("manager", name="Ivan")
    address = f"/console/{console.api.brand}/tasks/{task_id}"
    at = await window(browser, mine)
    await at.open(f"{address}?tab=team")
    await at.page.get_by_label("Reject").check()
    await at.page.get_by_label("Note optional").fill("No proof came.")
    await theirs.post(f"{address}/comment", {"text": "She wrote to us."})
    await at.page.get_by_role("button", name="Answer and next").click()
    await expect(at.page.get_by_role("alert").first).to_contain_text("The task has changed")
    await expect(at.page.get_by_text("She wrote to us.")).to_be_visible()
    await expect(at.page.get_by_label("Note optional")).to_have_value("No proof came.")
    await at.page.get_by_role("button", name="Answer and next").click()
    await expect(at.page).to_have_url(re.compile("/inbox"))
    assert await answer_of(console, task_id) == {"outcome": "reject", "note": "No proof came."}
    await at.page.context.close()


async def test_what_does_not_fit_is_told_at_its_field_and_first_to_who_listens(
    console: Console, browser: Browser
) -> None:
    task_id = await console.task()
    at = await window(browser, await console.desk("manager"))
    await at.open(f"/console/{console.api.brand}/tasks/{task_id}?tab=team")
    await at.page.get_by_label("Reject").check()
    await at.page.get_by_role("button", name="Answer and next").click()
    told = at.page.get_by_role("alert").first
    await expect(told).to_be_focused()
    await expect(at.page.get_by_text("Say in the note why.").first).to_be_visible()
    await expect(at.page.get_by_label("Reject")).to_be_checked()
    assert await at.faults() == []
    await at.page.context.close()


async def test_a_note_survives_that_its_tab_is_closed(console: Console, browser: Browser) -> None:
    task_id = await console.task()
    at = await window(browser, await console.desk("manager"))
    address = f"/console/{console.api.brand}/tasks/{task_id}"
    await at.open(address)
    await at.page.get_by_label("Note optional").fill("She moves house in May.")
    await at.page.get_by_label("Note optional").blur()
    await expect(at.page.locator("[data-said]")).to_contain_text("Saved")
    again = await at.page.context.new_page()
    await at.page.close()
    await again.goto(console.url + address)
    await expect(again.get_by_label("Note optional")).to_have_value("She moves house in May.")
    await again.context.close()


async def test_a_note_survives_that_the_network_goes(console: Console, browser: Browser) -> None:
    task_id = await console.task()
    at = await window(browser, await console.desk("manager"))
    address = f"/console/{console.api.brand}/tasks/{task_id}"
    await at.open(address)
    await at.page.context.set_offline(True)
    await at.page.get_by_label("Note optional").fill("The line broke.")
    await at.page.get_by_label("Note optional").blur()
    await expect(at.page.locator("[data-said]")).to_contain_text("Kept in this window")
    await expect(at.page.locator("#status")).to_contain_text("Offline")
    await at.page.context.set_offline(False)
    await expect(at.page.locator("[data-said]")).to_contain_text("Saved")
    await at.page.context.close()


async def test_a_note_survives_the_end_of_the_session(console: Console, browser: Browser) -> None:
    task_id = await console.task()
    desk = await console.desk("manager")
    at = await window(browser, desk)
    address = f"/console/{console.api.brand}/tasks/{task_id}"
    await at.open(address)
    await leave_alone(console, desk)
    note = at.page.get_by_label("Note optional")
    await note.fill("She asked me to call on Monday.")
    await note.blur()
    await expect(at.page.locator("#status")).to_contain_text("You are signed out")
    await expect(at.page.get_by_role("link", name="Sign in again")).to_be_visible()
    # Signed in again, in another window: the note is saved from where it was written.
    await signed_in(at.page.context, await console.again(desk))
    other = await at.page.context.new_page()
    await other.goto(f"{console.url}/console/{console.api.brand}/inbox")
    await at.page.bring_to_front()
    await at.page.reload()
    await expect(at.page.get_by_label("Note optional")).to_have_value("She asked me to call on Monday.")
    await expect(at.page.locator("[data-said]")).to_contain_text("Saved")
    await at.page.context.close()


async def test_a_note_survives_that_the_server_dies(console: Console, browser: Browser) -> None:
    task_id = await console.task()
    at = await window(browser, await console.desk("manager"))
    await at.open(f"/console/{console.api.brand}/tasks/{task_id}")
    await at.settled()
    # What a browser sees of a process that was killed.
    await at.page.route("**/*", lambda route: route.abort("connectionrefused"))
    await at.page.get_by_label("Note optional").fill("She called back herself.")
    await at.page.get_by_label("Note optional").blur()
    await expect(at.page.locator("[data-said]")).to_contain_text("Kept in this window")
    await at.page.unroute_all()
    await at.page.reload()
    await expect(at.page.get_by_label("Note optional")).to_have_value("She called back herself.")
    await expect(at.page.locator("[data-said]")).to_contain_text("Saved")
    await at.page.context.close()


async def test_a_note_survives_that_the_task_is_passed_up(console: Console, browser: Browser) -> None:
    task_id = await console.task()
    at = await window(browser, await console.desk("manager"))
    address = f"/console/{console.api.brand}/tasks/{task_id}"
    await at.open(address)
    await at.settled()
    await at.page.get_by_label("Approve").check()
    await at.page.get_by_label("Note optional").fill("The payslips came this morning.")
    now = datetime.now(UTC)
    async with console.api.engine.database.transaction() as connection:
        request = TaskRequest(console.api.brand, task_id, engine_in(console.api.brand), now)
        task = await lock_task(connection, request)
        assert task is not None
        await escalate(connection, task, request, now + timedelta(hours=1))
    await at.page.get_by_role("button", name="Answer and next").click()
    await expect(at.page.get_by_role("alert").first).to_contain_text("What you typed is still here")
    await at.page.reload()
    await expect(at.page.get_by_text("The payslips came this morning.").first).to_be_visible()
    assert await answer_of(console, task_id) is None
    await at.page.context.close()


async def test_a_task_is_opened_by_hand_for_a_player_and_answered(console: Console, browser: Browser) -> None:
    await console.task("p-1001", name="Anna")
    at = await window(browser, await console.desk("manager"))
    page = at.page
    await at.open(f"/console/{console.api.brand}/players/p-1001?tab=tasks")
    await page.get_by_text("New task…").click()
    await page.get_by_label("What is to be done").select_option("withdrawal_comfort")
    await page.get_by_label("Why").first.fill("She wrote twice about Monday.")
    await page.get_by_role("button", name="Open the task").click()
    await expect(page.get_by_role("heading", name="Withdrawal update")).to_be_visible()
    await expect(page.get_by_text("opened by hand")).to_be_visible()
    # In the language of the player, who will hear it.
    await expect(page.get_by_text("Назвіть строк, якого зможете дотримати")).to_be_visible()
    await page.get_by_label("Reached").check()
    await page.get_by_role("button", name="Answer and next").click()
    await expect(page.get_by_text("She wrote twice about Monday.")).not_to_be_visible()
    assert at.complaints == []
    await page.context.close()


async def test_a_morning_from_the_portfolio_to_the_call(console: Console, browser: Browser) -> None:
    await console.task("p-1001", name="Anna")
    desk = await console.desk("manager")
    async with console.api.engine.database.transaction() as connection:
        await set_host(connection, console.api.brand, "p-1001", desk.person.id, "test", datetime.now(UTC))
    at = await window(browser, desk)
    page = at.page
    await at.open(f"/console/{console.api.brand}/players?mine=true")
    await page.get_by_role("link", name="Silent for a week").click()
    await expect(page.get_by_role("link", name="Anna p-1001")).to_be_visible()
    await page.get_by_label("Name, address, number or id").fill("ann")
    await page.get_by_role("button", name="Find").click()
    await expect(page.get_by_role("heading", name=re.compile("Anna"))).to_be_visible()
    assert at.complaints == []
    await page.context.close()


async def test_without_a_script_a_task_is_found_opened_and_answered(console: Console, browser: Browser) -> None:
    task_id = await console.task()
    at = await window(browser, await console.desk("manager"), script=False)
    page = at.page
    await at.open(f"/console/{console.api.brand}/inbox?tab=team")
    await page.get_by_role("link", name=re.compile("Affordability")).click()
    await page.get_by_role("button", name="Claim").click()
    await page.get_by_label("Approve").check()
    await page.get_by_label("Note optional").fill("Written without a script.")
    await page.get_by_role("button", name="Answer and next").click()
    await expect(page).to_have_url(re.compile("/inbox"))
    assert await answer_of(console, task_id) == {"outcome": "approve", "note": "Written without a script."}
    await page.context.close()


async def test_a_list_refreshes_itself_and_keeps_the_focus(console: Console, browser: Browser) -> None:
    await console.task("p-1")
    at = await window(browser, await console.desk("manager"))
    await at.page.clock.install()
    await at.open(f"/console/{console.api.brand}/inbox?tab=team")
    await at.page.keyboard.press("j")
    await console.task("p-2", name="Mia")
    await at.page.clock.run_for(12_000)
    await expect(at.page.locator("[data-row]")).to_have_count(2)
    await expect(at.page.locator("[data-row]").first).to_be_focused()
    assert at.complaints == []
    await at.page.context.close()


async def test_an_exclusion_is_told_on_an_open_task_and_what_is_typed_stays(console: Console, browser: Browser) -> None:
    task_id = await console.task()
    desk = await console.desk("manager")
    at = await window(browser, desk)
    await at.page.clock.install()
    await at.open(f"/console/{console.api.brand}/tasks/{task_id}?tab=team")
    await at.page.get_by_label("Note optional").fill("She sounds tired.")
    body = {"kind": "self_exclusion", "reason": "Asked for it."}
    assert (await desk.post(f"/console/{console.api.brand}/players/p-1001/exclude", body)).status_code == 303
    await at.page.clock.run_for(10_000)
    await expect(at.page.get_by_text("Offer nothing.")).to_be_visible()
    await expect(at.page.get_by_label("Note optional")).to_have_value("She sounds tired.")
    await at.page.context.close()


async def test_somebody_takes_a_player_into_their_portfolio_and_notes_a_call(
    console: Console, browser: Browser
) -> None:
    await console.task("p-1001", name="Anna")
    at = await window(browser, await console.desk("manager"))
    page = at.page
    await at.open(f"/console/{console.api.brand}/players/p-1001?tab=notes")
    await page.get_by_role("button", name="Look after").click()
    await page.get_by_label("Something to remember").fill("Called: she moves house in May.")
    await page.get_by_label("Contact").check()
    await page.get_by_role("button", name="Note it").click()
    await expect(page.get_by_text("Called: she moves house in May.")).to_be_visible()
    await at.open(f"/console/{console.api.brand}/players")
    await page.get_by_role("link", name="My players").click()
    await expect(page.get_by_role("link", name="Anna p-1001")).to_be_visible()
    assert at.complaints == []
    await page.context.close()


PAGES = {
    "inbox": "/inbox?tab=team",
    "task": "/tasks/{task_id}?tab=team",
    "players": "/players",
    "player": "/players/{player_id}",
    "player-messages": "/players/{player_id}?tab=messages",
    "player-rewards": "/players/{player_id}?tab=rewards",
    "player-notes": "/players/{player_id}?tab=notes",
    "player-protection": "/players/{player_id}?tab=protection",
    "message": "/messages/{message_id}",
    "decisions": "/decisions",
    "journeys": "/journeys",
    "journey": "/journeys/{name}",
    "run": "/runs/{run_id}",
    "portfolio": "/players?mine=true",
    "player-tasks": "/players/{player_id}?tab=tasks",
    "templates": "/templates",
    "template": "/templates/welcome?channel=email&language=uk",
    "segments": "/segments",
    "segment": "/segments/{segment}",
    "people": "/people",
    "work": "/work",
    "audit": "/audit",
    "tournaments": "/tournaments",
    "tournament": "/tournaments/{instance}",
    "figures": "/figures",
    "scores": "/scores",
    "stuck": "/stuck",
    "experiments": "/experiments",
    "experiment": "/experiments/{experiment}",
}


#: Entries of the menu of which a part cannot be seen.
CUT_OFF = """() => {
    const menu = document.querySelector('.bar nav'), seen = menu.getBoundingClientRect();
    const hidden = one => one.right > seen.right + 1 || one.left < seen.left - 1 || one.bottom > seen.bottom + 1;
    return [...menu.children].filter(one => hidden(one.getBoundingClientRect())).map(one => one.textContent);
}"""
#: Tables of rows that do not fit.
SIDEWAYS = """() => [...document.querySelectorAll('.scroll:has(> .stack)')]
    .filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.ariaLabel)"""

#: Whether the entry of the menu that one is at can be seen whole.
HERE_IN_THE_MENU = """() => {
    const seen = document.querySelector('.bar nav').getBoundingClientRect();
    const here = document.querySelector('.bar nav [aria-current]').getBoundingClientRect();
    return here.left >= seen.left - 1 && here.right <= seen.right + 1;
}"""


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_for_everybody_by_day_and_night_and_on_a_phone(
    console: Console, browser: Browser, name: str
) -> None:
    ids = {name: quote(value, safe="") for name, value in (await seeded(console.api)).items()}
    at = await window(browser, await console.desk("manager", "head", "operator", "compliance", "admin"))
    answer = await at.open(f"/console/{console.api.brand}{PAGES[name].format_map(ids)}")
    assert answer is not None
    assert answer.status == 200
    assert await at.faults() == []
    assert await at.page.evaluate(CUT_OFF) == [], "The menu of somebody with every role hides an entry."
    await picture(at.page, name)
    await at.page.set_viewport_size({"width": 390, "height": 800})
    wide = await at.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"{wide} pixels too wide for a phone"
    assert await at.page.evaluate(SIDEWAYS) == [], "A table must be pushed sideways on a phone."
    assert await at.faults() == []
    await picture(at.page, f"{name}-phone")
    assert at.complaints == []
    await at.page.context.close()


@pytest.mark.parametrize("name", ["stuck", "audit", "people", "portfolio", "player-protection", "experiments"])
async def test_longer_words_of_another_language_fit_on_a_phone(console: Console, browser: Browser, name: str) -> None:
    ids = {name: quote(value, safe="") for name, value in (await seeded(console.api)).items()}
    at = await window(browser, await console.desk(*ROLES, locale="uk"), width=390)
    await at.open(f"/console/{console.api.brand}{PAGES[name].format_map(ids)}")
    assert await at.page.evaluate(SIDEWAYS) == []
    assert await at.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    shown = await at.page.evaluate(HERE_IN_THE_MENU)
    assert shown, "The menu does not show where one is."
    await picture(at.page, f"{name}-uk-phone")
    await at.page.context.close()


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_menu_of_somebody_with_every_role_is_there_whole(
    console: Console, browser: Browser, language: str
) -> None:
    desk = await console.desk(*ROLES, locale=language)
    at = await window(browser, desk)
    await at.open(f"/console/{console.api.brand}/people")
    assert await at.page.locator(".bar nav a").count() == 13
    assert await at.page.evaluate(CUT_OFF) == []
    await at.page.context.close()


async def picture(page: object, name: str) -> None:
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)  # type: ignore[attr-defined]


async def leave_alone(console: Console, desk: Desk) -> None:
    async with console.api.engine.database.transaction() as connection:
        past = datetime.now(UTC) - IDLE
        await connection.execute(update(sessions).where(sessions.c.person_id == desk.person.id).values(seen_at=past))
