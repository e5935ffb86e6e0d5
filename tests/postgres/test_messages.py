"""`send` on real channels: what the gate says is kept, and each message is handed over once, whatever breaks."""

import asyncio
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.messages import MAIL_SETTLING
from activities.providers.adapter import ChannelUnavailable
from activities.providers.breaker import FAILURES, FIRST_PAUSE, Breaker
from activities.providers.email import EmailAdapter
from activities.tables import messages, steps, tasks
from local import stand_in_processes as services
from local.ports import free_port
from local.stand_ins.base import Record, read_journal
from local.supervisor import Supervised
from tests.support.engine import NOON, Effects, HeldTimer, Row, done, effects, rows
from tests.support.loopback_server import answer, scripted
from tests.support.machine import eventually, within
from tests.support.servers import ready, running
from workflows import ConsentChanged, ExclusionSet, ProfileUpdated, hours
from workflows.channels import WEBHOOK_CHANNELS
from workflows.effect_queues import Provider
from workflows.effects import End, OpenTask, Send, SendResult
from workflows.forms import travelling
from workflows.journeys.vip_onboarding import HostAssignment
from workflows.json_object import JsonObject
from workflows.player_facts import PlayerFacts

NEWS, WORD = "content-news", "deposit-help-email"
NIGHT = NOON.replace(hour=21)  # 23:00 where players live


HOST: JsonObject = {"host_name": "Sarah Ames", "host_contact": "sarah@casino.example"}


@dataclass(frozen=True)
class Post:
    """A catch-all whose process a test may stop, and its own files."""

    process: Supervised
    folder: Path
    settings: dict[str, Any]

    def mails(self) -> Counter[str]:
        """How often each mail was handed over, by its key."""
        return Counter(record["key"] for record in read_journal(self.folder / "mails.jsonl"))

    def hooks(self, channel: str) -> list[Record]:
        return read_journal(self.folder / f"{channel}.jsonl")


@pytest.fixture(scope="module")
async def post(session_folder: Path) -> AsyncIterator[Post]:
    port, smtp_port, folder = free_port(), free_port(), session_folder / "post"
    secret = "whsec_" + b64encode(b"a secret of these tests").decode()
    url = f"http://127.0.0.1:{port}"
    settings = {
        "smtp_url": f"smtp://127.0.0.1:{smtp_port}",
        "mail_lookup_url": f"{url}/mails?key={{key}}",
        "sms_webhook_url": f"{url}/sms",
        "push_webhook_url": f"{url}/push",
        "webhook_secret": secret,
    }
    async with running(
        services.catch_all(port, smtp_port, folder, dict.fromkeys(WEBHOOK_CHANNELS, secret)), session_folder
    ) as process:
        yield Post(process, folder, settings)


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str, post: Post) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url, **post.settings) as parts:
        yield parts


@pytest.fixture
async def parts(shared: Effects, post: Post) -> AsyncIterator[Effects]:
    """The module's engine, as it was built, with players of the test's own."""
    with shared.for_one_test():
        yield shared
    post.process.start()
    await ready(post.process)


@dataclass
class Sending:
    """One player's run that sends."""

    parts: Effects
    player: str
    run: str

    async def send(self, template: str, *via: str, **more: Any) -> SendResult:
        return done(await self.parts.messages.send(self.given(template, *via, **more)))

    def given(self, template: str, *via: str, run: str | None = None, **more: Any) -> Send:
        return self.parts.given(Send, run or self.run, f"send:{template}#1", template=template, via=list(via), **more)

    async def rows(self) -> dict[str, Row]:
        """The rows of the run's messages, by channel."""
        return {row["channel"]: row for row in await rows(self.parts.database, messages, run_id=self.run)}

    async def states(self) -> dict[str, tuple[str, str | None]]:
        return {channel: (row["status"], row["reason"]) for channel, row in (await self.rows()).items()}

    async def change(self, channel: str, **values: Any) -> None:
        """What a crash left of a message, whatever was written before it."""
        async with self.parts.database.transaction() as connection:
            mine = (messages.c.run_id == self.run) & (messages.c.channel == channel)
            await connection.execute(messages.update().where(mine).values(values))

    async def left_in_doubt(self, channel: str, ago: timedelta = MAIL_SETTLING) -> None:
        at = self.parts.casino.clock.now - ago
        await self.change(channel, status="handed_over", handed_over_at=at, delivered_at=None)

    async def excludes(self) -> None:
        await self.parts.casino.happens(self.player, ExclusionSet, kind="self_exclusion", until=None)

    def key(self, template: str, channel: str) -> str:
        return f"{self.run}/send:{template}#1/{channel}"


