"""An ad network is told who joined an audience and, first, who is out of it; cut off anywhere it comes out the same."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from joserfc.jwk import RSAKey

from activities.audience_members import FORGET, FORGOTTEN_AFTER, ListedMember, note_added
from activities.audiences import AT_ONCE, Audience
from activities.database import Database
from activities.erasures import ErasureRequest, request_erasure
from activities.loops.audience_push import AudiencePush, AudienceTarget, audience_push
from activities.providers.ad_network import CustomAudiences
from activities.providers.data_manager import DataManager
from activities.seeds import TOP_DECILE, write_seed
from activities.settings import AdAudience, Settings
from activities.tables import audience_members, audience_syncs
from local.stand_ins.ad_network import create_app
from local.stand_ins.base import Journal
from local.stand_ins.data_manager import create_app as data_manager
from tests.support.engine import BRAND, Casino, HeldClock, connected, rows
from workflows import ConsentChanged, ExclusionSet, hours
from workflows.errors import DesignError
from workflows.events import ProfileUpdated
from workflows.gate.policy_book import of_deployment
from workflows.source.journey_loading import Registry

NOW = datetime(2026, 6, 10, 7, tzinfo=UTC)
POLICIES = of_deployment((), adults_only=True, licences={BRAND: "MT"})
URL = "http://127.0.0.1/v25.0"


def hash_of(player: str) -> str:
    return sha256(f"{player}@synthetic.example".encode()).hexdigest()


@dataclass
class Network(httpx.AsyncBaseTransport):
    """The ad network behind a line that may be cut: before a request arrives, or before its answer does."""

    journal: Journal
    cut: Literal["no", "request", "answer"] = "no"
    #: What others do before the next request arrives.
    before: Callable[[], Awaitable[object]] | None = None
    #: Audiences that it does not know.
    unknown: frozenset[str] = frozenset()
    inner: httpx.ASGITransport = field(init=False)

    def __post_init__(self) -> None:
        self.inner = httpx.ASGITransport(create_app(self.journal, "a-token"))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.cut == "request" or self.unknown.intersection(request.url.path.split("/")):
            raise httpx.ConnectError("cut")
        if (meanwhile := self.before) is not None:
            self.before = None
            await meanwhile()
        answer = await self.inner.handle_async_request(request)
        if self.cut == "answer":
            raise httpx.ReadError("cut")
        return answer

    def told(self, did: str) -> list[str]:
        """The mail hashes that it was told, in their order."""
        return [line[0] for one in self.journal.records if one["did"] == did for line in one["lines"]]

    async def there(self, audience: str = "12021") -> list[str]:
        """Who is there, by mail hashes."""
        async with httpx.AsyncClient(transport=self.inner) as http:
            return [line[0] for line in (await http.get(f"{URL}/{audience}")).json()]


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


@pytest.fixture
def casino(database: Database) -> Casino:
    return Casino.of(database, {}, HeldClock(NOW))


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(Journal(tmp_path / "ads.jsonl"))


@pytest.fixture
async def push(database: Database, casino: Casino, network: Network) -> AsyncIterator[AudiencePush]:
    async with httpx.AsyncClient(transport=network) as http:
        yield pushing(database, casino, http, "seed", TOP_DECILE)


GOOGLE = {
    "client_email": "crm@project.example",
    "token_uri": "http://127.0.0.1/token",
    "private_key": RSAKey.generate_key(2048).as_pem(private=True).decode(),
}


def pushing(database: Database, casino: Casino, http: httpx.AsyncClient, use: Any, segment: str) -> AudiencePush:
    target = AudienceTarget("best", Audience(BRAND, use, segment, "meta"), "12021")
    return AudiencePush(database, {"meta": CustomAudiences(URL, "a-token", http)}, [target], POLICIES, casino.clock)


async def best(database: Database, casino: Casino, *players: str) -> None:
    """These are the best tenth."""
    async with database.transaction() as connection:
        await write_seed(connection, BRAND, TOP_DECILE, [], players, casino.clock.now.date())


async def join(database: Database, casino: Casino, *players: str) -> None:
    """These register, agree, and are the best tenth."""
    for player in players:
        await casino.registers(player, opted_in=("ads", "profiling"), phone=None)
    await best(database, casino, *players)


async def say_no(casino: Casino, player: str) -> None:
    await casino.happens(player, ConsentChanged, channel="ads", product="all", opted_in=False)


async def test_who_may_be_in_it_is_added_once(
    database: Database, casino: Casino, network: Network, push: AudiencePush
) -> None:
    await join(database, casino, "anna", "oleh", "never")
    await say_no(casino, "never")
    assert ((await push.go()).added, sorted(await network.there())) == (2, sorted([hash_of("anna"), hash_of("oleh")]))
    casino.clock.later(hours(2))
    again = await push.go()
    assert (again.added, again.removed, len(network.journal.records)) == (0, 0, 1)


@pytest.mark.parametrize("how", ["withdrawn", "excluded"])
async def test_who_takes_it_back_or_is_protected_is_out_with_the_next_pass(
    database: Database, casino: Casino, network: Network, push: AudiencePush, how: str
) -> None:
    await join(database, casino, "anna", "oleh")
    await push.go()
    casino.clock.later(timedelta(seconds=30))
    if how == "withdrawn":
        await say_no(casino, "anna")
    else:
        await casino.happens("anna", ExclusionSet, kind="self_exclusion", until=None)
    assert (await push.go()).removed == 1
    assert await network.there() == [hash_of("oleh")]
    assert [row["player_id"] for row in await rows(database, audience_members)] == ["oleh"]


async def test_who_says_no_while_the_network_is_away_is_never_told(
    database: Database, casino: Casino, network: Network, push: AudiencePush
) -> None:
    await join(database, casino, "anna", "oleh")
    network.cut = "request"
    assert (await push.go()).failed == [f"{BRAND}/best"]
    network.cut = "no"
    casino.clock.later(hours(1))
    await say_no(casino, "anna")
    assert (await push.go()).failed == []
    assert network.told("POST") == [hash_of("oleh")]
    # It was to be told, and may have been for all we know: so it is taken out.
    assert network.told("DELETE") == [hash_of("anna")]


async def test_an_add_whose_answer_got_lost_is_taken_back_all_the_same(
    database: Database, casino: Casino, network: Network, push: AudiencePush
) -> None:
    await join(database, casino, "anna")
    network.cut = "answer"
    await push.go()
    assert await network.there() == [hash_of("anna")]
    await casino.happens("anna", ExclusionSet, kind="self_exclusion", until=None)
    assert (await push.go()).failed == [f"{BRAND}/best"]
    network.cut = "no"
    casino.clock.later(hours(1))
    await push.go()
    assert await network.there() == []
    assert await rows(database, audience_members) == []


async def test_whom_another_pass_took_out_while_they_were_added_is_taken_out_again(
    database: Database, casino: Casino, network: Network, push: AudiencePush
) -> None:
    await join(database, casino, "anna")

    async def meanwhile() -> None:
        await casino.happens("anna", ExclusionSet, kind="self_exclusion", until=None)
        assert (await push.go()).removed == 1

    network.before = meanwhile
    await push.go()
    casino.clock.later(hours(1))
    await push.go()
    assert (await network.there(), await rows(database, audience_members)) == ([], [])


async def test_whom_another_pass_added_while_they_were_taken_out_is_not_forgotten(
    database: Database, casino: Casino, network: Network, push: AudiencePush
) -> None:
    await join(database, casino, "anna")
    await push.go()
    await casino.happens("anna", ExclusionSet, kind="self_exclusion", until=None)

    async def meanwhile() -> None:
        """The answer to an add comes late, after they were claimed to be taken out."""
        late = casino.clock.now + timedelta(seconds=1)
        async with database.transaction() as connection:
            await note_added(connection, push.targets[0].place, [ListedMember("anna", hash_of("anna"), "")], late)

    casino.clock.later(timedelta(seconds=30))
    network.before = meanwhile
    await push.go()
    assert len(await rows(database, audience_members)) == 1
    casino.clock.later(hours(1))
    await push.go()
    assert (await network.there(), await rows(database, audience_members)) == ([], [])


async def test_an_audience_of_another_brand_waits_for_none_of_the_same_name(
    database: Database, casino: Casino, network: Network, push: AudiencePush
) -> None:
    await join(database, casino, "anna")
    elsewhere = AudienceTarget("best", Audience("elsewhere", "seed", TOP_DECILE, "meta"), "404")
    async with database.transaction() as connection:
        gone = [ListedMember("oleh", hash_of("oleh"), "")]
        await note_added(connection, elsewhere.place, gone, casino.clock.now)
    push.targets, network.unknown = [elsewhere, *push.targets], frozenset({"404"})
    told = await push.go()
    assert (told.failed, told.added) == (["elsewhere/best"], 1)


async def test_another_address_goes_in_the_place_of_the_old_one(
    database: Database, casino: Casino, network: Network, push: AudiencePush
) -> None:
    await join(database, casino, "anna")
    await push.go()
    casino.clock.later(hours(1))
    await casino.happens("anna", ProfileUpdated, changed={"email": "new@synthetic.example"})
    await push.go()
    assert await network.there() == [hash_of("new")]


async def test_who_is_erased_is_taken_out_and_forgotten(
    database: Database, casino: Casino, network: Network, push: AudiencePush
) -> None:
    await join(database, casino, "anna")
    await push.go()
    casino.clock.later(hours(1))
    async with database.transaction() as connection:
        asked = ErasureRequest(BRAND, "anna", "objection", "T-1", "olena")
        await request_erasure(connection, casino.intake, asked, casino.clock.now)
    await push.go()
    assert (await network.there(), await rows(database, audience_members)) == ([], [])


async def test_who_is_no_more_among_the_best_is_out_within_the_hour(
    database: Database, casino: Casino, network: Network, push: AudiencePush
) -> None:
    await join(database, casino, "anna", "oleh")
    await push.go()
    await best(database, casino, "oleh")
    casino.clock.later(hours(1))
    assert (await push.go()).removed == 1
    assert await network.there() == [hash_of("oleh")]


async def test_of_two_with_one_address_the_one_who_stays_is_told_again(
    database: Database, casino: Casino, network: Network, push: AudiencePush
) -> None:
    for player in ("anna", "oleh"):
        address = "both@synthetic.example"
        await casino.registers(player, opted_in=("ads", "profiling"), phone=None, email=address)
    await best(database, casino, "anna", "oleh")
    await push.go()
    casino.clock.later(hours(1))
    await say_no(casino, "anna")
    await push.go()
    assert await network.there() == [hash_of("both")]


async def test_a_comparison_that_is_cut_off_goes_on_behind_its_last_page(
    database: Database, casino: Casino, network: Network, push: AudiencePush
) -> None:
    names = [f"p{number:03}" for number in range(AT_ONCE + 5)]
    await join(database, casino, *names)
    looks = 0

    def cut_off() -> datetime:
        nonlocal looks
        looks += 1
        # At who has changed, at who is to be out, at a page, and at the next one.
        if looks > 3:
            raise RuntimeError("cut off")
        return casino.clock.now

    push.clock = cut_off
    with pytest.raises(RuntimeError, match="cut off"):
        await push.go()
    (sync,) = await rows(database, audience_syncs)
    assert (sync["after"], sync["compared_at"]) == (names[AT_ONCE - 1], None)
    push.clock = casino.clock
    assert (await push.go()).added == len(names)
    assert len(await network.there()) == len(names)


async def test_a_suppression_list_gets_who_is_protected_and_loses_who_refuses(
    database: Database, casino: Casino, network: Network
) -> None:
    async with httpx.AsyncClient(transport=network) as http:
        push = pushing(database, casino, http, "suppression", "regular")
        for player in ("anna", "oleh"):
            await casino.registers(player, opted_in=("ads",), phone=None)
        await casino.happens("anna", ExclusionSet, kind="self_exclusion", until=None)
        await push.go()
        assert await network.there() == [hash_of("anna")]


@pytest.mark.parametrize("called", ["meta", "google"])
async def test_a_line_that_the_network_cannot_read_is_told_and_holds_up_none_of_the_others(
    database: Database,
    casino: Casino,
    tmp_path: Path,
    called: Literal["meta", "google"],
    caplog: pytest.LogCaptureFixture,
) -> None:
    names, wrong = [f"p{number:02}" for number in range(30)], {hash_of("p07"), hash_of("p21")}
    journal = Journal(tmp_path / "ads.jsonl")
    app = create_app(journal, "a-token", wrong) if called == "meta" else data_manager(journal, GOOGLE, wrong)
    place = "12021" if called == "meta" else "123/12021"
    target = AudienceTarget("best", Audience(BRAND, "seed", TOP_DECILE, called), place)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        google = DataManager("http://127.0.0.1/v1", json.dumps(GOOGLE), http, lambda: datetime.now(UTC))
        networks: dict[Any, Any] = {"meta": CustomAudiences(URL, "a-token", http), "google": google}
        push = AudiencePush(database, networks, [target], POLICIES, casino.clock)
        await join(database, casino, *names)
        told = await push.go()
        assert (told.added, told.failed) == (28, [])
        waits = [row for row in await rows(database, audience_members) if row["told_at"] is None]
        assert sorted((row["player_id"], row["attempts"]) for row in waits) == [("p07", 1), ("p21", 1)]
        assert "cannot read the lines" in caplog.text
        assert not any(one in caplog.text for one in wrong)
        # Who is readable and comes later is not held up either, nor who leaves.
        casino.clock.later(hours(2))
        await join(database, casino, *names, "later")
        await say_no(casino, "p00")
        await say_no(casino, "p21")
        told = await push.go()
        assert (told.added, told.removed, told.failed) == (1, 1, [])
        left = [row["player_id"] for row in await rows(database, audience_members)]
        assert ("p00" in left, "later" in left, len(left)) == (False, True, 30)


async def test_who_says_no_while_a_batch_is_told_in_parts_is_told_in_none_of_them(
    database: Database, casino: Casino, tmp_path: Path
) -> None:
    """A network that takes a request whole or not at all has taken nobody before its unreadable line is set aside."""
    journal = Journal(tmp_path / "ads.jsonl")
    app = data_manager(journal, GOOGLE, {hash_of("wrong")})

    class Between(httpx.ASGITransport):
        """What happens after the network has refused a line."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            answer = await super().handle_async_request(request)
            if answer.status_code == 400:
                await say_no(casino, "anna")
            return answer

    target = AudienceTarget("best", Audience(BRAND, "seed", TOP_DECILE, "google"), "123/12021")
    async with httpx.AsyncClient(transport=Between(app)) as http:
        google = DataManager("http://127.0.0.1/v1", json.dumps(GOOGLE), http, lambda: datetime.now(UTC))
        push = AudiencePush(database, {"google": google}, [target], POLICIES, casino.clock)
        await join(database, casino, "anna", "oleh", "wrong")
        assert (await push.go()).added == 1
    assert [line for one in journal.records if one["did"] == "ingest" for line in one["lines"]] == [[hash_of("oleh")]]


