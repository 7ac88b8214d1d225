"""Shards of a relation over a real PostgreSQL: each row once, in one view, or an error and nothing."""

from __future__ import annotations

import json
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest
from sources_support import items_of, landed, request_for, scans_of
from structlog.testing import capture_logs

import floe_ingest
from floe_ingest import SourceConfigurationError, SourceConnectionError
from floe_ingest_sources import sql_database
from floe_ingest_sources.sql_database import SqlDatabaseConfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Lake, Shop

ROWS = 20_000
# A numeric without precision is read by a query, so that DuckDB does not share the table out by itself.
ACCOUNTS = (
    "CREATE TABLE accounts (id bigint PRIMARY KEY, day date, money numeric)",
    f"INSERT INTO accounts SELECT n, date '2024-01-01' + n / 100, 10 FROM generate_series(1, {ROWS}) n",
    "ANALYZE accounts",
)


def source(shop: Shop, tmp_path: Path, **config: Any) -> Any:
    full = SqlDatabaseConfig.model_validate({"url": shop.url, **config})
    return sql_database.floe_ingest_build_source(request_for("sql_database", full, tmp_path))


def ids(table: Any, column: str = "id") -> list[Any]:
    return sorted(table[column].to_pylist(), key=lambda value: (value is None, value))


@contextmanager
def transfers(shop: Shop) -> Iterator[list[int]]:
    """Move money from one account to another, as often as it goes; yield a list with an item for each."""
    import psycopg

    done: list[int] = []
    stopped = Event()
    port, database = shop.connection.info.port, shop.connection.info.dbname

    def work() -> None:
        where = f"host=127.0.0.1 port={port} user=postgres dbname={database}"
        with psycopg.connect(where) as connection:
            while not stopped.is_set():
                low, high = len(done) % (ROWS // 2) + 1, ROWS - len(done) % (ROWS // 2)
                connection.execute("UPDATE accounts SET money = money - 1000 WHERE id = %s", [low])
                connection.execute("UPDATE accounts SET money = money + 1000 WHERE id = %s", [high])
                connection.commit()
                done.append(low)

    thread = Thread(target=work)
    thread.start()
    try:
        yield done
    finally:
        stopped.set()
        thread.join()


@pytest.mark.parametrize("backend", ["auto", "adbc", "sqlalchemy"])
def test_shards_have_each_row_once_in_one_view(shop: Shop, tmp_path: Path, backend: str) -> None:
    shop.execute(*ACCOUNTS)
    config = {"table": "accounts", "shards": 3, "backend": backend, "batch_rows": 500}
    with transfers(shop) as done, capture_logs() as logs:
        for _ in range(3):
            before = len(done)
            table = landed(source(shop, tmp_path, **config))["accounts"]
            assert len(done) > before  # money was moved while it was read
            assert ids(table) == list(range(1, ROWS + 1))
            assert sum(table["money"].to_pylist()) == 10 * ROWS
    reader = "SQLAlchemy" if backend == "sqlalchemy" else "ADBC"
    assert {(entry["event"], entry["reason"]) for entry in logs} == {
        (f"read by {reader} in 3 shards", "by ranges of id")
    }


def test_they_land_in_one_snapshot(shop: Shop, lake: Lake, tmp_path: Path) -> None:
    shop.execute(*ACCOUNTS)
    assert load(shop, lake, tmp_path, table="accounts", shards=3).success
    (row,) = lake.duckdb("raw.t", "SELECT count(*) AS n, sum(id) AS s FROM t").to_pylist()
    assert row == {"n": ROWS, "s": ROWS * (ROWS + 1) // 2}
    assert lake.snapshots("raw.t") == 1


def load(shop: Shop, lake: Lake, folder: Path, **config: Any) -> Any:
    lake.folder.mkdir(parents=True, exist_ok=True)
    document = {
        "catalog_config": lake.properties,
        "retry_config": {"max_retries": 0},
        "sources": [
            {
                "name": "t",
                "source_type": "sql_database",
                "source_config": {"url": shop.url, **config},
                "destination_table": "raw.t",
                "write_mode": "append",
            }
        ],
    }
    (folder / "ingest.yaml").write_text(json.dumps(document))
    [result] = floe_ingest.run(floe_ingest.load_config(folder / "ingest.yaml")).sources
    return result


def test_a_shard_that_is_cut_off_loads_nothing(shop: Shop, lake: Lake, tmp_path: Path) -> None:
    shop.execute(*ACCOUNTS)
    # The highest row alone fails, late in the last shard.
    query = f"SELECT id, 10 / (id - {ROWS}) AS share FROM accounts"
    result = load(shop, lake, tmp_path, query=query, shards=4, shard_column="id", batch_rows=500)
    assert not result.success
    (error,) = result.errors
    assert "division by zero" in error.message
    assert (error.category, error.resource) == ("permanent", "t")
    assert not lake.catalog().table_exists("raw.t")


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("bigint", "n"),
        ("bigint", "CASE WHEN n < 1900 THEN n ELSE n * 1000000000000 END"),
        ("numeric(20,3)", "n / 1000.0"),
        ("numeric", "n"),
        ("date", "date '2024-01-01' + n"),
        ("timestamp", "timestamp '2024-01-01' + n * interval '1 second 1 microsecond'"),
        ("timestamptz", "timestamptz '2024-01-01 00:00+02' + n * interval '1 hour'"),
        ("int", "7"),
        ("int", "NULL"),
    ],
)
def test_every_kind_of_column_splits(shop: Shop, tmp_path: Path, kind: str, values: str) -> None:
    shop.execute(
        f"CREATE TABLE every (id int, k {kind}, n numeric)",
        f"INSERT INTO every SELECT n, {values}, 1 FROM generate_series(1, 2000) n",
        "INSERT INTO every VALUES (2001, NULL, 1)",
        "CREATE INDEX ON every (k)",
        "ANALYZE every",
    )
    config = {"table": "every", "shards": 4, "shard_column": "k"}
    assert ids(landed(source(shop, tmp_path, **config))["every"]) == list(range(1, 2002))


