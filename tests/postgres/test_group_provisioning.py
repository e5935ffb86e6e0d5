"""What groups of an identity provider give: they seed, and what stands in Postgres decides."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from activities.actors import Actor
from activities.group_provisioning import PROVISIONER, SignedInGroups, begin_by_groups, give_by_groups
from activities.people import Person, find_person, give, grants_of, take_back
from activities.settings import GroupGrant, Settings
from tests.support.api_client import Api, serving
from workflows.errors import DesignError


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url) as api:
        yield api


class Company:
    """A brand whose provider has two groups."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.now = datetime.now(UTC)
        self.given = {
            "hosts": (GroupGrant(brand=api.brand, roles=("manager",), teams=("vip",)),),
            "aml": (GroupGrant(brand=api.brand, skills=("aml",)),),
        }

    @property
    def boss(self) -> Actor:
        return Actor(self.api.brand, "boss", id="boss")

    async def signs_in(self, *groups: str) -> set[str]:
        """Somebody signs in with these groups; what they have afterwards."""
        who = SignedInGroups(f"olena@{self.api.brand}.example", "Olena", groups)
        async with self.api.engine.database.transaction() as connection:
            await begin_by_groups(connection, who, self.given, self.now)
            person = await find_person(connection, self.api.brand, who.email)
            assert person is not None
            await give_by_groups(connection, person, groups, self.given, self.now)
        return await self.has(person)

    async def has(self, person: Person) -> set[str]:
        async with self.api.engine.database.reading() as connection:
            grants = await grants_of(connection, self.api.brand, [person.id], datetime.now(UTC))
        return {f"{one.kind} {one.name} by {one.granted_by}" for one in grants}

    async def person(self) -> Person:
        async with self.api.engine.database.reading() as connection:
            found = await find_person(connection, self.api.brand, f"olena@{self.api.brand}.example")
        assert found is not None
        return found


@pytest.fixture
def company(api: Api) -> Company:
    return Company(api)


HOST = {f"role manager by {PROVISIONER}", f"team vip by {PROVISIONER}"}


async def test_who_is_in_a_group_works_here_with_what_it_gives(company: Company) -> None:
    assert await company.signs_in("hosts", "unknown") == HOST
    assert await company.signs_in("hosts") == HOST


async def test_what_a_group_gave_goes_with_the_group_and_comes_back_with_it(company: Company) -> None:
    await company.signs_in("hosts", "aml")
    assert await company.signs_in("hosts") == HOST
    assert await company.signs_in("hosts", "aml") == HOST | {f"skill aml by {PROVISIONER}"}


async def test_what_somebody_took_back_stays_taken_back_whatever_the_groups_say(company: Company) -> None:
    await company.signs_in("hosts")
    person = await company.person()
    async with company.api.engine.database.transaction() as connection:
        await take_back(connection, person, "role", "manager", company.boss, company.now)
    assert await company.signs_in("hosts") == {f"team vip by {PROVISIONER}"}


async def test_what_was_given_by_hand_is_not_touched(company: Company) -> None:
    await company.signs_in("hosts")
    person = await company.person()
    async with company.api.engine.database.transaction() as connection:
        await give(connection, person, "role", "head", company.boss, company.now)
        await give(connection, person, "team", "vip", company.boss, company.now)
    assert await company.signs_in("aml") == {"role head by boss", "team vip by boss", f"skill aml by {PROVISIONER}"}


def test_a_role_that_is_none_is_told_at_the_start() -> None:
    given = {"hosts": [{"brand": "acme", "roles": ["emperor"]}]}
    with pytest.raises((ValueError, DesignError), match="is no role"):
        Settings(database_url="postgresql://nowhere", oidc_groups=given)  # type: ignore[arg-type]  # as it comes