@pytest.fixture
async def sending(parts: Effects) -> Sending:
    player = parts.casino.player()
    await parts.casino.registers(player)
    return Sending(parts, player, await parts.enters(player))


class TestWrittenByPeople:
    async def host_is_chosen(self, sending: Sending, answer: JsonObject | None) -> JsonObject:
        """A task of the run is answered; what the run then gives to its letter."""
        asked = sending.parts.given(
            OpenTask,
            sending.run,
            "ask:HostAssignment#1",
            form="HostAssignment",
            question="Who?",
            form_schema={"type": "object"},
            team="vip",
            due_at=NOON + hours(48),
            facts=PlayerFacts(player_id=sending.player),
        )
        task_id = done(await sending.parts.tasks.open(asked)).task_id
        async with sending.parts.database.transaction() as connection:
            values = {"state": "completed", "answer": answer}
            await connection.execute(tasks.update().where(tasks.c.id == task_id).values(values))
        return travelling(HOST, HostAssignment, "ask:HostAssignment#1")

    async def test_a_letter_has_the_text_that_the_run_only_refers_to(self, sending: Sending) -> None:
        variables = await self.host_is_chosen(sending, HOST)
        assert "Sarah" not in str(variables)
        await sending.send("vip-letter", "email", variables=variables)
        body = (await sending.rows())["email"]["body"]
        assert "My name is Sarah Ames" in body
        assert "text-of" not in body

    async def test_a_text_that_is_not_there_any_more_is_never_shown_as_a_reference(self, sending: Sending) -> None:
        variables = await self.host_is_chosen(sending, {"host_contact": "sarah@casino.example"})
        await sending.send("vip-letter", "email", variables=variables)
        assert await sending.states() == {"email": ("failed", "not_renderable")}


