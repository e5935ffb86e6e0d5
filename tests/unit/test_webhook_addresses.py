"""No webhook reaches an address of this house, however its name or its answer leads there."""

import asyncio
from collections.abc import Sequence

import httpx
import pytest

from activities.outgoing.egress_guard import AddressRefused, EgressGuard, GuardedTransport

PUBLIC = "93.184.216.34"
#: What whoever wants to reach us from inside has tried elsewhere.
INSIDE = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::"),
]
WRONG = [
    *("ftp://x.example/", "file:///etc/passwd", "gopher://x.example", "//x.example", "x.example", "", "http://"),
    *("https://user@x.example", "https://user:password@x.example", "https://x.example#part", "https://x.example:port"),
    *("https://[::1", "https://пример.укр", "javascript:alert(1)", "https://"),
]


def guard(*answers: Sequence[str], allowed: Sequence[str] = ()) -> EgressGuard:
    """A guard whose name server gives one answer after the other, the last for ever."""
    asked: list[str] = []

    def look_up(host: str, _: int) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return EgressGuard(allowed, look_up)


@pytest.mark.parametrize("address", INSIDE)
async def test_an_address_inside_is_refused_alone_and_beside_a_public_one(address: str) -> None:
    for answer in ([address], [PUBLIC, address]):
        with pytest.raises(AddressRefused, match="not public"):
            await guard(answer).check("https://hooks.example/path")


@pytest.mark.parametrize("url", WRONG)
async def test_what_is_no_address_for_a_webhook_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        await guard([PUBLIC]).check(url)


@pytest.mark.parametrize(
    "written", ["2130706433", "0x7f000001", "017700000001", "127.1", "[::ffff:7f00:1]", "localhost"]
)
async def test_other_spellings_of_this_machine_are_refused_by_what_the_system_makes_of_them(written: str) -> None:
    with pytest.raises(AddressRefused):
        await EgressGuard().check(f"https://{written}/")


async def test_a_public_address_over_https_is_taken_and_over_http_is_not() -> None:
    await guard([PUBLIC]).check("https://hooks.example:8443/path?query=1")
    with pytest.raises(AddressRefused, match="https"):
        await guard([PUBLIC]).check("http://hooks.example/")


async def test_a_network_that_an_operator_allows_is_reached_also_over_http() -> None:
    await guard(["10.20.3.4"], allowed=["10.20.0.0/16"]).check("http://crm.internal/")
    await guard(["::ffff:10.20.3.4"], allowed=["10.20.0.0/16"]).check("http://crm.internal/")
    with pytest.raises(AddressRefused):
        await guard(["10.21.3.4"], allowed=["10.20.0.0/16"]).check("http://crm.internal/")


async def test_a_name_nobody_knows_is_told_so() -> None:
    with pytest.raises(AddressRefused, match="Nobody knows"):
        await guard([]).check("https://hooks.example/")


class Inner(httpx.AsyncBaseTransport):
    """What would have been connected to."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return httpx.Response(204)


async def test_the_connection_goes_to_the_address_that_was_judged_under_the_name_that_was_asked_for() -> None:
    inner = Inner()
    # A name that answers otherwise the second time: nobody asks it a second time.
    rebinding = guard([PUBLIC], ["127.0.0.1"])
    async with httpx.AsyncClient(transport=GuardedTransport(rebinding, inner)) as client:
        await rebinding.check("https://hooks.example/path")
        await client.post("https://hooks.example/path")

    (asked,) = inner.asked
    assert asked.url.host == PUBLIC
    assert asked.headers["host"] == "hooks.example"
    assert asked.extensions["sni_hostname"] == "hooks.example"


async def test_a_name_server_that_hangs_holds_up_nobody_but_its_own_receiver() -> None:
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hangs(_host: str, _port: int) -> Sequence[str]:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        return [PUBLIC]

    slow = EgressGuard((), hangs)
    waiting = [asyncio.create_task(slow.addresses("hooks.example", port)) for port in range(20)]
    await guard([PUBLIC]).check("https://other.example/")
    assert not any(task.done() for task in waiting)
    release.set()
    await asyncio.gather(*waiting)
    slow.close()
