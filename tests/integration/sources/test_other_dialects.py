"""Dialects without a reader of their own, as SQLAlchemy reads them.

No such server is at hand, so SQLite plays one: the path through SQLAlchemy's types is the same.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sources_support import batches_of, request_for

from floe_ingest import SchemaError, SourceConfigurationError
from floe_ingest_sources.sql_database import SqlDatabaseConfig
from floe_ingest_sources.sql_database.reading import _items
from floe_ingest_sources.sql_database.urls import Database

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from floe_ingest import SourceRequest


def read(tmp_path: Path, *statements: str, name: str = "t", **config: Any) -> list[pa.Table]:
    from sqlalchemy import make_url

    url = f"sqlite:///{tmp_path / 'other.db'}"
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    database = Database("other", "a database", make_url(url))
    request = _request(SqlDatabaseConfig(url=url, **config), tmp_path)
    return list(batches_of(_items(request, database, name)))


def _request(config: SqlDatabaseConfig, folder: Path) -> SourceRequest:
    return request_for("sql_database", config, folder, primary_key=("id",))


def test_types_are_sqlalchemys(tmp_path: Path) -> None:
    (table,) = read(
        tmp_path,
        "CREATE TABLE t (i INTEGER, b BOOLEAN, f FLOAT, d DECIMAL(10,2), s VARCHAR(5), x BLOB, day DATE, "
        "at DATETIME, j JSON)",
        "INSERT INTO t VALUES (1, 1, 0.5, 1.25, 'é', x'00', '2024-01-02', '2024-01-02 03:04:05.5', '[1]')",
        "INSERT INTO t (i) VALUES (2)",
        table="t",
    )
    assert table.to_pylist()[0] == {
        "i": 1,
        "b": True,
        "f": 0.5,
        "d": Decimal("1.25"),
        "s": "é",
        "x": b"\x00",
        "day": dt.date(2024, 1, 2),
        "at": dt.datetime(2024, 1, 2, 3, 4, 5, 500000),
        "j": "[1]",
    }
    assert str(table.schema.field("d").type) == "decimal128(10, 2)"


def test_batches_columns_and_conditions(tmp_path: Path) -> None:
    tables = read(
        tmp_path,
        "CREATE TABLE t (i INTEGER, s TEXT)",
        "INSERT INTO t VALUES (1, ':a'), (2, ':b'), (3, ':c'), (4, NULL)",
        table="t",
        columns=["i"],
        where="s <> ':a' OR s IS NULL",
        batch_rows=2,
    )
    assert [table.to_pylist() for table in tables] == [[{"i": 2}, {"i": 3}], [{"i": 4}]]


def test_a_query_takes_its_types_from_its_first_batch(tmp_path: Path) -> None:
    statements = ("CREATE TABLE t (i, s)", "INSERT INTO t VALUES (1, ':a'), (2, 'b'), ('x', 'c')")
    query = "SELECT i, s FROM t WHERE s <> ':x' ORDER BY rowid"
    assert [table.num_rows for table in read(tmp_path, *statements, query=query)] == [3]
    with pytest.raises(
        SchemaError, match="Column 'i' of the query has a value that int64 cannot hold exactly"
    ):
        read(tmp_path, query=query, batch_rows=1)


def test_an_empty_query_and_table_have_their_columns(tmp_path: Path) -> None:
    (table,) = read(tmp_path, "CREATE TABLE t (i INTEGER)", query="SELECT i FROM t")
    assert (table.num_rows, table.column_names) == (0, ["i"])
    (table,) = read(tmp_path, table="t")
    assert str(table.schema.field("i").type) == "int64"


def test_a_missing_table_and_the_wrong_backend_are_said(tmp_path: Path) -> None:
    with pytest.raises(SourceConfigurationError, match=r"no table 'tt'.*mean 't'"):
        read(tmp_path, "CREATE TABLE t (i INTEGER)", name="tt", table="tt")
    with pytest.raises(SourceConfigurationError, match="backend: duckdb cannot read table t exactly"):
        read(tmp_path, table="t", backend="duckdb")
