"""Four eyes: who may answer a task, over HTTP and in the database."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from activities.actors import Actor
from activities.people import Person, add_person, give
from activities.tables import deliveries, task_history, task_signatures
from activities.task_effects import TaskEffects
from tests.support.api_client import Api, serving
from tests.support.api_journeys import Affordability
from tests.support.engine import done, execute
from workflows.effects import OpenTask
from workflows.events import DepositFailed
from workflows.player_facts import PlayerFacts
from workflows.player_state.identities import run_id_of

NOW = datetime.now(UTC)
APPROVE, REJECT = {"outcome": "approve"}, {"outcome": "reject"}
#: A task that asks for another pair of eyes than a check before it.
LATER: dict[str, Any] = {"step": "ask:SignOff#1", "form": "SignOff", "not_by": ["Affordability"]}
PROBLEM = "urn:journeys:problem:task-not-yours"


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, journeys="tests.support.api_journeys") as application:
        yield application


@pytest.fixture
async def desk(api: Api) -> httpx.AsyncClient:
    """A desk's key that people act through."""
    return await api.client("tasks:work", name="desk", skills=["aml", "executive"])


async def hired(api: Api, name: str, role: str = "compliance", team: str = "vip", skill: str | None = "aml") -> Person:
    boss = Actor(api.brand, "boss", id="boss")
    async with api.engine.database.transaction() as connection:
        person = await add_person(connection, api.brand, f"{name}@{api.brand}.example", name, NOW)
        await give(connection, person, "role", role, boss, NOW)
        await give(connection, person, "team", team, boss, NOW)
        if skill is not None:
            await give(connection, person, "skill", skill, boss, NOW)
    return person


async def opened(api: Api, step: str = "ask:Affordability#1", form: str = "Affordability", **more: Any) -> str:
    """A task of a run that really is under way."""
    failed = DepositFailed.example().model_copy(update={"event_id": "failed-1", "occurred_at": NOW})
    await api.engine.intake.ingest(api.brand, [("p-1", failed)], NOW)
    cause = {"type": failed.type, "id": failed.event_id, "source": failed.event_source}
    asked: dict[str, Any] = {
        "brand": api.brand,
        "player_id": "p-1",
        "journey": "api_review",
        "run_id": run_id_of("api_review", api.brand, "p-1", cause, timedelta(0), 0),
        "step": step,
        "form": form,
        "question": "Is it affordable?",
        "form_schema": Affordability.model_json_schema(),
        "team": "vip",
        "due_at": NOW + timedelta(hours=48),
        "facts": PlayerFacts(player_id="p-1"),
    }
    return done(await TaskEffects(api.engine.database, lambda: NOW).open(OpenTask(**asked | more))).task_id


async def says(
    client: httpx.AsyncClient, task_id: str, answer: dict[str, str], by: str | None = None
) -> httpx.Response:
    headers = {} if by is None else {"X-Actor": by}
    return await client.post(f"/v1/tasks/{task_id}/complete", json={"answer": answer}, headers=headers)


async def heard(api: Api) -> int:
    """Answers that were handed to the run."""
    counted = sa.select(sa.func.count()).where(deliveries.c.brand == api.brand, deliveries.c.kind == "answer")
    async with api.engine.database.reading() as connection:
        return int((await connection.execute(counted)).scalar_one())


