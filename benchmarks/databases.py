"""Databases with ``lineitem`` in them, as fixtures."""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import duckdb
import pytest
from drivers import COLUMNS
from services.databases import LOGIN, PASSWORD, mariadb_server, postgres_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The key is that of TPC-H.
_TABLE = (
    f"CREATE TABLE lineitem ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())}, "
    "PRIMARY KEY (l_orderkey, l_linenumber))"
)


@pytest.fixture(scope="session")
def lines(lineitem: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All rows as CSV without a header."""
    file = tmp_path_factory.mktemp("lines") / "lineitem.csv"
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE VIEW lineitem AS SELECT * FROM read_parquet($1)".replace("$1", f"'{lineitem}'")
        )
        connection.execute(f"COPY lineitem TO '{file}' (HEADER false)")
    return file


@pytest.fixture(scope="session")
def postgresql(lines: Path) -> Iterator[str]:
    import psycopg

    with postgres_server() as server:
        where = f"host=127.0.0.1 port={server.port} user=postgres"
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(_TABLE)
            with (
                lines.open("rb") as data,
                connection.cursor() as cursor,
                cursor.copy("COPY lineitem FROM STDIN (FORMAT csv)") as copy,
            ):
                while block := data.read(1 << 20):
                    copy.write(block)
            connection.execute("VACUUM ANALYZE lineitem")
        yield server.url()


@pytest.fixture(scope="session")
def mariadb(lines: Path) -> Iterator[str]:
    import pymysql

    with mariadb_server() as server:
        connection = pymysql.connect(
            host="127.0.0.1",
            port=server.port,
            user=LOGIN,
            password=PASSWORD,
            database=server.database,
            local_infile=True,
            autocommit=True,
        )
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(_TABLE)
            cursor.execute(
                f"LOAD DATA LOCAL INFILE '{lines}' INTO TABLE lineitem "
                "FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"'"
            )
            cursor.execute("ANALYZE TABLE lineitem")
        yield server.url()


@pytest.fixture(scope="session")
def sqlite(lines: Path) -> str:
    file = lines.with_name("lineitem.db")
    with closing(sqlite3.connect(file)) as connection, lines.open(newline="") as data, connection:
        connection.execute(_TABLE)
        marks = ", ".join("?" for _ in COLUMNS)
        connection.executemany(f"INSERT INTO lineitem VALUES ({marks})", csv.reader(data))
    return f"sqlite:///{file}"
