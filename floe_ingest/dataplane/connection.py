"""Opens DuckDB connections: one a piece of work, bounded, and closed to the network."""

from __future__ import annotations

import importlib.util
import re
import threading
import weakref
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from floe_ingest.dataplane.columns import identifier, literal
from floe_ingest.errors import MissingPackageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection

    from floe_ingest_hookspecs import Attachment

_EXTENSIONS = {
    "postgres": ("postgres_scanner", "pip install 'floe-ingest[sql]'"),
    "sqlite": ("sqlite_scanner", "pip install 'floe-ingest[sql]'"),
    "mysql": ("mysql_scanner", "pip install duckdb-extension-mysql-scanner==1.5.5"),
}

# MySQL's reader ends queries after five minutes by itself, and takes times in the server's zone.
_SESSION = {"mysql": (("mysql_query_timeout_enabled", "false"), ("mysql_session_time_zone", "+00:00"))}

MEMORY_LIMIT = "512MB"
"""What DuckDB's buffers may take in all, where nothing else is said."""

_LEAST_MEGABYTES = 64
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]i?B)\s*", re.IGNORECASE)
_UNITS = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}

_open: weakref.WeakSet[DuckDBPyConnection] = weakref.WeakSet()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class DataPlaneSettings:
    """How much of the machine DuckDB may take.

    Arguments:
        memory_limit: for DuckDB's buffers, as DuckDB writes sizes ("512MB"). Beyond it, it spills.
        spill_folder: where it spills; None spills into the system's temporary folder.
    """

    memory_limit: str = MEMORY_LIMIT
    spill_folder: Path | None = None


def share_of_memory(limit: str, parts: int) -> str:
    """Return the part of a memory limit that each of several connections at once may take.

    At least 64 MB, with which DuckDB still sorts and joins what does not fit, by spilling.

    Raises:
        ValueError: the limit is no size as DuckDB writes it.

    Example:
        >>> share_of_memory("1GB", 4)
        '250MB'
    """
    found = _SIZE.fullmatch(limit)
    if found is None:
        raise ValueError(f'A memory limit is written as "512MB" or "2GiB", got {limit!r}')
    megabytes = float(found[1]) * _UNITS[found[2].upper()] / 1e6
    return f"{max(_LEAST_MEGABYTES, int(megabytes / parts))}MB"


def import_duckdb() -> None:
    """Import DuckDB without opening a connection."""
    import duckdb

    _ = duckdb.__version__


@contextmanager
def connect(settings: DataPlaneSettings, *, ordered: bool = False) -> Iterator[DuckDBPyConnection]:
    """Open an in-memory DuckDB for one piece of work, in one thread.

    A connection shared by threads gives wrong results, so none is kept. Extensions are never fetched:
    they come from wheels, by path. Times without a zone are read as UTC.

    Arguments:
        settings: memory, and where to spill.
        ordered: keep the order of rows from the inputs to the files.
    """
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "memory_limit": settings.memory_limit,
        "preserve_insertion_order": ordered,
    }
    if settings.spill_folder is not None:
        settings.spill_folder.mkdir(parents=True, exist_ok=True)
        config["temp_directory"] = str(settings.spill_folder)
    connection = duckdb.connect(":memory:", config=config)
    with _lock:
        _open.add(connection)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")
        yield connection
    finally:
        with _lock:
            _open.discard(connection)
        connection.close()


def interrupt_queries() -> None:
    """End every query that is running, in whatever thread, by an error of its own."""
    with _lock:
        for connection in _open:
            connection.interrupt()


def attach(connection: DuckDBPyConnection, attachment: Attachment) -> None:
    """Attach a database read-only under its name.

    Raises:
        MissingPackageError: the wheel with DuckDB's extension is not installed.
        duckdb.Error: the database cannot be opened. The message holds no password, since connection
            fields travel in a temporary secret.
    """
    name = identifier(attachment.name)
    options = ["READ_ONLY"]
    if attachment.kind != "duckdb":
        _load_extension(connection, attachment.kind)
        for setting, value in _SESSION.get(attachment.kind, ()):
            connection.execute(f"SET {setting} = {literal(value)}")
        options.append(f"TYPE {attachment.kind}")
    if attachment.secret:
        secret = identifier(f"{attachment.name}_secret")
        fields = ", ".join(
            f"{identifier(field)} {literal(value)}" for field, value in attachment.secret.items()
        )
        connection.execute(f"CREATE TEMPORARY SECRET {secret} (TYPE {attachment.kind}, {fields})")
        options.append(f"SECRET {secret}")
    connection.execute(f"ATTACH {literal(attachment.path)} AS {name} ({', '.join(options)})")
    if attachment.default:
        connection.execute(f"USE {name}")


def _load_extension(connection: DuckDBPyConnection, kind: str) -> None:
    extension, install = _EXTENSIONS[kind]
    package = f"duckdb_extension_{extension}"
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise MissingPackageError(f"Reading {kind} through DuckDB", package, install)
    candidates = [
        file
        for folder in found.submodule_search_locations
        for file in Path(folder).glob(f"extensions/*/{extension}.duckdb_extension")
    ]
    if not candidates:
        raise MissingPackageError(f"Reading {kind} through DuckDB", package, install)
    connection.execute(f"LOAD {literal(str(candidates[0]))}")
