"""People: who they are, what they are given, by whom and until when, and as whom they act."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from activities.actors import Actor
from activities.people import NotGiven, Person, actor_of, add_person, find_person, give, holders, sign_in, take_back
from activities.roles import ROLES
from activities.tables import api_keys, person_grants
from tests.support.api_client import Api, serving
from tests.support.machine import eventually

NOW = datetime.now(UTC)
ISSUER = "https://id.example.com"
OLENA = {"email": "Olena@example.com", "name": "Olena K.", "locale": "uk", "zone": "Europe/Kyiv"}


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, journeys="tests.support.api_journeys") as application:
        yield application


@pytest.fixture
async def admin(api: Api) -> httpx.AsyncClient:
    return await api.client("people:manage", "tasks:work", name="admin")


async def made(api: Api, email: str = "olena@example.com", **given: str) -> Person:
    """A person with a role, a team and a skill, if named."""
    address = email.replace("@", f"@{api.brand}.")
    async with api.engine.database.transaction() as connection:
        person = await add_person(connection, api.brand, address, "Olena", NOW)
        for kind in ("role", "team", "skill"):
            if kind in given:
                await give(connection, person, kind, given[kind], giver(api), NOW)
    return person


def giver(api: Api) -> Actor:
    return Actor(api.brand, "boss", id="key-of-the-boss")


async def acting(api: Api, who: str, now: datetime = NOW) -> Actor | None:
    async with api.engine.database.reading() as connection:
        return await actor_of(connection, api.brand, who, now)


async def test_a_person_is_added_given_things_and_listed_with_them(api: Api, admin: httpx.AsyncClient) -> None:
    address = f"olena@{api.brand}.example"
    added = await admin.post("/v1/people", json=OLENA | {"email": address.upper()})
    assert (added.status_code, added.json()["email"], added.json()["grants"]) == (201, address, [])
    person_id = added.json()["id"]
    for what in ("roles/manager", "teams/vip"):
        assert (await admin.put(f"/v1/people/{person_id}/{what}")).status_code == 200
    until = {"until": "2099-01-15T00:00:00Z", "reason": "Certificate."}
    given = (await admin.put(f"/v1/people/{address}/skills/aml", json=until)).json()["grants"]
    assert [(one["kind"], one["name"], one["granted_by"]) for one in given] == [
        ("role", "manager", "admin"),
        ("skill", "aml", "admin"),
        ("team", "vip", "admin"),
    ]
    (listed,) = (await admin.get("/v1/people")).json()["items"]
    assert listed["grants"] == given
    taken = (await admin.delete(f"/v1/people/{person_id}/skills/aml")).json()["grants"]
    assert [one["name"] for one in taken] == ["manager", "vip"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"email": "o'brien@example.com"}, "/email"),
        ({"email": "nobody"}, "/email"),
        ({"zone": "Mars/Phobos"}, "/zone"),
        ({"locale": "English"}, "/locale"),
    ],
)
async def test_what_is_no_address_zone_or_language_is_pointed_at(
    admin: httpx.AsyncClient, body: dict[str, str], pointer: str
) -> None:
    answer = await admin.post("/v1/people", json=OLENA | body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


@pytest.mark.parametrize("what", ["roles/king", "skills/executive", "teams/VIP"])
async def test_what_cannot_be_given_is_refused_with_a_sentence(api: Api, admin: httpx.AsyncClient, what: str) -> None:
    person = await made(api)
    answer = await admin.put(f"/v1/people/{person.id}/{what}")
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "given")


async def test_an_end_that_is_past_is_refused(api: Api, admin: httpx.AsyncClient) -> None:
    person = await made(api)
    answer = await admin.put(f"/v1/people/{person.id}/teams/vip", json={"until": "2020-01-01T00:00:00Z"})
    assert answer.status_code == 422


async def test_who_has_left_acts_no_more(api: Api, admin: httpx.AsyncClient) -> None:
    person = await made(api, role="manager")
    assert (await acting(api, person.id)) is not None
    left = await admin.patch(f"/v1/people/{person.id}", json={"active": False})
    assert left.json()["active"] is False
    assert await acting(api, person.id) is None
    desk = await api.client("tasks:work")
    assert (await desk.get("/v1/me", headers={"X-Actor": person.email})).status_code == 403


async def test_who_works_in_two_brands_can_be_made_to_leave_one(api: Api, admin: httpx.AsyncClient) -> None:
    person = await made(api, role="manager")
    other = f"{api.brand}-2"
    async with api.engine.database.transaction() as connection:
        again = await add_person(connection, other, person.email, "Somebody else", NOW)
        assert (again.id, again.name, set(again.brands)) == (person.id, "Olena", {api.brand, other})
    refused = await admin.patch(f"/v1/people/{person.id}", json={"active": False})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:journeys:problem:other-brands")
    assert (await admin.delete(f"/v1/people/{person.id}")).status_code == 204
    assert (await admin.get(f"/v1/people/{person.id}")).status_code == 404
    async with api.engine.database.reading() as connection:
        stays = await find_person(connection, other, person.id)
    assert stays is not None
    assert stays.brands == (other,)


async def test_a_role_gives_its_scopes_and_what_it_attests(api: Api) -> None:
    person = await made(api, role="executive", team="vip-head")
    actor = await acting(api, person.email)
    assert actor is not None
    assert (actor.kind, actor.id, actor.name) == ("person", person.id, person.email)
    assert (actor.scopes, actor.teams, actor.skills) == (
        ROLES["executive"].scopes,
        frozenset({"vip-head"}),
        frozenset({"executive"}),
    )


async def test_a_skill_ends_on_its_day(api: Api) -> None:
    person = await made(api, role="compliance")
    day = timedelta(days=1)
    async with api.engine.database.transaction() as connection:
        await give(connection, person, "skill", "safer-gambling", giver(api), NOW, until=NOW + day)
        there = await holders(connection, api.brand, "skill", "safer-gambling", NOW)
        gone = await holders(connection, api.brand, "skill", "safer-gambling", NOW + day)
    trained, lapsed = await acting(api, person.id), await acting(api, person.id, NOW + day)
    assert trained is not None
    assert lapsed is not None
    assert (trained.skills, lapsed.skills) == (frozenset({"safer-gambling"}), frozenset())
    assert ([one.id for one in there], [*gone]) == ([person.id], [])


async def test_nobody_gives_anything_to_themselves(api: Api) -> None:
    person = await made(api, role="admin")
    oneself = Actor(api.brand, person.email, "person", person.id)
    async with api.engine.database.transaction() as connection:
        with pytest.raises(NotGiven, match="themselves"):
            await give(connection, person, "role", "executive", oneself, NOW)


async def test_the_database_refuses_what_somebody_gives_to_themselves(api: Api) -> None:
    person = await made(api)
    row = {"person_id": person.id, "brand": api.brand, "kind": "role", "name": "executive"}
    with pytest.raises(IntegrityError, match="by_another"):
        async with api.engine.database.transaction() as connection:
            await connection.execute(insert(person_grants).values(**row, granted_by="me", granted_by_id=person.id))


async def test_the_record_says_what_was_given_before_and_who_took_it(api: Api) -> None:
    person = await made(api, team="vip")
    async with api.engine.database.transaction() as connection:
        assert await take_back(connection, person, "team", "vip", giver(api), NOW)
        assert not await take_back(connection, person, "team", "vip", giver(api), NOW)
        rows = await connection.execute(person_grants.select().where(person_grants.c.person_id == person.id))
        assert [(row.name, row.revoked_by) for row in rows] == [("vip", "boss")]


async def test_the_first_sign_in_ties_the_subject_to_the_address_and_no_later_one_does(api: Api) -> None:
    person = await made(api)
    subject = f"sub-{api.brand}"
    async with api.engine.database.transaction() as connection:
        assert await sign_in(connection, ISSUER, subject, NOW) is None
        first = await sign_in(connection, ISSUER, subject, NOW, email=person.email.upper())
        again = await sign_in(connection, ISSUER, subject, NOW)
        other = await sign_in(connection, ISSUER, "somebody else", NOW, email=person.email)
    assert first is not None
    assert again is not None
    assert (first.id, again.id, other) == (person.id, person.id, None)


async def test_a_key_says_when_it_was_used_last(api: Api) -> None:
    caller = await api.client("tasks:work", name="desk")

    async def used() -> object:
        chosen = sa.select(api_keys.c.last_used_at).where(api_keys.c.brand == api.brand)
        async with api.engine.database.reading() as connection:
            return (await connection.execute(chosen)).scalar_one()

    assert await used() is None
    assert (await caller.get("/v1/me")).status_code == 200
    await eventually(used)


class TestDesks:
    """A desk's key names the person: both must have what is asked."""

    async def test_the_person_acts_with_what_both_have(self, api: Api) -> None:
        person = await made(api, role="compliance", team="vip", skill="aml")
        async with api.engine.database.transaction() as connection:
            await give(connection, person, "skill", "safer-gambling", giver(api), NOW)
        desk = await api.client("tasks:work", skills=["aml"], name="desk")
        me = (await desk.get("/v1/me", headers={"X-Actor": person.email})).json()
        assert (me["kind"], me["id"], me["scopes"], me["teams"], me["skills"]) == (
            "person",
            person.id,
            ["tasks:work"],
            ["vip"],
            ["aml"],
        )

    async def test_whom_nobody_knows_is_the_key_under_another_name(self, api: Api) -> None:
        desk = await api.client("tasks:work", name="desk")
        me = [(await desk.get("/v1/me", headers={"X-Actor": name})).json() for name in ("mallory", "oscar")]
        assert [one["name"] for one in me] == ["mallory", "oscar"]
        assert me[0]["id"] == me[1]["id"]
        assert {one["kind"] for one in me} == {"key"}

    async def test_a_desk_lends_its_scope_to_nobody(self, api: Api) -> None:
        person = await made(api, role="designer")
        desk = await api.client("admin", name="desk")
        answer = await desk.post("/v1/people", json=OLENA, headers={"X-Actor": person.email})
        assert answer.status_code == 403
        assert person.email in answer.json()["detail"]
