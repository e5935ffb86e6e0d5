"""Signing in and out, at a real identity provider, and what tries to get in otherwise."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import select, update

from activities.console_sessions import IDLE, LONGEST, hash_of
from activities.tables import sessions, sign_ins
from api.console.sign_in import BROWSER_COOKIE
from api.console.visitor import PROOF_HOLDS, SESSION_COOKIE, safe_return
from local.development_people import BRAND, PEOPLE, add_people
from tests.support.console import JOINED, Console, Desk


class Traveller:
    """A browser without pages: it keeps cookies of both servers, and goes where it is sent, a step at a time."""

    def __init__(self, console: Console, client: httpx.AsyncClient) -> None:
        self.console = console
        self.client = client
        #: By port: cookies that are marked Secure are sent on loopback, as browsers do.
        self.cookies: dict[str, dict[str, str]] = {}

    async def go(self, method: str, url: str, **given: str) -> httpx.Response:
        where = httpx.URL(self.console.url).join(url)
        jar = self.cookies.setdefault(str(where.port), {})
        cookie = "; ".join(f"{name}={value}" for name, value in jar.items())
        answer = await self.client.request(method, where, headers={"Cookie": cookie}, data=given or None)
        for line in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                jar[name] = morsel.value
                if not morsel.value:
                    del jar[name]
        return answer

    async def begin(self, to: str = "/console/") -> str:
        """To the choice of people at the provider, or back at once where it knows who this is; the address."""
        answer = await self.go("GET", f"/sign-in?to={to}")
        assert answer.status_code == 303
        answer = await self.go("GET", answer.headers["location"])
        return str(httpx.URL(str(answer.request.url)).join(answer.headers["location"]))

    async def choose(self, choice: str, sub: str) -> str:
        """Be somebody at the provider; where the provider sends them back to."""
        if "/sign-in/callback" in choice:
            return choice
        answer = await self.go("POST", choice, sub=sub)
        while "/sign-in/callback" not in answer.headers["location"]:
            answer = await self.go("GET", str(answer.request.url.join(answer.headers["location"])))
        return answer.headers["location"]

    async def sign_in(self, sub: str, to: str = "/console/") -> httpx.Response:
        return await self.go("GET", await self.choose(await self.begin(to), sub))

    @property
    def session(self) -> str | None:
        return self.cookies.get(str(httpx.URL(self.console.url).port), {}).get(SESSION_COOKIE)


@pytest.fixture
async def traveller(console: Console) -> AsyncIterator[Traveller]:
    await add_people(console.api.engine.database, datetime.now(UTC))
    async with httpx.AsyncClient() as client:
        yield Traveller(console, client)


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.role[0])
async def test_a_person_of_each_role_signs_in_and_lands_where_they_work(traveller: Traveller, person: object) -> None:
    assert isinstance(person, type(PEOPLE[0]))
    answer = await traveller.sign_in(person.sub)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/")
    answer = await traveller.go("GET", "/console/")
    assert answer.headers["location"] == f"/console/{BRAND}"
    answer = await traveller.go("GET", answer.headers["location"])
    page = await traveller.go("GET", answer.headers["location"])
    assert page.status_code == 200
    assert person.name in page.text


async def test_the_session_is_a_cookie_that_no_script_reads_and_no_other_site_gets(traveller: Traveller) -> None:
    answer = await traveller.sign_in("olena")
    (line,) = [one for one in answer.headers.get_list("set-cookie") if one.startswith(SESSION_COOKIE)]
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax"} <= set(line.split("; "))
    assert SESSION_COOKIE.startswith("__Host-")


async def test_the_provider_is_asked_with_a_challenge_that_belongs_to_the_verifier(traveller: Traveller) -> None:
    answer = await traveller.go("GET", "/sign-in")
    asked = {name: value[0] for name, value in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    async with traveller.console.api.engine.database.reading() as connection:
        state_hash = hashlib.sha256(asked["state"].encode()).hexdigest()
        row = (await connection.execute(select(sign_ins).where(sign_ins.c.state_hash == state_hash))).one()
    challenge = base64.urlsafe_b64encode(hashlib.sha256(row.verifier.encode()).digest()).rstrip(b"=").decode()
    assert (asked["code_challenge"], asked["code_challenge_method"]) == (challenge, "S256")
    assert (asked["nonce"], asked["response_type"]) == (row.nonce, "code")


@pytest.mark.parametrize("sub", ["stranger", "mallory"])
async def test_who_does_not_work_here_or_cannot_prove_an_address_gets_no_session(
    traveller: Traveller, sub: str
) -> None:
    answer = await traveller.sign_in(sub)
    assert answer.status_code == 403
    assert "You do not work here" in answer.text
    assert traveller.session is None


async def test_a_session_from_before_is_replaced_and_ended(traveller: Traveller) -> None:
    await traveller.sign_in("olena")
    before = traveller.session
    assert before is not None
    await traveller.sign_in("olena")
    assert traveller.session not in {None, before}
    answer = await _desk(traveller, before).get(f"/console/{BRAND}/inbox")
    assert answer.status_code == 303


async def test_a_session_that_somebody_else_chose_is_never_taken_up(traveller: Traveller) -> None:
    port = str(httpx.URL(traveller.console.url).port)
    traveller.cookies[port] = {SESSION_COOKIE: "chosen-by-somebody-else"}
    await traveller.sign_in("olena")
    assert traveller.session != "chosen-by-somebody-else"


async def test_an_answer_is_taken_once_and_only_from_the_browser_that_asked(traveller: Traveller) -> None:
    back = await traveller.choose(await traveller.begin(), "olena")
    thief = Traveller(traveller.console, traveller.client)
    thief.cookies[str(httpx.URL(traveller.console.url).port)] = {BROWSER_COOKIE: "another"}
    assert (await thief.go("GET", back)).status_code == 400
    assert thief.session is None
    assert (await traveller.go("GET", back)).status_code == 303
    assert (await traveller.go("GET", back)).status_code == 400


async def test_two_tabs_sign_in_beside_each_other(traveller: Traveller) -> None:
    one = (await traveller.go("GET", "/sign-in?to=/console/demo/inbox")).headers["location"]
    two = (await traveller.go("GET", "/sign-in?to=/console/demo/players")).headers["location"]
    for url, wanted in ((two, "/console/demo/players"), (one, "/console/demo/inbox")):
        answer = await traveller.go("GET", url)
        back = await traveller.choose(str(answer.request.url.join(answer.headers["location"])), "olena")
        assert (await traveller.go("GET", back)).headers["location"] == wanted


@pytest.mark.parametrize("iss", ["http://127.0.0.1:9", ""])
async def test_an_answer_of_another_provider_is_refused(traveller: Traveller, iss: str) -> None:
    back = await traveller.choose(await traveller.begin(), "olena")
    mixed_up = re.sub(r"&?iss=[^&]*", "", back) + (f"&iss={iss}" if iss else "")
    answer = await traveller.go("GET", mixed_up)
    assert answer.status_code == 502
    assert traveller.session is None


@pytest.mark.parametrize(
    "to",
    [
        *("//evil.example", "https://evil.example/console/", "/\\evil.example", "/console/\n/x", "javascript:alert(1)"),
        *("/v1/players", "", "console/", "/console/" + "x" * 3_000, "http:/console/"),
    ],
)
def test_after_signing_in_nobody_is_sent_elsewhere(to: str) -> None:
    assert safe_return(to) == "/console/"


def test_after_signing_in_somebody_is_where_they_wanted_to_be() -> None:
    assert safe_return("/console/acme/tasks/1?tab=team") == "/console/acme/tasks/1?tab=team"


async def test_signing_out_ends_the_session_here_and_leads_to_the_provider(traveller: Traveller) -> None:
    await traveller.sign_in("olena")
    secret = traveller.session
    assert secret is not None
    desk = _desk(traveller, secret)
    answer = await desk.post("/sign-out")
    assert answer.headers["location"].startswith(traveller.console.api.engine.settings.oidc_issuer)
    assert (await desk.get(f"/console/{BRAND}/inbox")).status_code == 303


async def test_signing_out_at_the_provider_ends_the_session_here(traveller: Traveller) -> None:
    await traveller.sign_in("olena")
    secret, issuer = traveller.session, traveller.console.api.engine.settings.oidc_issuer
    assert secret is not None
    asked = await traveller.go("GET", f"{issuer}/session/end?client_id=console")
    xsrf = re.search(r'name="xsrf" value="(\w+)"', asked.text)
    assert xsrf is not None
    await traveller.go("POST", f"{issuer}/session/end/confirm", xsrf=xsrf[1], logout="yes")
    assert (await _desk(traveller, secret).get(f"/console/{BRAND}/inbox")).status_code == 303


@pytest.mark.parametrize("token", ["", "x.y.z", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJvbGVuYSJ9."])
async def test_a_logout_that_the_provider_did_not_sign_ends_nothing(traveller: Traveller, token: str) -> None:
    await traveller.sign_in("olena")
    answer = await traveller.go("POST", "/sign-out/back-channel", logout_token=token)
    assert answer.status_code == 400
    assert traveller.session is not None
    assert (await _desk(traveller, traveller.session).get(f"/console/{BRAND}/inbox")).status_code == 200


@pytest.mark.parametrize(
    ("column", "ago"), [("seen_at", IDLE), ("created_at", LONGEST)], ids=["left alone", "twelve hours old"]
)
async def test_a_session_ends_by_itself(console: Console, column: str, ago: timedelta) -> None:
    desk = await console.desk("manager")
    assert (await desk.get(f"/console/{console.api.brand}/inbox")).status_code == 200
    async with console.api.engine.database.transaction() as connection:
        past = datetime.now(UTC) - ago
        whose = sessions.c.person_id == desk.person.id
        await connection.execute(update(sessions).where(whose).values({column: past}))
    answer = await desk.get(f"/console/{console.api.brand}/inbox?tab=team")
    wanted = f"/sign-in?to=%2Fconsole%2F{console.api.brand}%2Finbox%3Ftab%3Dteam"
    assert (answer.status_code, answer.headers["location"]) == (303, wanted)


async def test_what_changes_rights_takes_proof_that_is_a_few_minutes_old(console: Console) -> None:
    admin, other = await console.desk("admin", name="Ada"), await console.desk("manager")
    address = f"/console/{console.api.brand}/people/{other.person.id}/give"
    given = {"kind": "roles", "name": "head"}
    assert (await admin.post(address, given)).headers["location"].endswith("/people")
    async with console.api.engine.database.transaction() as connection:
        past = datetime.now(UTC) - PROOF_HOLDS - timedelta(seconds=1)
        mine = sessions.c.person_id == admin.person.id
        await connection.execute(update(sessions).where(mine).values(authenticated_at=past))
    answer = await admin.post(address, given | {"name": "executive"}, Referer=f"{console.url}{address[:-40]}")
    assert answer.headers["location"].startswith("/sign-in?again=true&to=%2Fconsole%2F")
    page = (await admin.get(f"/console/{console.api.brand}/people")).text
    assert "prove once more who you are" in page
    assert "executive</span>" not in page, "It was not given."


async def test_the_provider_asks_somebody_again_who_is_signed_in_already(traveller: Traveller) -> None:
    await traveller.sign_in("ada")
    assert "/sign-in/callback" in await traveller.begin(), "Signed in as they are, the provider asks nothing."
    asked = (await traveller.go("GET", "/sign-in?again=true&to=/console/demo/people")).headers["location"]
    assert {"prompt": ["login"], "max_age": ["0"]}.items() <= parse_qs(urlsplit(asked).query).items()
    answer = await traveller.go("GET", asked)
    choice = str(answer.request.url.join(answer.headers["location"]))
    assert "/choose/" in choice
    back = await traveller.go("GET", await traveller.choose(choice, "ada"))
    assert back.headers["location"] == "/console/demo/people"
    assert traveller.session is not None
    async with traveller.console.api.engine.database.reading() as connection:
        mine = sessions.c.id_hash == hash_of(traveller.session)
        proven = (await connection.execute(select(sessions.c.authenticated_at).where(mine))).scalar_one()
    assert datetime.now(UTC) - proven < timedelta(minutes=1)


async def test_who_is_in_a_group_works_here_from_their_first_sign_in(traveller: Traveller) -> None:
    answer = await traveller.sign_in("newcomer")
    assert answer.status_code == 303, answer.text
    inbox = await traveller.go("GET", f"/console/{JOINED}/inbox")
    assert (inbox.status_code, "Newcomer" in inbox.text) == (200, True)


def _desk(traveller: Traveller, secret: str) -> Desk:
    return Desk(None, secret, traveller.console.url)  # type: ignore[arg-type]  # who it is does not matter
