"""Who may see and do what in the console: every page and every form, generated from the application's routes."""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

import httpx
import pytest
from fastapi.routing import APIRoute

from activities.actors import Actor
from activities.people import take_back
from activities.roles import ROLES
from api.console.console import PAGES
from api.console.visitor import SESSION_COOKIE
from tests.support.api_seed import seeded
from tests.support.console import Console

READS_JOURNEYS = frozenset({"journeys:manage", "players:read"})
#: Which scopes open a page or a form, any one of them; a test holds that every route has a word here.
SCOPES = {
    "/inbox": {"tasks:work"},
    "/tasks/{task_id}": {"tasks:work"},
    "/tasks/{task_id}/answer": {"tasks:work"},
    "/tasks/{task_id}/draft": {"tasks:work"},
    "/tasks/{task_id}/{move}": {"tasks:work"},
    "/players": {"players:read"},
    "/players/{player_id}": {"players:read"},
    "/players/{player_id}/note": {"tasks:work"},
    "/players/{player_id}/task": {"tasks:work"},
    "/players/{player_id}/host": {"tasks:work"},
    "/players/{player_id}/exclude": {"tasks:work", "events:write"},
    "/players/{player_id}/erase": {"players:erase"},
    "/messages/{message_id:path}": {"players:read"},
    "/decisions": {"players:read"},
    "/experiments": READS_JOURNEYS,
    "/experiments/{experiment}": READS_JOURNEYS,
    "/journeys": READS_JOURNEYS,
    "/journeys/{name}": READS_JOURNEYS,
    "/journeys/{name}/picture.svg": READS_JOURNEYS,
    "/journeys/{name}/{control}": {"journeys:manage"},
    "/runs/{run_id}": READS_JOURNEYS,
    "/tournaments": READS_JOURNEYS,
    "/tournaments/{instance}": READS_JOURNEYS,
    "/templates": READS_JOURNEYS,
    "/templates/{template}": READS_JOURNEYS,
    "/templates/{template}/page.html": READS_JOURNEYS,
    "/segments": READS_JOURNEYS,
    "/segments/{segment}": READS_JOURNEYS,
    "/people": {"people:manage"},
    "/people/{person_id}/{change}": {"people:manage"},
    "/work": {"tasks:work"},
    "/absence": {"tasks:work"},
    "/managers": {"tasks:work"},
    "/audit": {"audit:read"},
    "/figures": READS_JOURNEYS,
    "/scores": READS_JOURNEYS,
    "/stuck": {"journeys:manage"},
    "/stuck/retry": {"journeys:manage"},
}
#: What a form of each route is sent with, so that only who sends it can stand against it.
FORMS = {
    "/tasks/{task_id}/answer": {"answer.outcome": "approve"},
    "/tasks/{task_id}/{move}": {"text": "Called."},
    "/players": {"q": "p-seed"},
    "/players/{player_id}/note": {"text": "Likes to be called in the evening."},
    "/players/{player_id}/task": {"kind": "birthday_call", "reason": "Her birthday."},
    "/players/{player_id}/exclude": {"kind": "time_out", "reason": "Asked for it."},
    "/journeys/{name}/{control}": {"reason": "The offer was wrong."},
    "/stuck/retry": {"reason": "Refused."},
    "/players/{player_id}/erase": {"ground": "unlawful", "reference": "T-1"},
    "/people": {"email": "ivan@example.com", "name": "Ivan"},
    "/people/{person_id}/{change}": {"kind": "teams", "name": "payments"},
    "/work": {"languages": "uk, en", "minutes_a_day": "240", "told-given": "yes"},
    "/absence": {"since": "2099-07-01", "until": "2099-07-14"},
}


@dataclass(frozen=True)
class Door:
    """A way into the console: a page, or a form."""

    method: str
    path: str

    def address(self, brand: str, ids: dict[str, str]) -> str:
        given = ids | {"move": "comment", "control": "close", "change": "give"}
        filled = re.sub(r"\{(\w+)(:path)?\}", lambda found: quote(given[found[1]], safe=""), self.path)
        return f"/console/{brand}{filled}"

    @property
    def fields(self) -> dict[str, str]:
        return FORMS.get(self.path, {})


def doors() -> Iterator[Door]:
    for part in PAGES:
        for route in part.router.routes:
            assert isinstance(route, APIRoute)
            for method in route.methods or ():
                yield Door(method, route.path.removeprefix("/console/{brand}"))


DOORS = [*doors()]
NAMED = pytest.mark.parametrize("door", DOORS, ids=lambda door: f"{door.method} {door.path}")


def test_every_door_has_a_word_about_who_may_pass() -> None:
    assert {door.path for door in DOORS} == SCOPES.keys()


@NAMED
async def test_a_door_opens_for_the_roles_that_may_and_is_not_there_for_the_others(
    console: Console, door: Door
) -> None:
    ids = await seeded(console.api)
    address = door.address(console.api.brand, ids)
    for role, what in ROLES.items():
        desk = await console.desk(role)
        answer = await (desk.get(address) if door.method == "GET" else desk.post(address, door.fields))
        may = bool(what.scopes & SCOPES[door.path])
        if may:
            assert answer.status_code in {200, 204, 303, 409}, (role, answer.status_code, answer.text[:500])
        else:
            assert answer.status_code == 404, (role, answer.status_code)


@NAMED
async def test_another_brand_does_not_exist(console: Console, door: Door) -> None:
    ids = await seeded(console.api)
    desk = await console.desk(*ROLES, brand=f"other-{secrets.token_hex(3)}")
    address = door.address(console.api.brand, ids)
    answer = await (desk.get(address) if door.method == "GET" else desk.post(address, door.fields))
    assert answer.status_code == 404
    assert "Anna" not in answer.text