class TestGate:
    async def test_each_decision_is_kept_with_what_it_saw(self, sending: Sending) -> None:
        await sending.parts.casino.happens(sending.player, ProfileUpdated, changed={"phone": None})
        result = await sending.send("comeback-sms", "sms")
        assert result.suppressed == {"sms": "no_address"}
        (row,) = (await sending.rows()).values()
        assert (row["status"], row["reason"], row["handed_over_at"]) == ("suppressed", "no_address", None)
        assert row["decision"]["rule"] == "address"
        assert row["decision"]["seen"]["status"] == "active"
        assert row["decision"]["policy"].startswith("house@")
        (line,) = await rows(sending.parts.database, steps, run_id=sending.run)
        assert (line["outcome"], line["detail"]["channels"]) == ("suppressed", {"sms": "no_address"})

    async def test_nobody_we_know_nothing_about_is_written_to(self, parts: Effects, post: Post) -> None:
        name = parts.casino.player("nobody")
        stranger = Sending(parts, name, await parts.enters(name))
        assert (await stranger.send(NEWS, "email")).suppressed == {"email": "unknown_player"}
        assert post.mails()[stranger.key(NEWS, "email")] == 0

    async def test_the_caps_are_exact_however_many_journeys_send_at_once(self, sending: Sending, post: Post) -> None:
        runs = [await sending.parts.enters(sending.player, f"journey{n}") for n in range(6)]
        results = await asyncio.gather(*(sending.send(NEWS, "email", run=run) for run in runs))
        assert Counter(result.suppressed.get("email", "sent") for result in results) == {"sent": 1, "daily_cap": 5}
        assert sum(post.mails()[f"{run}/send:{NEWS}#1/email"] for run in runs) == 1

    async def test_in_quiet_hours_nothing_is_written_for_a_channel_that_must_wait(self, sending: Sending) -> None:
        sending.parts.casino.clock.now = NIGHT
        result = await sending.send(NEWS, "email")
        assert result.wait_until == NOON + timedelta(hours=20)  # 8:00 where players live
        assert await sending.rows() == {}
        sending.parts.casino.clock.now = result.wait_until
        assert (await sending.send(NEWS, "email")).sent == ["email"]

    async def test_fallbacks_are_tried_in_order_and_only_where_nothing_else_may_go(self, sending: Sending) -> None:
        await sending.parts.casino.happens(sending.player, ConsentChanged, channel="email", opted_in=False)
        result = await sending.send(NEWS, "email", fallback=["push"])
        assert (result.sent, result.suppressed) == (["push"], {"email": "no_consent"})
        again = Sending(sending.parts, sending.player, await sending.parts.enters(sending.player, "again"))
        assert (await again.send(WORD, "email", fallback=["email"])).sent == ["email"]

    async def test_nothing_falls_back_on_what_may_go_at_night_while_the_rest_waits(self, sending: Sending) -> None:
        sending.parts.casino.clock.now = NIGHT
        result = await sending.send("favourite-tip", "email", fallback=["in_app"])
        assert result.wait_until is not None
        assert await sending.rows() == {}

    async def test_a_text_that_lacks_a_variable_is_never_sent(self, sending: Sending, post: Post) -> None:
        result = await sending.send("reload-offer", "email", "push", variables={"percent": 50})
        assert result.suppressed == {"email": "not_renderable", "push": "not_renderable"}
        assert post.mails()[sending.key("reload-offer", "email")] == 0
        assert (await sending.send("reload-offer", "email", "push", variables={"percent": 50})).sent == []


