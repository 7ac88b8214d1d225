"""The database that a URL names: how to connect to it, how DuckDB does, and how to speak of it."""

from __future__ import annotations

import importlib.util
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, quote_plus

from floe_ingest import (
    Attachment,
    MissingPackageError,
    SourceAccessError,
    SourceConfigurationError,
    SourceConnectionError,
)
from floe_ingest_sources._resources import listed, nearest
from floe_ingest_sources.sql_database.refusals import is_refusal, make_read_only

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import URL

    from floe_ingest import SourceRequest

Kind = Literal["sqlite", "duckdb", "postgresql", "mysql", "other"]

ATTACHED = "source"
"""The name under which DuckDB attaches the database."""

TIMEOUT_SECONDS = 10
INSTALL = "pip install 'floe-ingest[sql]'"
_TIMEOUTS = {
    "postgresql": {"connect_timeout": TIMEOUT_SECONDS},
    "mysql": {"connect_timeout": TIMEOUT_SECONDS},
    "mariadb": {"connect_timeout": TIMEOUT_SECONDS},
}


@dataclass(frozen=True, slots=True)
class Database:
    """A database that a configuration names. Nothing in its repr is secret.

    Arguments:
        kind: which readers it has.
        label: how messages speak of it.
        url: with the password.
        path: the file of an SQLite or DuckDB database.
        statement_timeout: how long a statement may run, in seconds; None for the server's own limit.
    """

    kind: Kind
    label: str
    url: URL = field(repr=False)
    path: Path | None = None
    statement_timeout: int | None = None

    def attachment(self) -> Attachment:
        """Return what DuckDB attaches."""
        if self.kind == "duckdb":
            return Attachment(ATTACHED, "duckdb", path=str(self.path), default=True)
        if self.kind == "sqlite":
            return Attachment(ATTACHED, "sqlite", path=str(self.path))
        fields = {
            "host": self.url.host,
            "port": str(self.url.port) if self.url.port else None,
            "user": self.url.username,
            "password": str(self.url.password) if self.url.password is not None else None,
            "database": self.url.database,
        }
        secret = {name: text for name, text in fields.items() if text}
        if self.kind == "mysql":
            return Attachment(ATTACHED, "mysql", secret=secret)
        limit = self.statement_timeout
        options = "" if limit is None else f"options='-c statement_timeout={limit * 1000:d}'"
        return Attachment(ATTACHED, "postgres", path=options, secret=secret)

    def options(self) -> list[str]:
        """Return the URL's options, but for one that every reader of MySQL has: the charset utf8mb4."""
        return [
            name
            for name, value in self.url.query.items()
            if (self.kind, name, value) != ("mysql", "charset", "utf8mb4")
        ]

    @property
    def query_function(self) -> str:
        """Return DuckDB's function that lets the server run a query."""
        return {"postgresql": "postgres_query", "mysql": "mysql_query"}[self.kind]

    def why_not_duckdb(self) -> str | None:
        """Return why DuckDB cannot connect to this database as the URL says; None if it can."""
        if self.kind == "other":
            return f"DuckDB has no reader for {self.url.get_backend_name()} here"
        if self.kind in ("postgresql", "mysql") and (options := self.options()):
            return f"the URL has options that DuckDB does not take: {listed(options)}"
        return None

    @contextmanager
    def connect(self) -> Iterator[Any]:
        """Open an SQLAlchemy connection, which is closed at the end in any case; for DuckDB a ``DuckDBFile``.

        Raises:
            SourceConnectionError: the database cannot be reached.
            SourceAccessError: it refuses the login, or there is no such database.
            SourceConfigurationError: there is no such file.
            MissingPackageError: its driver is not installed.
            SourceConfigurationError: SQLAlchemy knows no such dialect.
        """
        import sqlalchemy
        from sqlalchemy.exc import DBAPIError

        if self.kind == "duckdb" and self.path is not None:
            from floe_ingest_sources.sql_database.duckdb_file import DuckDBFile

            self._check_file(self.path)
            yield DuckDBFile(self)
            return
        engine = self._engine()
        try:
            try:
                connection = engine.connect()
                if self.kind == "sqlite":
                    connection.execute(sqlalchemy.text("SELECT count(*) FROM sqlite_master"))
            except (DBAPIError, sqlite3.Error) as error:
                refused = isinstance(error, DBAPIError) and is_refusal(engine, error)
                kind = SourceAccessError if refused else SourceConnectionError
                raise kind(f"{self.label} cannot be opened: {self.without_secrets(error)}") from error
            with connection:
                make_read_only(connection, self.statement_timeout)
                yield connection
        finally:
            engine.dispose()

    def without_secrets(self, error: BaseException) -> str:
        """Return an error's own words in one line, without the SQL that SQLAlchemy adds, or any password."""
        text = " ".join(str(getattr(error, "orig", None) or error).split())
        if self.url.password is not None:
            password = str(self.url.password)
            for secret in (password, quote_plus(password), quote(password, safe="")):
                text = text.replace(secret, "***") if secret else text
        return text

    def _engine(self) -> Any:
        import sqlalchemy
        from sqlalchemy.exc import NoSuchModuleError
        from sqlalchemy.pool import NullPool

        if self.path is not None:
            path = self.path
            self._check_file(path)
            # Read-only: opening a missing file must not create one, nor a reader leave a journal.
            # dlt may close a reader in another thread than the one that opened it.
            return sqlalchemy.create_engine(
                "sqlite://",
                creator=lambda: sqlite3.connect(
                    f"file:{quote(str(path))}?mode=ro",
                    uri=True,
                    timeout=TIMEOUT_SECONDS,
                    check_same_thread=False,
                ),
                poolclass=NullPool,
            )
        backend = self.url.get_backend_name()
        timeouts = {
            name: value for name, value in _TIMEOUTS.get(backend, {}).items() if name not in self.url.query
        }
        try:
            return sqlalchemy.create_engine(self.url, poolclass=NullPool, connect_args=timeouts)
        except NoSuchModuleError:
            raise SourceConfigurationError(
                f"url: SQLAlchemy knows no dialect {self.url.drivername!r} here. Known without more: "
                f"{', '.join(_DIALECTS)}.{nearest(backend, _DIALECTS)}"
            ) from None
        except ModuleNotFoundError as error:
            name = error.name or self.url.drivername
            install = f"pip install {_PACKAGES.get(name, name)}"
            raise MissingPackageError(f"A {backend} database", name, install) from error

    def _check_file(self, path: Path) -> None:
        if path.is_file():
            return
        if path.is_dir():
            raise SourceConfigurationError(f"url: {path} is a folder, not a database file")
        if not path.parent.is_dir():
            raise SourceConfigurationError(
                f"url: there is no file {path}, since there is no folder {path.parent}"
            )
        there = [
            file.name for file in path.parent.iterdir() if file.is_file() and not file.name.startswith(".")
        ]
        raise SourceConfigurationError(
            f"url: there is no {_FILES[self.kind][1]} database {path}.{nearest(path.name, there)} "
            f"The folder has: {listed(there)}"
        )


