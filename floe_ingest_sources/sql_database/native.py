"""Reads SQL Server and Oracle by the Arrow fetch of their own drivers, over SQLAlchemy's connection.

mssql-python gives batches by ``cursor.arrow_reader`` (https://github.com/microsoft/mssql-python/wiki), and
python-oracledb by ``connection.fetch_df_batches``
(https://python-oracledb.readthedocs.io/en/latest/user_guide/dataframes.html). No server of either was there
to test what they give, so a column is taken by its declared type alone where that leaves nothing open, and
every batch is cast to it strictly.
"""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

from floe_ingest import SourceConfigurationError, SourceConnectionError
from floe_ingest_sources.sql_database.drivers import exact
from floe_ingest_sources.sql_database.readers import arrow_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa
    from sqlalchemy import Connection

    from floe_ingest_sources.sql_database.relation import Relation
    from floe_ingest_sources.sql_database.urls import Database

NAMES = {"mssql": "mssql-python", "oracle": "python-oracledb"}
_DRIVERS = {"mssql": "mssqlpython", "oracle": "oracledb"}
_KINDS = re.compile(r"INTEGER|BIGINT|FLOAT|DOUBLE|BOOLEAN|VARCHAR|BLOB|DATE|TIMESTAMP|DECIMAL\(\d+,\d+\)")
# How a number without precision is planned, which python-oracledb may give as a double.
_UNBOUNDED = "DECIMAL(38,9)"


def check_serves(database: Database, relation: Relation) -> None:
    """Make sure that ``backend: arrow`` can read a relation.

    Raises:
        SourceConfigurationError: it cannot.
    """
    if (problem := _problem(database, relation)) is not None:
        raise SourceConfigurationError(
            f"backend: arrow cannot read {relation.origin} ({problem}); write backend: auto"
        )


def read(
    connection: Connection, database: Database, relation: Relation, batch_rows: int
) -> Iterator[pa.Table]:
    """Read a relation in batches. A relation without rows gives one table without rows.

    Raises:
        SourceConnectionError: the driver failed.
        SchemaError: a value does not fit its column exactly.
    """
    import pyarrow as pa

    driver: Any = connection.connection.driver_connection
    fetch = {"mssql": _mssql, "oracle": _oracle}[database.url.get_backend_name()]
    empty = True
    try:
        for batch in fetch(driver, *statement_of(connection, relation), batch_rows):
            if batch.num_rows:
                empty = False
                yield exact(batch, relation)
    except connection.dialect.loaded_dbapi.Error as error:
        raise SourceConnectionError(
            f"{NAMES[database.url.get_backend_name()]} failed at reading {relation.origin} of "
            f"{database.label}: {database.without_secrets(error)}"
        ) from error
    if empty:
        yield pa.schema([(plan.name, arrow_type(plan.kind)) for plan in relation.plans]).empty_table()


def statement_of(connection: Connection, relation: Relation) -> tuple[str, Mapping[str, Any]]:
    """Return a relation's SELECT as its driver takes it, and its parameters."""
    compiled = relation.statement.compile(dialect=connection.dialect)
    return str(compiled), compiled.construct_params()


def _mssql(
    driver: Any, select: str, parameters: Mapping[str, Any], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    with closing(driver.cursor()) as cursor:
        cursor.execute(select, dict(parameters)) if parameters else cursor.execute(select)
        with closing(cursor.arrow_reader(batch_rows)) as reader:
            yield from reader


def _oracle(
    driver: Any, select: str, parameters: Mapping[str, Any], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    frames = driver.fetch_df_batches(select, dict(parameters), batch_rows, fetch_decimals=True)
    for frame in frames:
        yield from pa.table(frame).to_batches()


def _problem(database: Database, relation: Relation) -> str | None:
    backend = database.url.get_backend_name()
    if backend not in _DRIVERS:
        return "it is for SQL Server and Oracle"
    if database.url.get_driver_name() != _DRIVERS[backend]:
        return f"it needs the driver {NAMES[backend]}; begin the URL by {backend}+{_DRIVERS[backend]}://"
    if not relation.plans:
        return "only the values of a query tell its types here"
    open_types = [p.name for p in relation.plans if not _KINDS.fullmatch(p.kind) or p.kind == _UNBOUNDED]
    if open_types:
        return f"the types of {', '.join(open_types)} leave open what the driver gives"
    return None