class TestOnce:
    async def test_each_channel_is_used_once_however_often_the_effect_is_tried(
        self, sending: Sending, post: Post
    ) -> None:
        for _ in range(3):
            result = await sending.send("tier-gold", "email", "push", "in_app")
            assert set(result.sent) == {"email", "push", "in_app"}
        assert post.mails()[sending.key("tier-gold", "email")] == 1
        assert [hook["webhook_id"] for hook in post.hooks("push")].count(sending.key("tier-gold", "push")) == 1

    async def test_a_channel_that_was_away_is_tried_again_and_the_others_are_not(
        self, sending: Sending, post: Post
    ) -> None:
        await post.process.stop()
        with pytest.raises(ChannelUnavailable):
            await sending.send("tier-gold", "email", "push", "in_app")
        assert await sending.states() == {
            "email": ("waiting", None),
            "push": ("waiting", None),
            "in_app": ("sent", None),
        }
        post.process.start()
        await ready(post.process)
        assert set((await sending.send("tier-gold", "email", "push", "in_app")).sent) == {"email", "push", "in_app"}
        assert post.mails()[sending.key("tier-gold", "email")] == 1

    async def test_a_mail_in_doubt_that_arrived_is_not_sent_again(self, sending: Sending, post: Post) -> None:
        await sending.send(WORD, "email")
        await sending.left_in_doubt("email")
        assert (await sending.send(WORD, "email")).sent == ["email"]
        assert post.mails()[sending.key(WORD, "email")] == 1
        assert await sending.states() == {"email": ("sent", None)}

    async def test_a_mail_in_doubt_that_never_arrived_is_sent(self, sending: Sending, post: Post) -> None:
        await self.put_off(sending)
        await sending.left_in_doubt("email")
        assert (await sending.send(WORD, "email")).sent == ["email"]
        assert post.mails()[sending.key(WORD, "email")] == 1

    async def test_a_mail_system_is_given_time_before_its_no_is_believed(self, sending: Sending, post: Post) -> None:
        await self.put_off(sending)
        await sending.left_in_doubt("email", ago=timedelta(seconds=10))
        with pytest.raises(ApplicationError) as caught:
            await sending.send(WORD, "email")
        assert caught.value.next_retry_delay == MAIL_SETTLING - timedelta(seconds=10)
        assert post.mails()[sending.key(WORD, "email")] == 0
        sending.parts.casino.clock.later(timedelta(seconds=20))
        assert (await sending.send(WORD, "email")).sent == ["email"]

    async def test_a_mail_nobody_can_tell_about_stays_unknown(self, sending: Sending, post: Post) -> None:
        await sending.send(WORD, "email")
        await sending.left_in_doubt("email")
        sending.parts.messages.lookup = None
        assert (await sending.send(WORD, "email")).sent == ["email"]
        assert await sending.states() == {"email": ("unknown", "outcome_unknown")}
        assert post.mails()[sending.key(WORD, "email")] == 1

    async def test_a_webhook_in_doubt_is_repeated_under_its_id(self, sending: Sending, post: Post) -> None:
        await sending.send("tier-gold", "push")
        await sending.left_in_doubt("push")
        assert (await sending.send("tier-gold", "push")).sent == ["push"]
        assert [hook["webhook_id"] for hook in post.hooks("push")].count(sending.key("tier-gold", "push")) == 2

    async def test_what_was_put_off_is_in_doubt_as_soon_as_it_is_tried_again(self, sending: Sending) -> None:
        async with scripted(answer(429, Retry_After="17"), None) as gateway:
            sending.parts.messages.adapters = {**sending.parts.messages.adapters, "push": hooked(sending, gateway.url)}
            with pytest.raises(ApplicationError) as caught:
                await sending.send("tier-gold", "push")
            assert caught.value.next_retry_delay == timedelta(seconds=17)
            assert await sending.states() == {"push": ("waiting", None)}
            attempt = asyncio.create_task(sending.send("tier-gold", "push"))
            await eventually(lambda: len(gateway.asked) >= 2)
            attempt.cancel()
            await asyncio.gather(attempt, return_exceptions=True)
        assert await sending.states() == {"push": ("handed_over", None)}
        assert {asked.headers["webhook-id"] for asked in gateway.asked} == {sending.key("tier-gold", "push")}

    async def test_an_attempt_that_was_overtaken_changes_nothing_any_more(self, sending: Sending) -> None:
        async with held_back(answer(400)) as gateway, within(20):
            sending.parts.messages.adapters = {**sending.parts.messages.adapters, "push": hooked(sending, gateway.url)}
            attempt = asyncio.create_task(sending.send("tier-gold", "push"))
            await gateway.asked.wait()
            # The next attempt has marked the message as its own meanwhile.
            await sending.left_in_doubt("push", ago=timedelta(seconds=-1))
            gateway.answering.set()
            await attempt
        assert await sending.states() == {"push": ("handed_over", None)}

    async def test_a_message_that_did_not_go_out_before_its_run_ended_waits_for_nothing(self, sending: Sending) -> None:
        async with held_back(answer(429, Retry_After="17")) as gateway, within(20):
            sending.parts.messages.adapters = {
                **sending.parts.messages.adapters,
                "push": hooked(sending, gateway.url),
            }
            attempt = asyncio.create_task(sending.send("tier-gold", "push"))
            await gateway.asked.wait()
            await sending.parts.runs.end(sending.parts.given(End, sending.run, "end", outcome="stopped"))
            gateway.answering.set()
            await asyncio.gather(attempt, return_exceptions=True)
        assert await sending.states() == {"push": ("suppressed", "run_over")}

    async def put_off(self, sending: Sending) -> None:
        """A mail that certainly did not go out, its channel back again."""
        with away(sending), pytest.raises(ChannelUnavailable):
            await sending.send(WORD, "email")


@dataclass
class HeldBack:
    """A gateway that was asked and answers when a test says so."""

    url: str
    asked: asyncio.Event
    answering: asyncio.Event