@NAMED
async def test_who_is_not_signed_in_is_sent_to_sign_in_and_a_key_opens_nothing(console: Console, door: Door) -> None:
    names = re.findall(r"\{(\w+)", door.path)
    address = door.address(console.api.brand, dict.fromkeys(names, "x"))
    key = await console.api.key("admin")
    async with httpx.AsyncClient(base_url=console.url, headers={"Authorization": f"Bearer {key}"}) as client:
        answer = await client.request(door.method, address, data=door.fields or None)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?to=")


async def test_a_session_opens_nothing_that_asks_for_a_key(console: Console) -> None:
    desk = await console.desk(*ROLES)
    assert (await desk.get("/v1/tasks")).status_code == 401


FORMS_ONLY = pytest.mark.parametrize(
    "door", [door for door in DOORS if door.method == "POST"], ids=lambda door: door.path
)


@FORMS_ONLY
async def test_a_form_that_no_page_of_the_session_made_is_refused(console: Console, door: Door) -> None:
    ids = await seeded(console.api)
    desk, other = await console.desk(*ROLES), await console.desk(*ROLES)
    address = door.address(console.api.brand, ids)
    for csrf in ("", other.csrf, "0" * 64):
        answer = await desk.post(address, door.fields | {"csrf": csrf})
        assert answer.status_code == 403, csrf
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
    ):
        answer = await desk.post(address, door.fields, **headers)
        assert answer.status_code == 403, headers


async def test_what_is_taken_back_is_gone_with_the_next_page(console: Console) -> None:
    desk = await console.desk("manager")
    address = f"/console/{console.api.brand}/inbox"
    assert (await desk.get(address)).status_code == 200
    async with console.api.engine.database.transaction() as connection:
        giver = Actor(console.api.brand, "test", id="test")
        await take_back(connection, desk.person, "role", "manager", giver, datetime.now(UTC))
    assert (await desk.get(address)).status_code == 404


async def test_every_page_forbids_what_browsers_could_be_talked_into(console: Console) -> None:
    ids = await seeded(console.api)
    desk = await console.desk(*ROLES)
    for door in DOORS:
        if door.method != "GET":
            continue
        answer = await desk.get(door.address(console.api.brand, ids))
        policy = answer.headers["content-security-policy"]
        if door.path.endswith("/page.html"):
            # A mail brings its own colours along. It is shown in a frame where nothing runs and nothing is fetched.
            assert policy.startswith("sandbox; default-src 'none'; img-src data:;")
            continue
        assert "unsafe" not in policy, door
        assert "default-src 'none'" in policy, door
        assert "frame-ancestors 'none'" in policy, door
        assert answer.headers["cache-control"] == "no-store", door
        assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=", answer.text), door


@pytest.mark.parametrize(
    ("locale", "inbox"), [("uk", "Вхідні"), ("ru", "Входящие"), ("en-GB", "Inbox"), ("xx", "Inbox")]
)
async def test_a_page_speaks_the_language_of_its_reader(console: Console, locale: str, inbox: str) -> None:
    await console.task()
    desk = await console.desk("manager", locale=locale)
    page = (await desk.get(f"/console/{console.api.brand}/inbox?tab=team")).text
    assert f">{inbox}<" in page
    assert f'<html lang="{locale if locale in ("uk", "ru") else "en"}">' in page


async def test_a_name_is_text_whatever_it_holds(console: Console) -> None:
    name = "<img src=x onerror=alert(1)>"
    task_id = await console.task(name=name)
    desk = await console.desk("manager")
    brand = console.api.brand
    for address in (f"/console/{brand}/tasks/{task_id}?tab=team", f"/console/{brand}/players/p-1001"):
        page = (await desk.get(address)).text
        assert "&lt;img src=x onerror=alert(1)&gt;" in page
        assert name not in page


async def test_an_expired_form_of_an_answer_is_kept_as_a_draft_and_never_sent(console: Console) -> None:
    task_id = await console.task()
    desk = await console.desk("manager")
    await _leave_alone(console, desk.person.id)
    address = f"/console/{console.api.brand}/tasks/{task_id}"
    answer = await desk.post(f"{address}/answer", {"answer.outcome": "approve", "answer.note": "She is well."})
    assert answer.status_code == 303
    again = await console.again(desk)
    page = (await again.get(address)).text
    assert "She is well." in page
    assert "Answer and next" in page, "It was not answered."


async def _leave_alone(console: Console, person_id: str) -> None:
    from sqlalchemy import update

    from activities.console_sessions import IDLE
    from activities.tables import sessions

    async with console.api.engine.database.transaction() as connection:
        past = datetime.now(UTC) - IDLE
        await connection.execute(update(sessions).where(sessions.c.person_id == person_id).values(seen_at=past))


def test_the_cookie_cannot_be_set_by_another_host() -> None:
    assert SESSION_COOKIE.startswith("__Host-")


@pytest.mark.parametrize(("path", "name", "status"), [("work", "minutes_a_day", 422), ("absence", "back", 404)])
async def test_a_number_of_thousands_of_digits_is_a_sentence(
    console: Console, path: str, name: str, status: int
) -> None:
    desk = await console.desk("manager")
    for digits in (5_000, 19):
        answer = await desk.post(f"/console/{console.api.brand}/{path}", {name: "9" * digits})
        assert answer.status_code == status, answer.text