async def test_who_could_not_be_taken_out_for_a_month_is_not_forgotten_while_the_audience_is_told(
    database: Database, casino: Casino, network: Network, push: AudiencePush
) -> None:
    await join(database, casino, "anna")
    await push.go()
    await say_no(casino, "anna")
    network.cut = "request"
    casino.clock.later(FORGOTTEN_AFTER + timedelta(days=1))
    await push.go()
    for later, left in ((timedelta(0), 1), (FORGOTTEN_AFTER + timedelta(days=1), 0)):
        async with database.transaction() as connection:
            await connection.execute(FORGET, {"before": casino.clock.now + later - FORGOTTEN_AFTER, "limit": 10})
        assert len(await rows(database, audience_members)) == left


def test_an_audience_that_nobody_declared_stops_the_start() -> None:
    def built(segment: str, *, names: tuple[str, ...] = ("best",), token: str = "a-token") -> AudiencePush:
        given = tuple(AdAudience(name=one, brand=BRAND, use="seed", segment=segment, there="1") for one in names)
        settings = Settings(
            database_url="postgresql://127.0.0.1/none", ad_audiences=given, ad_network_url=URL, ad_network_token=token
        )
        return audience_push(settings, Registry({}, (), {}), None, POLICIES, None, HeldClock())  # type: ignore[arg-type]  # nothing is asked

    assert [one.name for one in built(TOP_DECILE).targets] == ["best"]
    for wrong, says in (
        ({"segment": "unknown"}, "unknown, which nobody declared"),
        ({"segment": TOP_DECILE, "names": ("best", "best")}, "best twice"),
        ({"segment": TOP_DECILE, "token": ""}, "AD_NETWORK_TOKEN"),
    ):
        with pytest.raises(DesignError, match=says):
            built(**wrong)
