"""Reads a relation as Arrow: by one connection or by several, by a driver or by SQLAlchemy."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import structlog

from floe_ingest import BulkScan, SourceConnectionError
from floe_ingest_sources.sql_database import drivers, native
from floe_ingest_sources.sql_database.readers import read_batches
from floe_ingest_sources.sql_database.views import one_view, read_together

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    import pyarrow as pa

    from floe_ingest_sources.sql_database.config import SqlDatabaseConfig
    from floe_ingest_sources.sql_database.relation import Relation
    from floe_ingest_sources.sql_database.urls import Database

_log = structlog.get_logger(__name__)


def by_driver(
    driver: str,
    reason: str,
    database: Database,
    config: SqlDatabaseConfig,
    relation: Relation,
    otherwise: Callable[[], Iterator[Any]],
) -> Generator[Any]:
    """Read by a driver; where it fails before its first row, and was not asked for, by another reader."""
    names = {"table": relation.name, "database": database.label}
    _log.info(f"read by {drivers.NAMES[driver]}", **names, reason=reason)
    tables = drivers.read(driver, database, relation, config.batch_rows)
    said = f"{drivers.NAMES[driver]} failed; another reader is taken"
    yield from _or_otherwise(tables, otherwise if config.backend == "auto" else None, said, names)


def by_shards(
    shards: Sequence[Relation],
    column: str,
    database: Database,
    config: SqlDatabaseConfig,
    otherwise: Callable[[], Iterator[Any]],
) -> Generator[Any]:
    """Read the shards of a relation side by side in one view of the database.

    Where that fails before its first row, and the shards are ``auto``, it is read otherwise.
    """
    driver = drivers.of_shards(config.backend, database, shards[0])
    names = {"table": shards[0].name, "database": database.label}
    reader = drivers.NAMES[driver] if driver else "SQLAlchemy"
    _log.info(f"read by {reader} in {len(shards)} shards", **names, reason=f"by ranges of {column}")
    tables = _side_by_side(shards, driver, database, config)
    said = "reading by shards failed; one reader is taken"
    yield from _or_otherwise(tables, otherwise if config.shards == "auto" else None, said, names)


def by_arrow(database: Database, config: SqlDatabaseConfig, relation: Relation) -> Iterator[Any]:
    """Read by the Arrow fetch of the database's own driver."""
    native.check_serves(database, relation)
    reader = native.NAMES[database.url.get_backend_name()]
    names = {"table": relation.name, "database": database.label}
    _log.info(f"read by the Arrow fetch of {reader}", **names, reason="backend says so")
    with speaking(database, f"reading {relation.name}"), database.connect() as connection:
        yield from native.read(connection, database, relation, config.batch_rows)


def by_sqlalchemy(
    database: Database, config: SqlDatabaseConfig, relation: Relation, begin: tuple[str, ...] = ()
) -> Generator[pa.Table]:
    """Read by a connection of its own, whose transaction begins by ``begin``."""
    with speaking(database, f"reading {relation.name}"), database.connect() as connection:
        for statement in begin:
            connection.exec_driver_sql(statement)
        yield from read_batches(connection, relation, config.batch_rows)


def in_bulk(items: Generator[Any], origin: str) -> Generator[Any]:
    """Yield what a reader yields; its Arrow tables, which all have one schema, as one scan.

    The first table is asked for before the scan is handed over, so that the reader which failed at once has
    given way to another by then.

    Arguments:
        items: Arrow tables, or scans.
        origin: what messages call them.
    """
    first = next(items, None)
    if first is None:
        return
    if isinstance(first, BulkScan):
        yield first
        yield from items
        return

    def tables() -> Iterator[pa.Table]:
        with closing(items):
            yield first
            yield from items

    try:
        yield BulkScan.of_batches(tables, first.schema, origin=origin)
    except GeneratorExit:  # the load failed; elsewhere the tables may still be read after this
        items.close()
        raise


@contextmanager
def speaking(database: Database, doing: str) -> Iterator[None]:
    """Turn what a database says into an error that names it."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as error:
        raise SourceConnectionError(
            f"{database.label} failed at {doing}: {database.without_secrets(error)}"
        ) from error


def _side_by_side(
    shards: Sequence[Relation], driver: str | None, database: Database, config: SqlDatabaseConfig
) -> Iterator[pa.Table]:
    doing = f"reading {shards[0].name} by shards"
    with speaking(database, doing), one_view(database, shards[0], len(shards)) as view:
        readers = [
            by_sqlalchemy(database, config, shard, view.begin(number))
            if driver is None
            else drivers.read(driver, database, shard, config.batch_rows, view.begin(number))
            for number, shard in enumerate(shards)
        ]
        yield from read_together(view, readers)


def _or_otherwise(
    tables: Iterator[pa.Table],
    otherwise: Callable[[], Iterator[Any]] | None,
    said: str,
    names: dict[str, str],
) -> Iterator[Any]:
    begun = False
    try:
        for table in tables:
            begun = True
            yield table
    except SourceConnectionError as error:
        if begun or otherwise is None:
            raise
        _log.warning(said, **names, reason=str(error))
        yield from otherwise()
