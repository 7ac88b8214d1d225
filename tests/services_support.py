"""Real servers for tests: plain processes on loopback ports, stopped by those who started them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SUPERUSER = "postgres"
LOGIN = "loader"
PASSWORD = "p@ss word/'1\""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running PostgreSQL server.

    Arguments:
        port: on 127.0.0.1.
        data: its folder.
    """

    port: int
    data: Path

    def url(self, *, user: str = SUPERUSER, password: str | None = None, database: str = "postgres") -> str:
        """Return an SQLAlchemy URL."""
        from sqlalchemy import URL

        made = URL.create("postgresql", user, password, "127.0.0.1", self.port, database)
        return made.render_as_string(hide_password=False)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a PostgreSQL server. The superuser needs no password; the role ``loader`` does.

    Raises:
        RuntimeError: PostgreSQL is not installed, or does not start; with what it wrote.
    """
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        raise RuntimeError("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    binaries = programs[-1].parent
    folder = Path(tempfile.mkdtemp(prefix="floe-ingest-postgres-"))
    port = free_port()
    try:
        # The server refuses to run as root, so it runs as its own user, in a folder of that user.
        prefix = _as_server_user(folder)
        data = folder / "data"
        layout = ["-D", str(data), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
        _call([*prefix, str(binaries / "initdb"), *layout])
        rules = (
            f"local all all trust\nhost all {SUPERUSER} 127.0.0.1/32 trust\n"
            "host all all 127.0.0.1/32 scram-sha-256\n"
        )
        (data / "pg_hba.conf").write_text(rules, encoding="ascii")
        settings = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
        control = [*prefix, str(binaries / "pg_ctl"), "-D", str(data)]
        _call([*control, "-l", str(folder / "log"), "-w", "start", "-o", settings])
        try:
            server = PostgresServer(port, data)
            _create_login(server)
            yield server
        finally:
            _call([*control, "-m", "fast", "-w", "stop"])
    finally:
        shutil.rmtree(folder)


def _as_server_user(folder: Path) -> list[str]:
    if os.getuid() != 0:
        return []
    shutil.chown(folder, SUPERUSER, SUPERUSER)
    return ["runuser", "-u", SUPERUSER, "--"]


def _create_login(server: PostgresServer) -> None:
    import psycopg
    from psycopg import sql

    where = f"host=127.0.0.1 port={server.port} user={SUPERUSER} dbname=postgres"
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(LOGIN), sql.Literal(PASSWORD))
        )


def _call(command: list[str]) -> None:
    # A server that pg_ctl starts keeps its output open: into a file, since a pipe would never end.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd="/", check=False
        )
        if done.returncode != 0:
            output.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed: {output.read().decode(errors='replace')}")