@asynccontextmanager
async def held_back(told: bytes) -> AsyncIterator[HeldBack]:
    asked, answering = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await answering.wait()
        writer.write(told)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(slow, "127.0.0.1", 0) as gateway:
        yield HeldBack(f"http://127.0.0.1:{gateway.sockets[0].getsockname()[1]}", asked, answering)


class TestWhileAChannelIsAway:
    """What the world does between two attempts."""

    @pytest.fixture
    async def put_off(self, sending: Sending) -> Sending:
        with away(sending), pytest.raises(ChannelUnavailable):
            await sending.send(NEWS, "email", "push")
        return sending

    async def test_an_exclusion_ends_it(self, put_off: Sending, post: Post) -> None:
        await put_off.excludes()
        result = await put_off.send(NEWS, "email", "push")
        assert result.suppressed == {"email": "self_excluded", "push": "self_excluded"}
        assert post.mails()[put_off.key(NEWS, "email")] == 0
        assert put_off.key(NEWS, "push") not in {hook["webhook_id"] for hook in post.hooks("push")}

    async def test_an_exclusion_ends_what_is_in_doubt_as_far_as_anybody_can_tell(
        self, put_off: Sending, post: Post
    ) -> None:
        for channel in ("email", "push"):
            await put_off.left_in_doubt(channel)
        await put_off.excludes()
        await put_off.send(NEWS, "email", "push")
        assert await put_off.states() == {
            "email": ("suppressed", "self_excluded"),
            "push": ("unknown", "outcome_unknown"),
        }
        assert post.mails()[put_off.key(NEWS, "email")] == 0
        assert put_off.key(NEWS, "push") not in {hook["webhook_id"] for hook in post.hooks("push")}

    async def test_a_night_puts_it_off_until_the_morning(self, put_off: Sending, post: Post) -> None:
        put_off.parts.casino.clock.now = NIGHT
        result = await put_off.send(NEWS, "email", "push")
        assert (result.sent, result.suppressed, result.wait_until) == ([], {}, NIGHT + hours(9))
        put_off.parts.casino.clock.now = NIGHT + hours(9)
        assert set((await put_off.send(NEWS, "email", "push")).sent) == {"email", "push"}
        assert post.mails()[put_off.key(NEWS, "email")] == 1

    async def test_what_was_put_off_still_counts_against_the_caps(self, put_off: Sending) -> None:
        other = Sending(put_off.parts, put_off.player, await put_off.parts.enters(put_off.player, "other"))
        assert (await other.send(NEWS, "email")).suppressed == {"email": "daily_cap"}


@contextmanager
def away(sending: Sending) -> Iterator[None]:
    """Nobody listens where mail and push messages go, as when the process there has ended, only sooner."""
    there, port = sending.parts.messages.adapters, free_port()
    mail = EmailAdapter(f"smtp://127.0.0.1:{port}", sender="casino@synthetic.example")
    sending.parts.messages.adapters = {**there, "email": mail, "push": hooked(sending, f"http://127.0.0.1:{port}")}
    yield
    sending.parts.messages.adapters = there


def hooked(sending: Sending, url: str) -> Any:
    """The push adapter, aimed at another gateway."""
    from activities.providers.webhook import WebhookAdapter

    adapter = sending.parts.messages.adapters["push"]
    assert isinstance(adapter, WebhookAdapter)
    return WebhookAdapter(url, sending.parts.messages.settings.webhook_secret, adapter._client)


GOLD = "tier-gold"


def left_alone(parts: Effects, provider: Provider, timer: HeldTimer) -> None:
    """A breaker that is open."""
    breaker = Breaker(provider, timer=timer)
    for _ in range(FAILURES):
        breaker.failed()
    parts.messages.breakers = {**parts.messages.breakers, provider: breaker}


