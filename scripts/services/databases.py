"""Database servers: PostgreSQL and MariaDB."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services import programs
from services.known import known
from services.processes import OfServer, ServiceError, call, free_port, running, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from services.processes import Server

SUPERUSER = "postgres"
LOGIN = "loader"
# With what a URL, SQL and YAML have to quote, and long enough to be found wherever it is.
PASSWORD = "p@ss word/'1\"7Kq2xVbT9m"


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running PostgreSQL server.

    Arguments:
        port: on 127.0.0.1.
        data: its folder.
        control: the command that starts and stops it.
        settings: with which it starts.
    """

    port: int
    data: Path
    control: Sequence[str] = field(repr=False)
    settings: str = field(repr=False)

    @property
    def pid(self) -> int:
        """The number of the server's first process."""
        return int((self.data / "postmaster.pid").read_text(encoding="ascii").splitlines()[0])

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        log = str(self.data.parent / "log")
        call([*self.control, "-l", log, "-w", "start", "-o", self.settings])

    def stop(self) -> None:
        """Stop it, if it runs: connections are cut, transactions rolled back."""
        import psutil

        # The file stays where the server was killed.
        if (self.data / "postmaster.pid").exists() and psutil.pid_exists(self.pid):
            call([*self.control, "-m", "fast", "-w", "stop"])

    def kill(self) -> None:
        """End it and its processes at once, by SIGKILL."""
        import psutil

        first = psutil.Process(self.pid)
        processes = [first, *first.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=10)

    def url(self, *, user: str = SUPERUSER, password: str | None = None, database: str = "postgres") -> str:
        """Return an SQLAlchemy URL."""
        return _url("postgresql", self.port, user, password, database)

    def create_database(self, name: str) -> None:
        """Create an empty database."""
        import psycopg
        from psycopg import sql

        where = f"host=127.0.0.1 port={self.port} user={SUPERUSER} dbname=postgres"
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a PostgreSQL server. The superuser needs no password; the role ``loader`` does.

    Raises:
        ServiceError: PostgreSQL is not installed, or does not start.
    """
    binaries = programs.postgresql()
    known("the password of PostgreSQL's loader", PASSWORD)
    with temporary_folder("postgres") as folder:
        port = free_port()
        # The server refuses to run as root, so it runs as its own user, in a folder of that user.
        prefix = _as_server_user(folder)
        data = folder / "data"
        layout = ["-D", str(data), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
        call([*prefix, str(binaries / "initdb"), *layout])
        rules = (
            f"local all all trust\nhost all {SUPERUSER} 127.0.0.1/32 trust\n"
            "host all all 127.0.0.1/32 scram-sha-256\n"
        )
        (data / "pg_hba.conf").write_text(rules, encoding="ascii")
        settings = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
        control = [*prefix, str(binaries / "pg_ctl"), "-D", str(data)]
        server = PostgresServer(port, data, control, settings)
        server.start()
        try:
            _create_login(server)
            yield server
        finally:
            server.stop()


@dataclass(frozen=True, slots=True)
class MariaServer(OfServer):
    """A running MariaDB server, whose role ``loader`` may do everything.

    Arguments:
        port: on 127.0.0.1.
        server: its process.
        database: an empty database.
    """

    port: int
    server: Server = field(repr=False)
    database: str = "shop"

    def url(self, *, user: str = LOGIN, password: str | None = PASSWORD, database: str | None = None) -> str:
        """Return an SQLAlchemy URL."""
        return _url("mysql+pymysql", self.port, user, password, database or self.database)


@contextmanager
def mariadb_server() -> Iterator[MariaServer]:
    """Run a MariaDB server with a role ``loader`` and a database ``shop``.

    Raises:
        ServiceError: MariaDB is not installed, or does not start.
    """
    known("the password of MariaDB's loader", PASSWORD)
    with temporary_folder("mariadb") as folder:
        data, socket, port = folder / "data", folder / "s.sock", free_port()
        own = ["--user=root"] if os.getuid() == 0 else []
        layout = [f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db"]
        call([programs.mariadb("mariadb-install-db"), "--no-defaults", *own, *layout])
        init = folder / "init.sql"
        init.write_text(_maria_login("shop"), encoding="utf-8")
        command = [
            programs.mariadbd(),
            "--no-defaults",
            *own,
            f"--datadir={data}",
            f"--socket={socket}",
            "--bind-address=127.0.0.1",
            f"--port={port}",
            f"--init-file={init}",
            "--skip-log-bin",
        ]
        with running(command, folder, lambda: _accepts(port)) as server:
            yield MariaServer(port, server)


def _accepts(port: int) -> bool:
    import pymysql

    try:
        pymysql.connect(
            host="127.0.0.1", port=port, user=LOGIN, password=PASSWORD, database="shop", connect_timeout=2
        ).close()
    except pymysql.err.OperationalError:
        return False
    return True


def _maria_login(database: str) -> str:
    password = PASSWORD.replace("'", "''")
    return (
        f"CREATE DATABASE IF NOT EXISTS {database} CHARACTER SET utf8mb4;\n"
        f"CREATE USER IF NOT EXISTS {LOGIN}@'127.0.0.1' IDENTIFIED BY '{password}';\n"
        f"GRANT ALL ON *.* TO {LOGIN}@'127.0.0.1' WITH GRANT OPTION;\n"
    )


def _url(driver: str, port: int, user: str, password: str | None, database: str) -> str:
    from sqlalchemy import URL

    made = URL.create(driver, user, password, "127.0.0.1", port, database)
    return made.render_as_string(hide_password=False)


def _as_server_user(folder: Path) -> list[str]:
    if os.getuid() != 0:
        return []
    try:
        shutil.chown(folder, SUPERUSER, SUPERUSER)
    except LookupError as error:
        raise ServiceError(f"There is no user {SUPERUSER!r} to run PostgreSQL as") from error
    return ["runuser", "-u", SUPERUSER, "--"]


def _create_login(server: PostgresServer) -> None:
    import psycopg
    from psycopg import sql

    where = f"host=127.0.0.1 port={server.port} user={SUPERUSER} dbname=postgres"
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(LOGIN), sql.Literal(PASSWORD))
        )
