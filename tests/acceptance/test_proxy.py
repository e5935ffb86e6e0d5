"""nginx.conf in a real nginx: it is taken, and bounds what comes in as the API does."""

import asyncio
import re
import shutil
import ssl
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from api.bounds import ITEM
from local.ports import free_port
from local.supervisor import Service
from tests.support.loopback_server import Scripted, answer, scripted
from tests.support.servers import running
from tests.support.tls import Authority

ROOT = Path(__file__).parent.parent.parent
#: A system's own nginx may lie where only root looks for programs.
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
#: The first release that knows `http2 on`; an older one is shown the rest.
KNOWS_HTTP2_ON = (1, 25, 1)

pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx, such as Debian's nginx-light; nothing else does")


def program() -> str:
    assert NGINX is not None
    return NGINX


def version() -> tuple[int, ...]:
    said = subprocess.run([program(), "-v"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", said)
    assert found is not None, said
    return tuple(int(part) for part in found.groups())


def configuration(folder: Path, port: int, api: str) -> Path:
    """nginx.conf with the addresses and folders of this machine in the place of a container's."""
    text = (ROOT / "nginx.conf").read_text()
    here = {
        "server api:8000;": f"server {api.removeprefix('http://')};",
        "listen 8443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/nginx/tls/": f"{folder}/",
        "/tmp/": f"{folder}/",
        # As many pass as may come at once, however slow the machine is that sends them.
        "zone=providers:10m rate=100r/s": "zone=providers:10m rate=1r/m",
    }
    for there, instead in here.items():
        assert there in text, f"nginx.conf says nothing of {there}"
        text = text.replace(there, instead)
    if version() < KNOWS_HTTP2_ON:
        text = text.replace("http2 on;", "")
    (folder / "nginx.conf").write_text(text)
    return folder / "nginx.conf"


@pytest.fixture(scope="module")
async def api() -> AsyncIterator[Scripted]:
    async with scripted(answer(200, {"taken": True})) as server:
        yield server


@pytest.fixture(scope="module")
async def proxy(session_folder: Path, api: Scripted) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of the proxy, which stands in front of the API."""
    folder, authority, port = session_folder / "proxy", Authority("callers"), free_port()
    folder.mkdir()
    authority.write(folder, "tls")
    context = ssl.create_default_context(cadata=authority.pem)
    written = configuration(folder, port, api.url)
    checked = subprocess.run([program(), "-t", "-c", written], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=context) as client:

        async def answers(_: int) -> bool:
            return (await client.get("/livez")).is_success

        # As the compose file begins it.
        command = (program(), "-c", str(written), "-g", "daemon off;")
        async with running(Service(name="nginx", command=command, ready=answers), session_folder):
            yield client


async def test_a_caller_is_passed_on_with_their_address(proxy: httpx.AsyncClient, api: Scripted) -> None:
    response = await proxy.post("/v1/players/p-1/exclusion", json={}, headers={"X-Forwarded-For": "203.0.113.9"})
    assert response.json() == {"taken": True}
    assert api.asked[-1].target == "/v1/players/p-1/exclusion"
    assert api.asked[-1].headers["x-forwarded-for"] == "127.0.0.1"
    assert api.asked[-1].headers["x-forwarded-proto"] == "https"


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
async def test_what_is_for_those_who_run_it_is_not_there_for_callers(proxy: httpx.AsyncClient, path: str) -> None:
    assert (await proxy.get(path)).status_code == 404


async def test_a_body_is_bounded_and_a_stream_of_events_is_not(proxy: httpx.AsyncClient) -> None:
    large = b" " * (ITEM.size + 1)
    assert (await proxy.post("/v1/tasks/t-1/complete", content=large)).status_code == 413
    assert (await proxy.post("/v1/tasks/t-1/complete", content=large[1:])).status_code == 200
    assert (await proxy.post("/v1/batch", content=large)).status_code == 200
    assert (await proxy.post("/v1/events", content=large * 20)).status_code == 200


async def test_links_that_need_no_key_are_answered_a_few_times_a_second(proxy: httpx.AsyncClient) -> None:
    answers = [(await proxy.get("/v1/unsubscribe/anything")).status_code for _ in range(60)]
    assert {*answers} == {200, 429}
    assert answers[:20] == [200] * 20


async def test_whoever_tells_what_became_of_messages_is_bounded_too(proxy: httpx.AsyncClient) -> None:
    answers: Counter[int] = Counter()
    for _ in range(10):
        told = [proxy.post("/v1/integrations/twilio/status", content=b"") for _ in range(50)]
        answers.update(answer.status_code for answer in await asyncio.gather(*told))
    assert {*answers} == {200, 429}
    assert 401 <= answers[200] <= 410
