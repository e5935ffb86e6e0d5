"""A national register is asked before something is sold or given to its players; without its answer nothing is."""

import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from activities.providers.breaker import FAILURES, Breaker
from activities.providers.register import RegisterGateway, RegisterUnavailable, identity_of
from activities.registers import SOURCE, without_address
from activities.settings import Settings
from activities.tables import events, gate_decisions, grants, messages, players
from local import stand_in_processes as services
from local.ports import free_port
from local.stand_ins.base import Record, read_journal
from tests.support.engine import BRAND, NOON, Effects, HeldTimer, Row, effects, execute, rows
from tests.support.servers import LocalBonusEngine, running
from workflows import points, policy
from workflows.effects import Award, AwardResult, Give, GiveResult, Send, SendResult
from workflows.errors import DesignError
from workflows.gate.policy_book import PolicyBook
from workflows.player_state.state import PlayerState

HASH_KEY = "a key of these tests"
#: For an answer that is to come: a machine may stand still meanwhile.
PATIENCE = timedelta(minutes=1)
TIP = "favourite-tip"
#: Registers that no shipped policy asks before a message, each with its country.
OTHERS = {"gamstop": "GB", "oasis": "DE", "cruks": "NL"}


@dataclass(frozen=True)
class Gateways:
    """The registers' process, seen from a test."""

    url: str
    ledger: Path
    token: str

    async def lists(self, player: str, register: str = "spelpaus") -> None:
        async with httpx.AsyncClient(base_url=self.url) as client:
            (await client.put(f"/{register}/players/{player}")).raise_for_status()

    async def fails(self, mode: str, seconds: float = 60) -> None:
        async with httpx.AsyncClient(base_url=self.url) as client:
            (await client.put("/faults", json={"mode": mode, "seconds": seconds})).raise_for_status()

    async def heals(self) -> None:
        async with httpx.AsyncClient(base_url=self.url) as client:
            (await client.delete("/faults")).raise_for_status()

    def asked(self, player: str) -> list[Record]:
        return [record for record in read_journal(self.ledger) if record["player"] == player]


@pytest.fixture(scope="module")
async def gateways(session_folder: Path) -> AsyncIterator[Gateways]:
    port, token, ledger = free_port(), secrets.token_urlsafe(24), session_folder / "registers.jsonl"
    async with running(services.registers(port, ledger, token), session_folder):
        yield Gateways(f"http://127.0.0.1:{port}", ledger, token)


@pytest.fixture(scope="module")
async def shared(
    module_postgres_url: str, gateways: Gateways, bonus_engine_server: LocalBonusEngine
) -> AsyncIterator[Effects]:
    async with effects(
        module_postgres_url,
        bonus_engine_url=bonus_engine_server.url,
        register_urls={name: f"{gateways.url}/{name}" for name in ("spelpaus", *OTHERS)},
        register_token=gateways.token,
        register_hash_key=HASH_KEY,
        provider_timeout=PATIENCE,
    ) as parts:
        yield parts


@dataclass
class Swede:
    """A player in Sweden and a run of theirs."""

    parts: Effects
    player: str
    run: str

    async def send(self, number: int = 1, template: str = TIP) -> SendResult:
        request = self.parts.given(Send, self.run, f"send:{template}#{number}", template=template, via=["in_app"])
        result = await self.parts.messages.send(request)
        assert isinstance(result, SendResult)
        return result

    async def give(self, number: int = 1) -> GiveResult:
        reward = points(10)
        result = await self.parts.grants.give(self.parts.given(Give, self.run, f"grant:points#{number}", reward=reward))
        assert isinstance(result, GiveResult)
        return result

    async def award(self, number: int = 1) -> AwardResult:
        request = self.parts.given(Award, self.run, f"award:points#{number}", reward=points(10), currency="points")
        result = await self.parts.awards.award(request)
        assert isinstance(result, AwardResult)
        return result

    async def messages(self) -> list[Row]:
        return await rows(self.parts.database, messages, player_id=self.player)

    async def grants(self) -> list[Row]:
        return await rows(self.parts.database, grants, player_id=self.player)

    async def exclusions(self) -> list[Row]:
        return await rows(self.parts.database, events, player_id=self.player, source=SOURCE)

    async def passes(self, time: timedelta) -> None:
        self.parts.casino.clock.now += time


def gateways_of(parts: Effects) -> Iterator[RegisterGateway]:
    """What asks the registers."""
    for register in parts.messages.registers.registers.values():
        assert isinstance(register, RegisterGateway)
        yield register


@pytest.fixture
async def parts(shared: Effects, gateways: Gateways) -> AsyncIterator[Effects]:
    await gateways.heals()
    for register in gateways_of(shared):
        register._breaker.answered()
        register._timeout = PATIENCE
    with shared.for_one_test():
        yield shared


