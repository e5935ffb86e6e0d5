"""Lists that refresh themselves: a browser that has the newest list is told so, mostly without the list being read."""

from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy import insert, update

from activities.tables import task_history, tasks
from api.console.inbox import HOLDS, ListMark
from api.console.visitor import POLLING
from tests.support.console import Console, Desk, counting


@pytest.fixture
async def desk(console: Console) -> Desk:
    await console.task()
    return await console.desk("manager")


async def poll(console: Console, desk: Desk, etag: str = "") -> httpx.Response:
    async with desk.client() as client:
        address = f"/console/{console.api.brand}/inbox?tab=team&part=list"
        return await client.get(address, headers={POLLING: "1", "If-None-Match": etag})


async def test_a_list_that_did_not_change_is_not_sent_and_not_read_again(console: Console, desk: Desk) -> None:
    first = await poll(console, desk)
    assert first.status_code == 200
    with counting(console) as asked:
        again = await poll(console, desk, first.headers["etag"])
    assert (again.status_code, again.headers["etag"]) == (304, first.headers["etag"])
    assert len(asked) == 2, "Who looks with what they were given, and whether anything happened."
    assert not any("FROM tasks" in one for one in asked)


async def test_a_task_that_changes_shows_at_the_next_look(console: Console, desk: Desk) -> None:
    first = await poll(console, desk)
    await console.task("p-2", name="Mia")
    again = await poll(console, desk, first.headers["etag"])
    assert again.status_code == 200
    assert "Mia" in again.text


async def test_what_is_committed_after_something_that_began_later_shows_at_the_next_look(
    console: Console, desk: Desk
) -> None:
    task = await console.task("p-2", name="Mia")
    async with console.api.engine.database.transaction() as late:
        line = {
            "task_id": task,
            "brand": console.api.brand,
            "at": datetime.now(UTC),
            "actor": "test",
            "action": "noted",
        }
        await late.execute(insert(task_history).values(**line, actor_id="test", detail={}))
        await late.execute(update(tasks).where(tasks.c.id == task).values(reason="She wrote."))
        await console.task("p-3", name="Kim")
        first = await poll(console, desk)
    assert ("Kim" in first.text, "She wrote." in first.text) == (True, False)
    assert "She wrote." in (await poll(console, desk, first.headers["etag"])).text


async def test_a_list_that_is_older_is_read_again_and_not_sent_where_it_is_the_same(
    console: Console, desk: Desk
) -> None:
    first = await poll(console, desk)
    history, at, digest = first.headers["etag"].strip('"').split(".")
    old = f'"{history}.{int(at) - HOLDS}.{digest}"'
    again = await poll(console, desk, old)
    assert again.status_code == 304
    assert again.headers["etag"] != old, "From now on it is as new as this."
    # What happened without a line of history shows then.
    async with console.api.engine.database.transaction() as connection:
        await connection.execute(tasks.update().where(tasks.c.brand == console.api.brand).values(reason="She wrote."))
    assert "She wrote." in (await poll(console, desk, old)).text


async def test_who_may_no_more_is_refused_whatever_they_have(console: Console, desk: Desk) -> None:
    first, stranger = await poll(console, desk), await console.desk("operator")
    assert (await poll(console, stranger, first.headers["etag"])).status_code == 404


@pytest.mark.parametrize(
    "etag", ["", '""', '"7"', '"7.100"', '"7.100."', '"x.100.ab"', '"8.100.ab"', '"7.101.ab"', '"7.-1.ab"', "7.100.ab"]
)
def test_what_is_no_mark_or_another_holds_nothing(etag: str) -> None:
    assert ListMark(7, 100).holds('"7.100.ab"')
    assert ListMark(7, 100 + HOLDS - 1).holds('"7.100.ab"')
    assert not ListMark(7, 100 + HOLDS).holds('"7.100.ab"')
    assert not ListMark(7, 100).holds(etag)
