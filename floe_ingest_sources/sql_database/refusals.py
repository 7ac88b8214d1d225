"""Why a database refused a connection, by its error codes and never by the words of a message."""

from __future__ import annotations

import os
import re
import select
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.exc import DBAPIError

_LOOK_SECONDS = 5.0
_ERROR_RESPONSE = re.compile(rb'\tErrorResponse\t.*? C "([0-9A-Z]{5})"')
# SQLSTATE classes and codes that no later try changes: authorization (28), unknown database, no privilege.
_POSTGRES = re.compile(r"28...|3D000|42501")
# MySQL and MariaDB: access denied (to a database, for a user), unknown database, and the same by plugins.
_MYSQL = frozenset({1044, 1045, 1049, 1698, 3118, 4151})


def is_refusal(engine: Engine, error: DBAPIError) -> bool:
    """Return whether a failed connection was refused for good: a wrong login or database name."""
    if engine.dialect.name == "postgresql":
        return _postgres(engine, error)
    if engine.dialect.name in ("mysql", "mariadb"):
        code = error.orig.args[0] if error.orig is not None and error.orig.args else None
        return code in _MYSQL
    return False


def _postgres(engine: Engine, error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    failed = getattr(error.orig, "pgconn", None)
    if state is None and failed is not None:
        if failed.needs_password:
            return True
        if failed.used_password:
            state = _sqlstate(engine)
    return state is not None and _POSTGRES.fullmatch(state) is not None


def _sqlstate(engine: Engine) -> str | None:
    """Connect once more, and return the SQLSTATE of the refusal; None where there is none.

    psycopg gives no SQLSTATE of a failed connection, and libpq's words are the server's, in its language. But
    libpq's trace of the protocol has it (https://www.postgresql.org/docs/current/libpq-control.html). The
    trace stays in memory, and nothing but the code is taken from it.
    """
    from psycopg import conninfo, pq

    if not hasattr(os, "memfd_create"):
        return None
    _, fields = engine.dialect.create_connect_args(engine.url)
    known = {name: value for name, value in fields.items() if name not in ("context", "prepare_threshold")}
    text = conninfo.make_conninfo(**known)
    trace = os.memfd_create("floe-ingest")
    try:
        connection = pq.PGconn.connect_start(text.encode())
        try:
            connection.trace(os.dup(trace))
            _poll(connection, pq)
            connection.untrace()
        finally:
            connection.finish()
        os.lseek(trace, 0, os.SEEK_SET)
        found = _ERROR_RESPONSE.search(os.read(trace, 1 << 20))
    finally:
        os.close(trace)
    return found[1].decode() if found else None


def _poll(connection: Any, pq: Any) -> None:
    end = time.monotonic() + _LOOK_SECONDS
    while (left := end - time.monotonic()) > 0:
        match connection.connect_poll():
            case pq.PollingStatus.READING:
                select.select([connection.socket], [], [], left)
            case pq.PollingStatus.WRITING:
                select.select([], [connection.socket], [], left)
            case _:
                return


def make_read_only(connection: Connection, statement_timeout: int | None) -> None:
    """Let a connection read only, and no statement of it run longer than ``statement_timeout`` seconds."""
    dialect = connection.dialect
    if dialect.name == "postgresql":
        connection.exec_driver_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        if statement_timeout is not None:
            connection.exec_driver_sql(f"SET statement_timeout = {statement_timeout * 1000:d}")
    elif dialect.name in ("mysql", "mariadb"):
        connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
        connection.exec_driver_sql("SET SESSION time_zone = '+00:00'")
        if statement_timeout is not None:
            mariadb = getattr(dialect, "is_mariadb", False)
            name, unit = ("max_statement_time", 1) if mariadb else ("max_execution_time", 1000)
            connection.exec_driver_sql(f"SET SESSION {name} = {statement_timeout * unit:d}")
    else:
        return
    connection.commit()