class TestTeamsAndSkills:
    async def test_a_key_without_the_skill_is_told_why_and_who_may(self, api: Api) -> None:
        task_id, person = await opened(api, skill="aml"), await hired(api, "olena")
        bingo = await api.client("tasks:work", name="bingo-desk")
        for refused in (
            await says(bingo, task_id, APPROVE),
            await says(bingo, task_id, APPROVE, by="mallory"),
            await bingo.post(f"/v1/tasks/{task_id}/claim"),
        ):
            problem = refused.json()
            assert (refused.status_code, problem["type"], problem["rule"]) == (403, PROBLEM, "skill")
            assert problem["may"] == [person.email]
            assert person.email in problem["detail"]
        assert await heard(api) == 0

    async def test_a_key_is_no_way_round_what_a_person_lacks(self, api: Api, desk: httpx.AsyncClient) -> None:
        task_id = await opened(api, skill="aml")
        untrained = await hired(api, "ivan", skill=None)
        assert (await says(desk, task_id, APPROVE, by=untrained.email)).json()["rule"] == "skill"

    async def test_a_team_s_task_is_closed_to_others(self, api: Api, desk: httpx.AsyncClient) -> None:
        task_id, bingo = await opened(api), await hired(api, "bo", team="bingo")
        assert (await says(desk, task_id, APPROVE, by=bingo.email)).json()["rule"] == "team"
        bound = await api.client("tasks:work", teams=["bingo"])
        assert (await says(bound, task_id, APPROVE)).json()["rule"] == "team"

    async def test_nobody_is_passed_a_task_they_may_not_answer(self, api: Api, desk: httpx.AsyncClient) -> None:
        task_id = await opened(api, skill="aml")
        untrained, trained = await hired(api, "ivan", skill=None), await hired(api, "olena")
        refused = await desk.post(f"/v1/tasks/{task_id}/reassign", json={"assignee": untrained.email})
        assert (refused.status_code, refused.json()["may"]) == (403, [trained.email])
        passed = await desk.post(f"/v1/tasks/{task_id}/reassign", json={"assignee": trained.email})
        assert passed.json()["assignee"] == trained.email

    async def test_the_executive_signs_by_office(self, api: Api, desk: httpx.AsyncClient) -> None:
        task_id = await opened(api, skill="executive", team="vip-head")
        checker = await hired(api, "olena", team="vip-head")
        chief = await hired(api, "chief", role="executive", team="vip-head", skill=None)
        refused = await says(desk, task_id, APPROVE, by=checker.email)
        assert (refused.json()["rule"], refused.json()["may"]) == ("skill", [chief.email])
        assert (await says(desk, task_id, APPROVE, by=chief.email)).json()["state"] == "completed"


class TestNotBy:
    """`not_by=[Affordability]`: who answered that may not answer this."""

    async def test_who_checked_does_not_sign(self, api: Api, desk: httpx.AsyncClient) -> None:
        olena, ivan = await hired(api, "olena"), await hired(api, "ivan")
        checked = await opened(api)
        assert (await says(desk, checked, APPROVE, by=olena.email)).status_code == 200
        signing = await opened(api, **LATER)
        refused = await says(desk, signing, APPROVE, by=olena.id)
        assert (refused.json()["rule"], refused.json()["may"]) == ("earlier", [ivan.email])
        assert "ask:Affordability#1" in refused.json()["detail"]
        assert (await says(desk, signing, APPROVE, by=ivan.email)).json()["answered_by"] == ivan.email

    async def test_an_invented_name_is_no_pair_of_eyes(self, api: Api, desk: httpx.AsyncClient) -> None:
        assert (await says(desk, await opened(api), APPROVE, by="mallory")).status_code == 200
        refused = await says(desk, await opened(api, **LATER), APPROVE, by="oscar")
        assert (refused.json()["rule"], "oscar is nobody who is registered" in refused.json()["detail"]) == (
            "nameless",
            True,
        )

    async def test_the_database_refuses_the_signature_whatever_the_code_does(
        self, api: Api, desk: httpx.AsyncClient
    ) -> None:
        olena = await hired(api, "olena")
        await says(desk, await opened(api), APPROVE, by=olena.email)
        signing = await opened(api, **LATER)
        row = {"task_id": signing, "round": 0, "brand": api.brand, "signer_id": olena.id, "signer": "x", "at": NOW}
        with pytest.raises(IntegrityError, match="pk_task_signatures"):
            async with api.engine.database.transaction() as connection:
                await connection.execute(sa.insert(task_signatures).values(row))