class TestTurns:
    async def test_a_message_is_handed_on_from_the_queue_of_one_provider_to_the_next(
        self, sending: Sending, post: Post
    ) -> None:
        first = await sending.send(GOLD, "email", "in_app", "push", turn="email")
        assert (first.sent, first.next_turn) == (["email", "in_app"], "push")
        assert await sending.states() == {"email": ("sent", None), "in_app": ("sent", None), "push": ("waiting", None)}
        assert await rows(sending.parts.database, steps, run_id=sending.run) == []
        second = await sending.send(GOLD, "email", "in_app", "push", turn="push", tried=["email"])
        assert (second.sent, second.next_turn) == (["email", "in_app", "push"], None)
        assert post.mails()[sending.key(GOLD, "email")] == 1
        (line,) = await rows(sending.parts.database, steps, run_id=sending.run)
        assert line["outcome"] == "sent"

    async def test_a_channel_whose_turn_has_not_come_is_given_up_with_the_run(self, sending: Sending) -> None:
        assert (await sending.send(GOLD, "email", "push", turn="email")).next_turn == "push"
        await sending.parts.runs.end(sending.parts.given(End, sending.run, "end", outcome="stopped"))
        assert await sending.states() == {"email": ("sent", None), "push": ("suppressed", "run_over")}

    async def test_a_channel_that_fails_lets_the_others_pass_and_is_then_tried_for_itself(
        self, sending: Sending
    ) -> None:
        silent = EmailAdapter(f"smtp://127.0.0.1:{free_port()}", sender="casino@synthetic.example")
        there = sending.parts.messages.adapters
        sending.parts.messages.adapters = {**there, "email": silent}
        assert (await sending.send(GOLD, "email", "push", turn="email")).next_turn == "push"
        passed = await sending.send(GOLD, "email", "push", turn="push", tried=["email"])
        assert (passed.sent, passed.next_turn) == (["push"], "email")
        with pytest.raises(ChannelUnavailable):
            await sending.send(GOLD, "email", "push", turn="email", tried=["email", "push"])
        sending.parts.messages.adapters = there
        last = await sending.send(GOLD, "email", "push", turn="email", tried=["email", "push"])
        assert (last.sent, last.next_turn) == (["email", "push"], None)

    async def test_a_provider_that_is_left_alone_is_not_called_and_what_needs_none_goes(
        self, sending: Sending, post: Post
    ) -> None:
        timer = HeldTimer()
        left_alone(sending.parts, "email", timer)
        with pytest.raises(ApplicationError, match="left alone") as later:
            await sending.send(GOLD, "email", "in_app", turn="email")
        assert later.value.next_retry_delay is not None
        assert FIRST_PAUSE <= later.value.next_retry_delay <= 1.5 * FIRST_PAUSE
        assert await sending.states() == {"email": ("waiting", None), "in_app": ("sent", None)}
        assert (await sending.rows())["email"]["handed_over_at"] is None
        assert sending.key(GOLD, "email") not in post.mails()
        timer.now += FIRST_PAUSE.total_seconds()
        assert (await sending.send(GOLD, "email", "in_app", turn="email")).sent == ["email", "in_app"]

    async def test_a_message_that_waited_too_long_is_not_sent(self, sending: Sending) -> None:
        left_alone(sending.parts, "email", HeldTimer())
        asked_at = sending.parts.casino.clock.now
        asked: Row = {"turn": "email", "asked_at": asked_at, "by": asked_at + hours(6)}
        with pytest.raises(ApplicationError):
            await sending.send(GOLD, "email", **asked)
        sending.parts.casino.clock.later(hours(7))
        result = await sending.send(GOLD, "email", **asked)
        assert result.suppressed == {"email": "too_late"}
        assert await sending.states() == {"email": ("suppressed", "too_late")}

    async def test_the_next_attempt_comes_when_it_is_too_late_at_the_latest(self, sending: Sending) -> None:
        left_alone(sending.parts, "email", HeldTimer())
        asked_at = sending.parts.casino.clock.now
        with pytest.raises(ApplicationError) as later:
            await sending.send(GOLD, "email", turn="email", asked_at=asked_at, by=asked_at + timedelta(seconds=2))
        assert later.value.next_retry_delay == timedelta(seconds=3)
