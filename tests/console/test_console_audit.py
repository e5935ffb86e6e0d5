"""What people do and see in the console is in the audit trail under their own names."""

from typing import Any

from sqlalchemy import select

from activities.tables import audit_entries
from tests.support.api_seed import PLAYER, seeded
from tests.support.console import Console


async def entries(console: Console) -> list[Any]:
    chosen = select(audit_entries).where(audit_entries.c.brand == console.api.brand).order_by(audit_entries.c.at)
    async with console.api.engine.database.reading() as connection:
        return list((await connection.execute(chosen)).all())


async def test_who_opened_a_player_and_what_they_did_there_is_written(console: Console) -> None:
    await seeded(console.api)
    desk = await console.desk("manager")
    address = f"/console/{console.api.brand}/players/{PLAYER}"
    for _ in range(3):
        assert (await desk.get(address)).status_code == 200
    assert (await desk.post(f"{address}/exclude", {"kind": "time_out", "reason": "Asked."})).status_code == 303
    written = [(one.kind, one.action, one.player_id, one.actor_kind, one.actor_id) for one in await entries(console)]
    who = ("person", desk.person.id)
    assert written == [
        ("read", "console.player", PLAYER, *who),
        ("change", "console.exclude", PLAYER, *who),
    ]


async def test_what_is_typed_and_kept_is_no_act_and_an_answer_is(console: Console) -> None:
    task_id = await console.task()
    desk = await console.desk("manager")
    address = f"/console/{console.api.brand}/tasks/{task_id}"
    await desk.post(f"{address}/draft", {"answer.note": "She is"})
    assert (await desk.post(f"{address}/answer", {"answer.outcome": "no such outcome"})).status_code == 422
    assert [one for one in await entries(console) if one.kind == "change"] == []
    answered = await desk.post(f"{address}/answer", {"answer.outcome": "approve", "answer.note": "She is well."})
    assert answered.status_code == 303
    (act,) = [one for one in await entries(console) if one.kind == "change"]
    assert (act.action, act.object, act.actor) == ("console.answer", task_id, desk.person.email)