class TestApprovals:
    """`approvals=2`: an answer counts when two have given the same."""

    async def test_the_first_proposes_and_the_second_approves(self, api: Api, desk: httpx.AsyncClient) -> None:
        olena, ivan = await hired(api, "olena"), await hired(api, "ivan")
        task_id = await opened(api, approvals=2)
        first = (await says(desk, task_id, APPROVE, by=olena.email)).json()
        assert (first["state"], first["proposal"], first["answer"], first["assignee"]) == ("open", APPROVE, None, None)
        again = (await says(desk, task_id, APPROVE, by=olena.email)).json()
        assert (again["state"], again["version"]) == ("open", first["version"])
        assert (await desk.post(f"/v1/tasks/{task_id}/claim", headers={"X-Actor": olena.email})).status_code == 403
        assert await heard(api) == 0
        second = (await says(desk, task_id, APPROVE, by=ivan.email)).json()
        assert (second["state"], second["answer"], second["proposal"]) == ("completed", APPROVE, None)
        assert await heard(api) == 1
        assert [line["action"] for line in second["history"]] == ["opened", "proposed", "completed"]

    async def test_another_answer_is_proposed_anew(self, api: Api, desk: httpx.AsyncClient) -> None:
        olena, ivan, chief = [await hired(api, name) for name in ("olena", "ivan", "chief")]
        checked = await opened(api)
        await says(desk, checked, APPROVE, by=chief.email)
        task_id = await opened(api, step="ask:S#1", form="S", approvals=2, not_by=["Affordability"])
        await says(desk, task_id, APPROVE, by=olena.email)
        assert (await says(desk, task_id, REJECT, by=ivan.email)).json()["proposal"] == REJECT
        assert (await says(desk, task_id, REJECT, by=chief.email)).json()["rule"] == "earlier", "in every round"
        agreed = (await says(desk, task_id, REJECT, by=olena.email)).json()
        assert (agreed["state"], agreed["answer"]) == ("completed", REJECT)

    async def test_of_many_who_approve_at_once_exactly_two_count(self, api: Api, desk: httpx.AsyncClient) -> None:
        task_id = await opened(api, approvals=2)
        people = [await hired(api, f"p{number}") for number in range(6)]
        answers = await asyncio.gather(*(says(desk, task_id, APPROVE, by=one.email) for one in people))
        assert {answer.status_code for answer in answers} == {200}
        signed = sa.select(sa.func.count()).where(task_signatures.c.task_id == task_id)
        async with api.engine.database.reading() as connection:
            assert (await connection.execute(signed)).scalar_one() == 2
        assert await heard(api) == 1