async def registered(parts: Effects, name: str = "p", **about: Any) -> Swede:
    player = parts.casino.player(name)
    await parts.casino.registers(player, **{"country": "SE", "timezone": "Europe/Stockholm"} | about)
    # Heard of before they registered, so that a bonus is known to be their first.
    await execute(parts.database, "UPDATE players SET created_at = :at WHERE id = :id", at=NOON, id=player)
    return Swede(parts, player, await parts.enters(player))


@pytest.fixture
async def swede(parts: Effects) -> Swede:
    return await registered(parts)


class TestAsked:
    async def test_who_is_not_listed_is_written_to_and_given(self, swede: Swede, gateways: Gateways) -> None:
        assert (await swede.send()).sent == ["in_app"]
        assert (await swede.give()).status != "refused"
        assert len(gateways.asked(swede.player)) == 1

    async def test_it_is_asked_again_when_its_answer_is_older_than_the_policy_lets_it_be(
        self, swede: Swede, gateways: Gateways
    ) -> None:
        await swede.send()
        await swede.passes(timedelta(seconds=29))
        await swede.give()
        assert len(gateways.asked(swede.player)) == 1
        await swede.passes(timedelta(days=2))
        await swede.send(2)
        assert len(gateways.asked(swede.player)) == 2

    async def test_nobody_asks_about_whom_nothing_may_be_sent_to_anyway(
        self, parts: Effects, gateways: Gateways
    ) -> None:
        silent = await registered(parts, "silent", opted_in=())
        assert (await silent.send()).suppressed == {"in_app": "no_consent"}
        assert gateways.asked(silent.player) == []

    async def test_nobody_asks_before_service_or_elsewhere(
        self, parts: Effects, swede: Swede, gateways: Gateways
    ) -> None:
        await swede.send(template="tier-gold")
        norwegian = await registered(parts, "norwegian", country="NO")
        assert (await norwegian.send()).sent == ["in_app"]
        assert gateways.asked(swede.player) == gateways.asked(norwegian.player) == []

    async def test_it_is_told_the_players_id_and_keyed_hashes_and_no_name(
        self, parts: Effects, gateways: Gateways
    ) -> None:
        known = await registered(parts, "known", email="Nova@Example.COM", phone="+46 70 123", birth_date="1990-05-17")
        await known.send()
        (asked,) = gateways.asked(known.player)

        def hashed(text: str) -> str:
            return hmac.digest(HASH_KEY.encode(), text.encode(), hashlib.sha256).hex()

        told = {"email": "nova@example.com", "phone": "4670123", "birth_date": "1990-05-17"}
        assert asked["identity"] == {name: hashed(text) for name, text in told.items()}
        assert "Olena" not in str(asked)
        assert "ova@" not in str(asked)

    async def test_its_answer_stands_in_the_decision(self, swede: Swede) -> None:
        await swede.send()
        (decision,) = await rows(swede.parts.database, gate_decisions, player_id=swede.player)
        assert decision["seen"]["registers"]["spelpaus"][0] is False


class TestListed:
    async def test_nothing_is_sent_and_the_player_is_excluded(self, swede: Swede, gateways: Gateways) -> None:
        await gateways.lists(swede.player)
        assert (await swede.send()).suppressed == {"in_app": "self_excluded"}
        (row,) = await rows(swede.parts.database, players, brand=BRAND, id=swede.player)
        state = PlayerState.from_json(BRAND, swede.player, row["state"])
        assert state.protected(swede.parts.casino.clock.now) == "self_excluded"
        (event,) = await swede.exclusions()
        assert (event["data"]["kind"], event["data"]["scope"]) == ("register", "national")

    async def test_nothing_is_given(self, swede: Swede, gateways: Gateways) -> None:
        await gateways.lists(swede.player)
        result = await swede.give()
        assert (result.status, result.reason) == ("refused", "self_excluded")

    async def test_no_points_are_awarded(self, swede: Swede, gateways: Gateways) -> None:
        await gateways.lists(swede.player)
        assert await swede.award() == AwardResult(status="withheld", reason="self_excluded")


