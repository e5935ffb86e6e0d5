"""What the bonus engine said, and what is known when it said nothing, are kept apart."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from activities.providers.bonus_engine import (
    BonusEngine,
    Credited,
    Declined,
    GrantOrder,
    KeyReused,
    NotAccepted,
    OutcomeUnknown,
    ProviderError,
)
from activities.providers.breaker import FAILURES, FIRST_PAUSE, Breaker
from local.ports import free_port
from tests.support.engine import HeldTimer
from tests.support.loopback_server import HANG_UP, answer, scripted
from tests.support.machine import unhurried
from tests.support.servers import LocalBonusEngine

QUICK = timedelta(milliseconds=300)


def a_key() -> str:
    return f"welcome:demo:anna@p~{uuid4()}:1/grant:free_spins#1"


def an_order(**other: object) -> GrantOrder:
    fields = {
        "grant_id": "g-1",
        "player_id": "anna",
        "brand": "demo",
        "reward": {"kind": "free_spins", "count": 10},
        "journey": "welcome",
        "run_id": "welcome:demo:anna:1",
        "step": "grant:free_spins#1",
    }
    return GrantOrder.model_validate(fields | other)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


@pytest.fixture
def engine(bonus_engine: LocalBonusEngine, client: httpx.AsyncClient) -> BonusEngine:
    return BonusEngine(bonus_engine.url + "/", client, timeout=timedelta(minutes=1))


def paid(bonus_engine: LocalBonusEngine, key: str) -> int:
    return sum(record["key"] == key for record in bonus_engine.granted())


# ---- the real engine ------------------------------------------------------------------------------------------


async def test_a_grant_is_credited_once_however_often_it_is_asked(
    engine: BonusEngine, bonus_engine: LocalBonusEngine
) -> None:
    key, order = a_key(), an_order()
    first, again = await engine.credit(key, order), await engine.credit(key, order)
    assert isinstance(first, Credited)
    assert first == again == await engine.look_up(key)
    assert paid(bonus_engine, key) == 1


async def test_a_grant_never_asked_is_not_found(engine: BonusEngine) -> None:
    assert await engine.look_up(a_key()) is None


async def test_a_refusal_is_an_answer_with_its_reason(engine: BonusEngine, bonus_engine: LocalBonusEngine) -> None:
    key = a_key()
    await bonus_engine.fail("refuse")
    declined = await engine.credit(key, an_order())
    assert isinstance(declined, Declined)
    assert declined.reason
    assert paid(bonus_engine, key) == 0


async def test_one_key_for_two_grants_is_for_a_person(engine: BonusEngine, bonus_engine: LocalBonusEngine) -> None:
    key = a_key()
    await engine.credit(key, an_order())
    with pytest.raises(KeyReused, match="a person must compare"):
        await engine.credit(key, an_order(reward={"kind": "free_spins", "count": 11}))
    assert paid(bonus_engine, key) == 1


async def test_a_voided_grant_is_void_for_ever(engine: BonusEngine, bonus_engine: LocalBonusEngine) -> None:
    credited, never_sent = a_key(), a_key()
    await engine.credit(credited, an_order())
    for key in (credited, never_sent):
        assert await engine.void(key) is True
        assert await engine.void(key) is True
    assert await engine.look_up(credited) == Declined(reason="voided")
    assert isinstance(await engine.credit(never_sent, an_order()), Declined)
    assert paid(bonus_engine, never_sent) == 0


@pytest.mark.parametrize("mode", ["error_after_commit", "timeout_after_commit"])
async def test_a_lost_answer_is_unknown_until_the_grant_is_looked_up(
    mode: str, bonus_engine: LocalBonusEngine, client: httpx.AsyncClient
) -> None:
    async def attempt(timeout: timedelta) -> None:
        key, engine = a_key(), BonusEngine(bonus_engine.url, client, timeout=timeout)
        await bonus_engine.heal()
        await bonus_engine.fail(mode, seconds=60)
        with pytest.raises(OutcomeUnknown, match="look the grant up"):
            await engine.credit(key, an_order())
        assert isinstance(await engine.look_up(key), Credited)
        assert paid(bonus_engine, key) == 1

    await unhurried(attempt)


async def test_a_failure_before_anything_happened_is_unknown_and_then_not_found(
    engine: BonusEngine, bonus_engine: LocalBonusEngine
) -> None:
    key = a_key()
    await bonus_engine.fail("error_500")
    with pytest.raises(OutcomeUnknown):
        await engine.credit(key, an_order())
    assert await engine.look_up(key) is None


# ---- an engine that misbehaves --------------------------------------------------------------------------------


async def test_an_engine_that_is_away_was_certainly_not_asked(client: httpx.AsyncClient) -> None:
    engine = BonusEngine(f"http://127.0.0.1:{free_port()}", client)
    with pytest.raises(NotAccepted, match="nothing was credited"):
        await engine.credit(a_key(), an_order())
    with pytest.raises(NotAccepted):
        await engine.void(a_key())


async def test_a_look_up_that_fails_never_says_that_nothing_was_sent(client: httpx.AsyncClient) -> None:
    away = BonusEngine(f"http://127.0.0.1:{free_port()}", client)
    with pytest.raises(OutcomeUnknown, match="could not be looked up"):
        await away.look_up(a_key())
    for reply in (answer(500), answer(401), HANG_UP, answer(200, {"status": "credited"}), None):
        async with scripted(reply) as server:
            with pytest.raises(OutcomeUnknown):
                await BonusEngine(server.url, client, timeout=QUICK).look_up(a_key())


async def test_an_engine_that_does_not_answer_is_left_alone_and_asked_again_later(client: httpx.AsyncClient) -> None:
    async def attempt(timeout: timedelta) -> None:
        timer = HeldTimer()
        async with scripted(*[None] * FAILURES, answer(404)) as server:
            engine = BonusEngine(server.url, client, timeout=timeout / 10, breaker=Breaker("bonus_engine", timer=timer))
            for _ in range(FAILURES):
                with pytest.raises(OutcomeUnknown, match="did not answer in time"):
                    await engine.credit(a_key(), an_order())
            with pytest.raises(NotAccepted, match="left alone") as told:
                await engine.credit(a_key(), an_order())
            assert told.value.retry_after == FIRST_PAUSE
            with pytest.raises(OutcomeUnknown, match="left alone") as unheard:
                await engine.look_up(a_key())
            assert unheard.value.retry_after == FIRST_PAUSE
            assert len(server.asked) == FAILURES
            timer.now += FIRST_PAUSE.total_seconds()
            assert await engine.look_up(a_key()) is None

    await unhurried(attempt)


async def test_an_engine_that_refuses_is_well(client: httpx.AsyncClient) -> None:
    async with scripted(answer(422, {"reason": "not_eligible"})) as server:
        engine = BonusEngine(server.url, client)
        for _ in range(2 * FAILURES):
            assert await engine.credit(a_key(), an_order()) == Declined(reason="not_eligible")


@pytest.mark.parametrize(
    ("reply", "known"),
    [
        (None, OutcomeUnknown),
        (HANG_UP, OutcomeUnknown),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", OutcomeUnknown),
        (answer(200, {"unexpected": True}), OutcomeUnknown),
        (answer(200), OutcomeUnknown),
        (answer(500), OutcomeUnknown),
        (answer(503), OutcomeUnknown),
        (answer(408), OutcomeUnknown),
        (answer(302, Location="http://127.0.0.1:1/"), OutcomeUnknown),
        (answer(409, {"title": "Idempotency-Key in use"}), OutcomeUnknown),
        (answer(409), OutcomeUnknown),
        (answer(422, {"detail": [{"loc": ["body"]}]}), OutcomeUnknown),
        (answer(401), NotAccepted),
        (answer(404), NotAccepted),
        (answer(429), NotAccepted),
    ],
)
async def test_only_what_is_certain_is_called_not_sent(
    reply: bytes | None, known: type[ProviderError], client: httpx.AsyncClient
) -> None:
    async def attempt(timeout: timedelta) -> None:
        async with scripted(reply) as server:
            with pytest.raises(ProviderError) as caught:
                await BonusEngine(server.url, client, timeout=timeout).credit(a_key(), an_order())
        assert type(caught.value) is known
        assert len(server.asked) == 1

    await unhurried(attempt)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (answer(422, {"title": "Refused", "reason": "not_eligible"}), "not_eligible"),
        (answer(409, {"title": "Grant voided"}), "grant_voided"),
        (answer(400), "http_400"),
        (answer(201, {"provider_ref": "b-1", "status": "voided"}), "voided"),
    ],
)
async def test_a_reason_is_a_code_that_can_be_counted(reply: bytes, reason: str, client: httpx.AsyncClient) -> None:
    async with scripted(reply) as server:
        assert await BonusEngine(server.url, client).credit(a_key(), an_order()) == Declined(reason=reason)


@pytest.mark.parametrize(("status", "voided"), [(204, True), (200, True), (404, False), (409, False)])
async def test_void_says_whether_the_grant_is_void(status: int, voided: bool, client: httpx.AsyncClient) -> None:  # noqa: FBT001
    async with scripted(answer(status)) as server:
        assert await BonusEngine(server.url, client).void(a_key()) is voided


async def test_the_key_is_one_segment_of_the_path(client: httpx.AsyncClient) -> None:
    key = "a:b/c#1?x=%2F é"
    async with scripted(answer(404)) as server:
        engine = BonusEngine(server.url, client)
        await engine.look_up(key)
        await engine.void(key)
    assert [asked.target for asked in server.asked] == [
        "/grants/a%3Ab%2Fc%231%3Fx%3D%252F%20%C3%A9",
        "/grants/a%3Ab%2Fc%231%3Fx%3D%252F%20%C3%A9/void",
    ]


async def test_the_key_and_the_whole_order_go_to_the_engine(client: httpx.AsyncClient) -> None:
    key, order = a_key(), an_order()
    async with scripted(answer(201, {"provider_ref": "b-1", "status": "credited"})) as server:
        assert await BonusEngine(server.url, client).credit(key, order) == Credited(ref="b-1")
    (asked,) = server.asked
    assert (asked.method, asked.target, asked.headers["idempotency-key"]) == ("POST", "/grants", key)
    assert GrantOrder.model_validate_json(asked.body) == order


def test_an_engine_needs_an_address() -> None:
    with pytest.raises(ValueError, match="BONUS_ENGINE_URL"):
        BonusEngine("127.0.0.1:7501", httpx.AsyncClient())