class TestOnePersonInTwoGuises:
    """Whoever holds two keys, or a key besides their own name, is one pair of eyes."""

    async def test_a_person_and_the_desk_s_key_that_they_use_are_one(self, api: Api, desk: httpx.AsyncClient) -> None:
        olena, ivan = await hired(api, "olena"), await hired(api, "ivan")
        task_id = await opened(api, approvals=2)
        assert (await says(desk, task_id, APPROVE, by=olena.email)).json()["proposal"] == APPROVE
        for guise in (None, "mallory"):
            refused = await says(desk, task_id, APPROVE, by=guise)
            assert (refused.status_code, refused.json()["rule"]) == (403, "nameless"), guise
            assert refused.json()["may"] == [ivan.email]
        assert await heard(api) == 0
        assert (await says(desk, task_id, APPROVE, by=ivan.email)).json()["state"] == "completed"

    async def test_a_person_with_a_key_of_their_own_is_one(self, api: Api, desk: httpx.AsyncClient) -> None:
        olena, own = await hired(api, "olena"), await api.client("tasks:work", name="hers", skills=["aml"])
        task_id = await opened(api, approvals=2)
        assert (await says(own, task_id, APPROVE)).json()["rule"] == "nameless"
        assert (await says(desk, task_id, APPROVE, by=olena.email)).status_code == 200
        assert (await says(own, task_id, APPROVE)).json()["rule"] == "nameless"
        assert (await says(own, task_id, APPROVE, by=olena.email)).json()["state"] == "open", "through either key"
        assert await heard(api) == 0

    async def test_who_checked_by_their_name_signs_by_no_key(self, api: Api, desk: httpx.AsyncClient) -> None:
        olena, own = await hired(api, "olena"), await api.client("tasks:work", name="hers")
        await says(desk, await opened(api), APPROVE, by=olena.email)
        signing = await opened(api, **LATER)
        for client in (desk, own):
            assert (await says(client, signing, APPROVE)).json()["rule"] == "nameless"
        assert await heard(api) == 1

    async def test_who_checked_by_the_desk_s_key_alone_signs_by_no_name(
        self, api: Api, desk: httpx.AsyncClient
    ) -> None:
        olena, bingo = await hired(api, "olena"), await api.client("tasks:work", name="bingo-desk")
        await says(desk, await opened(api), APPROVE)
        signing = await opened(api, **LATER)
        assert (await says(desk, signing, APPROVE, by=olena.email)).json()["rule"] == "earlier"
        assert (await says(bingo, signing, APPROVE, by=olena.email)).json()["state"] == "completed"

    @pytest.mark.parametrize("names", [(None, None), ("mallory", "oscar"), ("mallory", "mallory")])
    async def test_where_nobody_is_registered_a_key_is_told_whom_to_register(
        self, api: Api, desk: httpx.AsyncClient, names: tuple[str | None, str | None]
    ) -> None:
        other = await api.client("tasks:work", name="other-desk", skills=["aml"])
        task_id, checked = await opened(api, approvals=2, skill="aml"), await opened(api, step="ask:Affordability#2")
        assert (await says(desk, checked, APPROVE, by=names[0])).status_code == 200
        for asked, about in ((task_id, "the same answer from 2 people"), (await opened(api, **LATER), "another pair")):
            for client, name in ((desk, names[0]), (other, names[1])):
                refused = await says(client, asked, APPROVE, by=name)
                problem = refused.json()
                assert (refused.status_code, problem["rule"], problem["may"]) == (403, "nameless", [])
                assert about in problem["detail"]
                assert (
                    f"journeys people add ADDRESS --name NAME --brand {api.brand} --role manager --team vip"
                    in (problem["detail"])
                )
        assert " --skill aml` or POST /v1/people" in (await says(desk, task_id, APPROVE)).json()["detail"]
        assert await heard(api) == 1

    async def test_with_two_registered_one_desk_s_key_is_enough_for_both(
        self, api: Api, desk: httpx.AsyncClient
    ) -> None:
        task_id = await opened(api, approvals=2, skill="aml")
        assert (await says(desk, task_id, APPROVE, by="olena")).json()["rule"] == "nameless"
        olena = await hired(api, "olena")
        assert (await says(desk, task_id, APPROVE, by=olena.email)).json()["proposal"] == APPROVE
        assert (await says(desk, task_id, APPROVE, by=olena.email)).json()["state"] == "open"
        alone = (await says(desk, task_id, APPROVE)).json()
        assert "Nobody else who may is registered" in alone["detail"]
        ivan = await hired(api, "ivan")
        assert (await says(desk, task_id, APPROVE, by=ivan.email)).json()["state"] == "completed"

    async def test_what_a_key_alone_signed_once_is_no_approval_and_stands_in_nobody_s_way(
        self, api: Api, desk: httpx.AsyncClient
    ) -> None:
        olena, ivan = await hired(api, "olena"), await hired(api, "ivan")
        task_id = await opened(api, approvals=2)
        await says(desk, task_id, APPROVE, by=olena.email)
        by_key = "UPDATE task_signatures SET signer_id = key_id, signer = 'desk' WHERE task_id = :task"
        await execute(api.engine.database, by_key, task=task_id)
        assert (await says(desk, task_id, APPROVE, by=ivan.email)).json()["state"] == "open"
        assert await heard(api) == 0
        assert (await says(desk, task_id, APPROVE, by=olena.email)).json()["state"] == "completed"

    async def test_who_signed_by_an_old_name_alone_is_known_by_it(self, api: Api, desk: httpx.AsyncClient) -> None:
        olena = await hired(api, "olena")
        task_id = await opened(api, approvals=2)
        await says(desk, task_id, APPROVE, by=olena.email)
        async with api.engine.database.transaction() as connection:
            signed = sa.update(task_signatures).where(task_signatures.c.task_id == task_id)
            await connection.execute(signed.values(signer_id=f"name:{olena.email}", signer=olena.email.upper()))
        assert (await says(desk, task_id, APPROVE, by=olena.email)).json()["state"] == "open"
        assert await heard(api) == 0


async def test_the_history_says_by_whose_key_somebody_acted(api: Api, desk: httpx.AsyncClient) -> None:
    task_id, olena = await opened(api), await hired(api, "olena")
    await says(desk, task_id, APPROVE, by=olena.email)
    async with api.engine.database.reading() as connection:
        line = (
            await connection.execute(
                sa.select(task_history).where(task_history.c.task_id == task_id).order_by(task_history.c.id.desc())
            )
        ).first()
    assert line is not None
    assert (line.actor, line.actor_id, line.detail) == (olena.email, olena.id, {"key": "desk"})
    assert line.key_id is not None