class TestUnanswered:
    @pytest.mark.parametrize("mode", ["error_500", "slow", "nonsense", "refuse"])
    async def test_a_message_waits_and_nothing_is_sent(self, swede: Swede, gateways: Gateways, mode: str) -> None:
        await gateways.fails(mode)
        for register in gateways_of(swede.parts):
            register._timeout = timedelta(seconds=0.5)
        for _ in range(3):
            with pytest.raises(RegisterUnavailable, match="The register spelpaus"):
                await swede.send()
        assert await swede.messages() == []
        await gateways.heals()
        for register in gateways_of(swede.parts):
            register._timeout = PATIENCE
        assert (await swede.send()).sent == ["in_app"]

    async def test_a_grant_waits_and_nothing_is_given(self, swede: Swede, gateways: Gateways) -> None:
        await gateways.fails("error_500")
        with pytest.raises(RegisterUnavailable):
            await swede.give()
        with pytest.raises(RegisterUnavailable):
            await swede.award()
        assert await swede.grants() == []
        await gateways.heals()
        assert (await swede.award()).status == "awarded"

    async def test_an_old_answer_is_none(self, swede: Swede, gateways: Gateways) -> None:
        await swede.send()
        await gateways.fails("error_500")
        await swede.passes(timedelta(days=2))
        with pytest.raises(RegisterUnavailable):
            await swede.send(2)
        assert len(await swede.messages()) == 1

    async def test_of_many_attempts_none_gets_through_and_the_register_is_left_alone(
        self, parts: Effects, gateways: Gateways
    ) -> None:
        await gateways.fails("error_500")
        many = [await registered(parts, f"m{number}") for number in range(20)]
        for one in many:
            for attempt in (one.send, one.give):
                with pytest.raises(Exception, match="The register spelpaus"):
                    await attempt()
        assert [await one.messages() + await one.grants() for one in many] == [[]] * 20
        assert sum(len(gateways.asked(one.player)) for one in many) == FAILURES

    async def test_a_message_that_waited_too_long_is_not_sent(self, swede: Swede, gateways: Gateways) -> None:
        await gateways.fails("error_500")
        asked = swede.parts.casino.clock.now
        await swede.passes(timedelta(hours=12, seconds=1))
        given = swede.parts.given(Send, swede.run, f"send:{TIP}#1", template=TIP, via=["in_app"], asked_at=asked)
        result = await swede.parts.messages.send(given)
        assert isinstance(result, SendResult)
        assert result.suppressed == {"in_app": "too_late"}


async def test_without_an_address_of_the_register_nothing_is_sold_to_its_players(module_postgres_url: str) -> None:
    async with effects(module_postgres_url) as parts:
        parts.casino.events = 10_000  # apart from those of the module
        swede = await registered(parts)
        assert (await swede.send()).suppressed == {"in_app": "register_unknown"}
        assert (await swede.give()).reason == "register_unknown"


async def test_a_register_is_not_asked_without_a_token_and_a_key(module_postgres_url: str) -> None:
    with pytest.raises(DesignError, match="REGISTER_HASH_KEY"):
        async with effects(module_postgres_url, register_urls={"spelpaus": "http://127.0.0.1:9"}, register_token="x"):
            pass


async def test_an_open_breaker_answers_at_once_and_says_when() -> None:
    timer = HeldTimer()
    breaker = Breaker("spelpaus-unit", timer=timer)
    for _ in range(FAILURES):
        breaker.failed()
    async with httpx.AsyncClient() as http:
        gateway = RegisterGateway("spelpaus", "http://127.0.0.1:9", "", http, timeout=timedelta(1), breaker=breaker)
        with pytest.raises(RegisterUnavailable, match="left alone") as told:
            await gateway.lists(None)  # type: ignore[arg-type]  # nobody is asked
    assert told.value.retry_after == timedelta(seconds=5)


def test_what_nobody_knows_of_a_person_has_no_hash() -> None:
    assert identity_of({"email": None, "first_name": "Nova"}, HASH_KEY) == {}


@pytest.mark.parametrize(("register", "country"), OTHERS.items())
async def test_the_others_are_asked_where_a_policy_of_the_house_says_so_and_without_an_address_refuse(
    parts: Effects, gateways: Gateways, register: str, country: str
) -> None:
    asks = policy("asks", since=date(2026, 1, 1), jurisdiction=country, registers={register: timedelta(hours=24)})
    parts.messages.policies = PolicyBook(own=(asks,))
    free, listed, alone = [
        await registered(parts, name, country=country, timezone="Europe/London", birth_date=date(1980, 1, 1))
        for name in ("free", "listed", "alone")
    ]
    await gateways.lists(listed.player, register)
    assert (await free.send()).sent == ["in_app"]
    assert [one["register"] for one in gateways.asked(free.player)] == [register]
    assert (await listed.send()).sent == []
    assert [event["data"]["kind"] for event in await listed.exclusions()] == ["register"]
    asked, known = parts.messages.registers, parts.messages.registers.registers
    asked.registers = {name: one for name, one in known.items() if name != register}
    try:
        assert (await alone.send()).suppressed == {"in_app": "register_unknown"}
    finally:
        asked.registers = known


def test_a_worker_says_which_registers_have_no_address() -> None:
    asks = policy("ours", since=date(2026, 1, 1), jurisdiction="GB", registers={"gamstop": timedelta(hours=24)})
    later = policy("later", since=date(2999, 1, 1), registers={"oasis": timedelta(hours=1)})
    book, bare = PolicyBook(own=(asks, later)), Settings(database_url="postgresql://unused")
    first, second = sorted(without_address(book, bare, NOON))
    assert "register gamstop, which the policy ours asks: nothing is sold or given" in first
    assert "register spelpaus, which the policy SE asks" in second
    both = {name: f"https://registers.internal/{name}" for name in ("gamstop", "spelpaus")}
    assert without_address(book, bare.model_copy(update={"register_urls": both}), NOON) == []
