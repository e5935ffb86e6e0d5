"""Whether a worker's event loop turns, told by a thread that would answer anyway."""

import asyncio

import httpx

from activities.liveness import DEAD_AFTER, PATH, Heartbeat, application, serve
from local.ports import free_port


class Clock:
    """A timer that the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def answered(heartbeat: Heartbeat, path: str = PATH) -> tuple[int, str]:
    transport = httpx.WSGITransport(app=application(heartbeat))
    with httpx.Client(transport=transport, base_url="http://worker") as client:
        answer = client.get(path)
    return answer.status_code, answer.text


def test_a_loop_that_turns_is_alive_and_one_that_hangs_is_not() -> None:
    timer = Clock()
    heartbeat = Heartbeat(timer)
    timer.now = DEAD_AFTER - 1
    assert answered(heartbeat) == (200, "The event loop turned 29.0 s ago.\n")
    timer.now = DEAD_AFTER
    assert answered(heartbeat)[0] == 503
    heartbeat.beat()
    assert answered(heartbeat) == (200, "The event loop turned 0.0 s ago.\n")


async def test_a_running_loop_leaves_signs_of_life_until_it_is_told_to_stop() -> None:
    timer, stop = Clock(), asyncio.Event()
    heartbeat = Heartbeat(timer)
    timer.now = 100
    turning = asyncio.create_task(heartbeat.run(stop))
    await asyncio.sleep(0)
    assert heartbeat.age == 0
    stop.set()
    await turning


def test_the_metrics_stand_beside_it() -> None:
    status, text = answered(Heartbeat(), "/metrics")
    assert status == 200
    assert "python_info" in text


async def test_it_is_served_on_a_port_of_its_own_thread() -> None:
    port = free_port()
    server = serve(port, "127.0.0.1", Heartbeat())
    try:
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}{PATH}")).status_code == 200
    finally:
        server.shutdown()
        server.server_close()
