"""What groups of an identity provider give: they seed, and what stands in Postgres decides."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from activities.actors import Actor
from activities.group_provisioning import PROVISIONER, SignedInGroups, sign_in_with_groups
from activities.people import Person, add_person, find_person, give, grants_of, leave_brand, take_back
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
            "elsewhere": (GroupGrant(brand=self.other, roles=("support",)),),
        }

    @property
    def other(self) -> str:
        """Another brand of the company."""
        return f"{self.api.brand}-b"[-32:].lstrip("-")

    @property
    def boss(self) -> Actor:
        return Actor(self.api.brand, "boss", id="boss")

    async def signs_in(self, *groups: str) -> set[str]:
        """Somebody signs in with these groups; what they have afterwards."""
        who = SignedInGroups(f"olena@{self.api.brand}.example", "Olena", groups)
        async with self.api.engine.database.transaction() as connection:
            subject = f"olena of {self.api.brand}"
            person = await sign_in_with_groups(connection, who, "https://id.example", subject, self.given, self.now)
        return set() if person is None else await self.has(person)

    async def has(self, person: Person) -> set[str]:
        async with self.api.engine.database.reading() as connection:
            brands = [one for one in person.brands if one != self.api.brand]
            found = {
                brand: await grants_of(connection, brand, [person.id], datetime.now(UTC))
                for brand in (self.api.brand, *brands)
            }
        return {
            f"{one.kind} {one.name} by {one.granted_by}{'' if brand == self.api.brand else f' in {self.other}'}"
            for brand, grants in found.items()
            for one in grants
        }

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


async def test_what_groups_gave_goes_when_no_group_gives_anything_any_more(company: Company) -> None:
    assert await company.signs_in("hosts") == HOST
    company.given = {}
    assert await company.signs_in("hosts") == set()


async def test_who_works_in_one_brand_comes_into_another_with_its_group(company: Company) -> None:
    assert await company.signs_in("hosts") == HOST
    both = HOST | {f"role support by {PROVISIONER} in {company.other}"}
    assert await company.signs_in("hosts", "elsewhere") == both


async def test_a_brand_that_somebody_had_to_leave_no_group_brings_back(company: Company) -> None:
    await company.signs_in("hosts", "elsewhere")
    async with company.api.engine.database.transaction() as connection:
        by = Actor(company.other, "boss", id="boss")
        await leave_brand(connection, await company.person(), company.other, by, company.now)
    assert await company.signs_in("hosts", "elsewhere") == HOST
    assert (await company.person()).brands == (company.api.brand,)
    async with company.api.engine.database.transaction() as connection:
        await add_person(connection, company.other, f"olena@{company.api.brand}.example", "Olena", company.now)
    assert (await company.person()).brands == (company.api.brand, company.other)