_PACKAGES = {"mssql_python": "mssql-python"}
# Which driver a URL without one means: those that have an Arrow fetch.
_DEFAULT_DRIVERS = {"mssql": "mssql+mssqlpython", "oracle": "oracle+oracledb"}
_FILES: dict[str, tuple[Kind, str]] = {"sqlite": ("sqlite", "SQLite"), "duckdb": ("duckdb", "DuckDB")}
_WITH_TIMEOUT = ("postgresql", "postgres", "mysql", "mariadb")
_DIALECTS = ("postgresql", "sqlite", "duckdb", "mysql", "mariadb", "oracle", "mssql")


def database_of(request: SourceRequest) -> Database:
    """Return the database of a request. Nothing is opened.

    Raises:
        SourceConfigurationError: the URL cannot be one.
        MissingPackageError: SQLAlchemy, or the driver for PostgreSQL, is not installed.
    """
    _need("sqlalchemy")
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(request.config.url.get_secret_value())
    except (ArgumentError, ValueError):
        # The cause repeats the text, password and all.
        raise SourceConfigurationError(
            "url is not an SQLAlchemy URL; write dialect://user:password@host:port/database, or "
            "sqlite:///path. Special characters of a password must be percent-encoded (@ as %40)"
        ) from None
    backend = url.get_backend_name()
    timeout = request.config.statement_timeout
    if timeout is not None and backend not in _WITH_TIMEOUT:
        raise SourceConfigurationError(
            f"statement_timeout: a {backend} database has none that floe-ingest can set; leave it out"
        )
    if backend in _FILES:
        return _file(url, request)
    if backend in ("postgresql", "postgres"):
        if url.drivername in ("postgresql", "postgres"):
            url = url.set(drivername="postgresql+psycopg")
            _need("psycopg")
        return Database("postgresql", _label(url, "PostgreSQL"), url, statement_timeout=timeout)
    if backend in ("mysql", "mariadb"):
        if url.drivername == backend:
            url = url.set(drivername=f"{backend}+pymysql")
            _need("pymysql")
        product = {"mysql": "MySQL", "mariadb": "MariaDB"}[backend]
        return Database("mysql", _label(url, product), url, statement_timeout=timeout)
    url = url.set(drivername=_DEFAULT_DRIVERS.get(url.drivername, url.drivername))
    product = {"mssql": "SQL Server", "oracle": "Oracle"}.get(backend, backend)
    return Database("other", _label(url, product), url, statement_timeout=timeout)


def _file(url: URL, request: SourceRequest) -> Database:
    backend = url.get_backend_name()
    kind, product = _FILES[backend]
    if not url.database or url.database == ":memory:" or url.database.startswith(("file:", "md:")):
        raise SourceConfigurationError(
            f"url: {url.render_as_string()} names no database file; write {backend}:///path/to/file.db"
        )
    if url.query:
        raise SourceConfigurationError(
            f"url: options of {product} URLs are not supported ({listed(url.query)}); leave them out. "
            f"The file is opened read-only in any case"
        )
    path = request.resolve_path(url.database)
    return Database(kind, f"{product} database {path}", url, path)


def _label(url: URL, product: str) -> str:
    port = f":{url.port}" if url.port else ""
    user = f" as user {url.username}" if url.username else ""
    return (
        f"{product} database {url.database or 'by default'} at {url.host or 'the local socket'}{port}{user}"
    )


def _need(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise MissingPackageError("A sql_database source", module, INSTALL)