def test_views_queries_conditions_and_percent_signs(shop: Shop, tmp_path: Path) -> None:
    shop.execute(
        *ACCOUNTS,
        'CREATE VIEW few AS SELECT id AS "the % key", money FROM accounts WHERE id % 2 = 0',
    )
    config: dict[str, Any] = {"shards": 3, "shard_column": "the % key"}
    table = landed(source(shop, tmp_path, table="few", where='"the % key" % 4 = 0', **config))["few"]
    assert ids(table, "the % key") == list(range(4, ROWS + 1, 4))
    query = "SELECT id, id % 7 AS rest FROM accounts -- the % sign"
    table = landed(source(shop, tmp_path, query=query, shards=2, shard_column="id"))["src"]
    assert ids(table) == list(range(1, ROWS + 1))


def test_what_cannot_be_split(shop: Shop, tmp_path: Path) -> None:
    shop.execute(*ACCOUNTS, "CREATE TABLE named (name text PRIMARY KEY, n numeric)")
    refused = (
        ({"table": "accounts", "columns": ["money"], "shards": 2}, "it has no primary key among the columns"),
        ({"table": "named", "shards": 2}, "column name is neither a whole or decimal number"),
        ({"table": "accounts", "shards": 2, "shard_column": "ident"}, "has no column 'ident' among those"),
        (
            {"table": "accounts", "shards": 2, "backend": "duckdb"},
            "backend: duckdb reads table accounts over one",
        ),
    )
    for config, words in refused:
        with pytest.raises(SourceConfigurationError, match=words):
            landed(source(shop, tmp_path, **config))


def test_auto_splits_large_tables_alone_and_says_why_not(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.execute(*ACCOUNTS, "CREATE TABLE named (name text PRIMARY KEY, n numeric)")
    with capture_logs() as logs:
        landed(source(shop, tmp_path, tables=["accounts", "named"], shards="auto"))
    reasons = {entry["table"]: entry["reason"] for entry in logs if entry["event"] == "not split into shards"}
    assert reasons == {
        "accounts": f"it has about {ROWS} rows, and a shard has 250000",
        "named": "column name is neither a whole or decimal number, nor a date or a timestamp",
    }
    monkeypatch.setattr("floe_ingest_sources.sql_database.shards.ROWS_OF_A_SHARD", ROWS // 2)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    with capture_logs() as logs:
        landed(source(shop, tmp_path, table="accounts", shards="auto"))
    assert [entry["event"] for entry in logs] == ["read by ADBC in 2 shards"]


def test_auto_goes_on_with_one_reader_where_connections_run_out(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = shop.connection.info.dbname
    monkeypatch.setattr("floe_ingest_sources.sql_database.shards.ROWS_OF_A_SHARD", 1000)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    # A login may have two connections alone: that which holds the view, and one reader.
    shop.execute(*ACCOUNTS, f'ALTER DATABASE "{database}" CONNECTION LIMIT 3')
    with capture_logs() as logs:
        table = landed(source(shop, tmp_path, table="accounts", shards="auto"))["accounts"]
    assert table.num_rows == ROWS
    assert "reading by shards failed; one reader is taken" in [entry["event"] for entry in logs]
    with pytest.raises(SourceConnectionError, match="too many connections"):
        landed(source(shop, tmp_path, table="accounts", shards=4))
    shop.execute(f'ALTER DATABASE "{database}" CONNECTION LIMIT -1')


def test_a_reader_that_is_given_up_leaves_no_connection(shop: Shop, tmp_path: Path) -> None:
    shop.execute(*ACCOUNTS)
    items = items_of(source(shop, tmp_path, table="accounts", shards=3, batch_rows=100))
    next(items)
    items.close()  # the fixture fails if a connection is left


def test_duckdb_shares_out_pages_by_itself(shop: Shop, tmp_path: Path) -> None:
    shop.execute(f"CREATE TABLE plain AS SELECT n AS id FROM generate_series(1, {ROWS}) n")
    for shards, threads in ((3, 3), ("auto", None), (None, None)):
        scan = scans_of(source(shop, tmp_path, table="plain", shards=shards))["plain"]
        assert scan.threads == threads
    assert ids(landed(source(shop, tmp_path, table="plain", shards=3))["plain"]) == list(range(1, ROWS + 1))
