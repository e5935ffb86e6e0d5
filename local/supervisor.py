"""One supervised child process: started, awaited, restarted when it dies, stopped cleanly."""

import asyncio
import contextlib
import os
import pwd
import signal
import ssl
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path

import httpx
import psutil

from workflows.errors import JourneysError

POLL = 0.05
CALM = 3.0  # seconds a child must live before its next death counts as its first
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between a death and the next start; each death doubles them
# Each client would read every certificate authority anew, which takes longer than the answer; none speaks TLS here.
TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
HOPELESS = 6  # deaths before the first answer; a database whose old children linger needs two or three starts


class StackError(JourneysError):
    """A part of the local stack did not start or stop as it should; the message says what to look at."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """What to run and how to tell that it serves.

    `ready` is asked again and again with the child's pid and must answer within a second or so; any exception it
    raises counts as "not yet".
    """

    name: str
    command: tuple[str, ...]
    ready: Callable[[int], Awaitable[bool]]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None  # account to run as, when we are root and the server refuses to be
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within: timedelta = timedelta(seconds=15)


@dataclass(frozen=True)
class Identity:
    """A process that cannot be mistaken for another: a pid alone is used again after its process has ended."""

    pid: int
    started: float  # seconds since the epoch, as the kernel tells it

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """The identity behind a pid, or None if nothing runs there."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return None

    def process(self) -> psutil.Process | None:
        """The process, if it still runs and is the same one."""
        try:
            process = psutil.Process(self.pid)
            alive = abs(process.create_time() - self.started) < 0.05 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if alive else None


class Supervised:
    """Keeps one service running until it is told to stop.

    `stop` returns when the process has ended; `ready` returns when it serves. A child that dies is started
    again after a pause that doubles from `first_pause` to 5 seconds and is forgotten once a child has lived for 3.
    """

    def __init__(
        self,
        service: Service,
        *,
        log: Path,
        changed: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda _: None,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self.service = service
        self.log = log
        self.restarts = 0
        self._changed = changed
        self._say = say
        self._first_pause = first_pause
        self._process: asyncio.subprocess.Process | None = None
        self._identity: Identity | None = None
        self._served = False
        self._stopping = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def identity(self) -> Identity | None:
        """Who runs now; None between a death and the next start."""
        return self._identity if self._process is not None and self._process.returncode is None else None

    def start(self) -> None:
        """Begin to keep the service running. Does nothing when it already is."""
        if self._keeper is None or self._keeper.done():
            self._stopping.clear()
            self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.service.name}")

    async def ready(self, *, within: timedelta = timedelta(seconds=60)) -> None:
        """Return when the service answers.

        Raises StackError with the end of its log when it does not in time, or at once when it has never served and
        keeps dying.
        """
        before = self.restarts
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within.total_seconds()):
                while not await self._answers():
                    if self._keeper is None or self._keeper.done() or self._hopeless(before):
                        break
                    await asyncio.sleep(POLL)
                else:
                    self._served = True
                    return
        if self._keeper is not None and self._keeper.done() and not self._keeper.cancelled():
            self._keeper.result()
        how = "keeps ending" if self._hopeless(before) else f"was not ready within {within.total_seconds():.0f} s"
        raise StackError(f"{self.service.name} {how}. Look at {self.log}; it ends:\n{tail(self.log)}")

    def _hopeless(self, before: int) -> bool:
        return not self._served and self.restarts - before >= HOPELESS

    async def kill(self) -> None:
        """SIGKILL, as a power cut would; returns when the process is gone. It is then started again."""
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def stop(self) -> None:
        """End the process by its own clean way out, or by SIGKILL once its time is up."""
        self._stopping.set()
        if self._keeper is not None:
            await self._keeper

    async def _answers(self) -> bool:
        identity = self.identity
        if identity is None:
            return False
        try:
            async with asyncio.timeout(5):
                return await self.service.ready(identity.pid)
        except Exception:  # noqa: BLE001  a server that is starting fails in as many ways as there are clients
            return False

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        pause = self._first_pause
        while not self._stopping.is_set():
            born = loop.time()
            self._process = process = await self._spawn()
            self._identity = Identity.of(process.pid)
            self._changed()
            await self._until_end(process)
            if self._stopping.is_set():
                break
            self.restarts += 1
            pause = self._first_pause if loop.time() - born > CALM else min(pause * 2, LONGEST_PAUSE)
            self._say(f"{self.service.name} ended ({reason(process.returncode)}); starting it again.")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
        self._changed()

    async def _until_end(self, process: asyncio.subprocess.Process) -> None:
        ended, stopping = asyncio.ensure_future(process.wait()), asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not ended.done():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(self.service.stop_signal)
            await asyncio.wait({ended}, timeout=self.service.stop_within.total_seconds())
        if not ended.done():
            self._say(f"{self.service.name} did not stop in time and is killed.")
            await self.kill()
        await ended

    async def _spawn(self) -> asyncio.subprocess.Process:
        service = self.service
        account = None if service.user is None else pwd.getpwnam(service.user)
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *dying_with_parent(service.stop_signal),
                *service.command,
                user=None if account is None else account.pw_uid,
                group=None if account is None else account.pw_gid,
                extra_groups=None if account is None else [],
                env=os.environ | service.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Its own session: Ctrl-C in the terminal reaches the supervisor only, which then stops in order.
                start_new_session=True,
            )


def dying_with_parent(death_signal: signal.Signals) -> tuple[str, ...]:
    """What to write before a command whose process shall get a signal when this process, which starts it, dies.

    A supervisor killed with SIGKILL can stop nobody, so the kernel does it. Nothing where util-linux is missing, as
    on macOS: there the next supervisor ends what it finds, by `end_orphan`.
    """
    if not _kernel_tells_of_death():
        return ()
    # Whoever died before the kernel was asked is not told of any more: the child then has another parent.
    unless_orphaned = f'[ "$PPID" = {os.getpid()} ] && exec "$@"'
    return ("setpriv", "--pdeathsig", death_signal.name, "sh", "-c", unless_orphaned, "sh")


@cache
def _kernel_tells_of_death() -> bool:
    try:
        tried = subprocess.run(["setpriv", "--pdeathsig", "TERM", "true"], capture_output=True, check=False)  # noqa: S607  found on the path, like the servers
    except FileNotFoundError:
        return False
    return tried.returncode == 0


async def http_ok(url: str) -> bool:
    """Whether a GET is answered with success."""
    async with httpx.AsyncClient(timeout=2, verify=TRUSTS_NOBODY) as client:
        return (await client.get(url)).is_success


async def http2_ok(url: str) -> bool:
    """The same of a server that speaks HTTP/2 alone."""
    async with httpx.AsyncClient(timeout=2, verify=TRUSTS_NOBODY, http1=False, http2=True) as client:
        return (await client.get(url)).is_success


def reason(code: int | None) -> str:
    """An exit status in words."""
    if code is None:
        return "unknown"
    return signal.Signals(-code).name if code < 0 else f"exit status {code}"


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:])


def end_orphan(identity: Identity, *, within: timedelta = timedelta(seconds=10)) -> bool:
    """End a process that an earlier supervisor left behind, if it is still the very same one.

    Returns whether there was one. The children go too, since a killed leader cannot end them.
    """
    leader = identity.process()
    if leader is None:
        return False
    family = [leader, *leader.children(recursive=True)]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(family, timeout=within.total_seconds())
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
    return True
