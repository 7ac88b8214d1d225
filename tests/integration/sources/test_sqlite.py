"""The sql_database source over SQLite, whose columns take any value whatever their type says."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from contextlib import closing, contextmanager
from decimal import Decimal
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest
from sources_support import (
    batches_of,
    documented_types,
    extracted,
    iceberg_name,
    items_of,
    landed,
    request_for,
    scans_of,
)
from structlog.testing import capture_logs

import floe_ingest
from floe_ingest import SchemaError, SourceConfigurationError, SourceConnectionError
from floe_ingest_sources import sql_database
from floe_ingest_sources.sql_database import SqlDatabaseConfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Lake


def write(tmp_path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def source(tmp_path: Path, **config: Any) -> Any:
    full = SqlDatabaseConfig.model_validate({"url": "sqlite:///shop.db", **config})
    return sql_database.floe_ingest_build_source(request_for("sql_database", full, tmp_path))


def column(tmp_path: Path, declared: str, *values: str, **config: Any) -> tuple[list[Any], str]:
    """Return the values of one column as they land, and its Arrow type."""
    write(
        tmp_path, f"CREATE TABLE t (x {declared})", *(f"INSERT INTO t VALUES ({value})" for value in values)
    )
    table = landed(source(tmp_path, table="t", **config))["t"]
    return table["x"].to_pylist(), str(table.schema.field("x").type)


DECLARED = [
    ("INTEGER", ["9007199254740993", "NULL"], [9007199254740993, None], "int64", True),
    ("UNSIGNED BIG INT", ["1"], [1], "int64", True),
    ("REAL", ["0.1", "2"], [0.1, 2.0], "double", True),
    ("VARCHAR(10)", ["'é'", "5"], ["é", "5"], "string", True),
    ("BLOB", ["x'00ff'"], [b"\x00\xff"], "binary", True),
    ("BOOLEAN", ["1", "0", "NULL"], [True, False, None], "bool", True),
    (
        "DECIMAL(10,2)",
        ["12.34", "5", "-0.1"],
        [Decimal("12.34"), Decimal(5), Decimal("-0.10")],
        "decimal128(10, 2)",
        True,
    ),
    ("NUMERIC(15, 3)", ["123456789012.345"], [Decimal("123456789012.345")], "decimal128(15, 3)", True),
    ("DECIMAL(38,0)", ["9007199254740993"], [Decimal(9007199254740993)], "decimal128(38, 0)", False),
    (
        "NUMERIC",
        ["1.5", "9007199254740993"],
        [Decimal("1.5"), Decimal(9007199254740993)],
        "decimal128(38, 9)",
        False,
    ),
    ("DATE", ["'2024-02-29'"], [dt.date(2024, 2, 29)], "date32[day]", True),
    (
        "TIMESTAMP",
        ["'2024-01-02 03:04:05.123456'", "'2024-01-02T03:04'", "'2024-01-02'"],
        [dt.datetime(2024, 1, 2, 3, 4, 5, 123456), dt.datetime(2024, 1, 2, 3, 4), dt.datetime(2024, 1, 2)],
        "timestamp[us]",
        True,
    ),
    (
        "DATETIME",
        ["'2024-01-02T03:04:05Z'", "'2024-01-02 03:04:05+02:00'"],
        [dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC), dt.datetime(2024, 1, 2, 1, 4, 5, tzinfo=dt.UTC)],
        "timestamp[us, tz=UTC]",
        False,
    ),
    (
        "DATETIME",
        ["'2024-01-02T03:04:05Z'", "NULL"],
        [dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC), None],
        "timestamp[us, tz=UTC]",
        True,
    ),
    ("TIME", ["'03:04:05.5'"], [dt.time(3, 4, 5, 500000)], "time64[us]", False),
    ("JSON", ["'{\"a\": 1}'"], ['{"a": 1}'], "string", True),
    ("JSON", ["'{\"a\": 1}'", "5", "1.25"], ['{"a": 1}', "5", "1.25"], "string", False),
    ("", ["1", "2"], [1, 2], "int64", False),
    ("", ["1", "'a'"], ["1", "a"], "string", False),
    ("", ["1", "2.5"], [1.0, 2.5], "double", False),
    ("", ["x'00'"], [b"\x00"], "binary", False),
    ("", ["NULL"], [None], "string", False),
]


@pytest.mark.parametrize(("declared", "values", "expected", "kind", "bulk"), DECLARED)
def test_values_come_exactly(
    tmp_path: Path, declared: str, values: list[str], expected: list[Any], kind: str, *, bulk: bool
) -> None:
    with capture_logs() as logs:
        assert column(tmp_path, declared, *values) == (expected, kind)
    assert [entry["event"] for entry in logs] == ([] if bulk else ["read by SQLAlchemy"])


@pytest.mark.parametrize(("declared", "values", "expected", "kind", "bulk"), DECLARED)
def test_sqlalchemy_brings_the_same(
    tmp_path: Path, declared: str, values: list[str], expected: list[Any], kind: str, *, bulk: bool
) -> None:
    assert column(tmp_path, declared, *values, backend="sqlalchemy", batch_rows=1) == (expected, kind)


@pytest.mark.parametrize(
    ("declared", "value", "words"),
    [
        ("INTEGER", "'abc'", "has values that are no BIGINT"),
        ("INTEGER", "1.5", "has values that are no BIGINT"),
        ("REAL", "'abc'", "has values that are no DOUBLE"),
        ("BLOB", "'text'", "has values that are no BLOB"),
        ("BOOLEAN", "2", "has values that are no BOOLEAN"),
        ("BOOLEAN", "'true'", "has values that are no BOOLEAN"),
        ("DECIMAL(10,2)", "12.345", r"has values that are no DECIMAL\(10,2\)"),
        ("DECIMAL(5,2)", "1234.5", r"has values that are no DECIMAL\(5,2\)"),
        ("DATE", "19000", "has values that are no DATE"),
        ("DATE", "'2024-01-02 03:04'", "has values that are no DATE"),
        ("TIMESTAMP", "1700000000", "has values that are no TIMESTAMP"),
        ("TIMESTAMP", "'2024-01-02 03:04:05.123456789'", "more than six digits"),
        ("VARCHAR", "x'ff00'", "VARCHAR cannot hold exactly"),
    ],
)
@pytest.mark.parametrize("backend", ["auto", "sqlalchemy"])
def test_what_does_not_keep_to_its_type_stops_the_load(
    tmp_path: Path, declared: str, value: str, words: str, backend: str
) -> None:
    with pytest.raises(SchemaError, match=words):
        column(tmp_path, declared, value, backend=backend)


def test_times_with_and_without_a_zone_in_one_column_stop_the_load(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="with a zone and times without one"):
        column(tmp_path, "TIMESTAMP", "'2024-01-02 03:04:05Z'", "'2024-01-02 03:04:05'")


def test_the_advice_of_an_error_works(tmp_path: Path) -> None:
    write(tmp_path, "CREATE TABLE t (x TIMESTAMP)", "INSERT INTO t VALUES (1700000000)")
    built = source(tmp_path, query="SELECT CAST(x AS TEXT) AS x FROM t")
    assert landed(built)["src"].to_pylist() == [{"x": "1700000000"}]


def test_names_views_and_generated_columns(tmp_path: Path) -> None:
    write(
        tmp_path,
        'CREATE TABLE "sel""ect \'x" ("or""der" INT, "a.b" INT, PRIMARY KEY ("a.b")) WITHOUT ROWID',
        'INSERT INTO "sel""ect \'x" VALUES (1, 2)',
        "CREATE TABLE made (a INT, b INT GENERATED ALWAYS AS (a * 2) VIRTUAL)",
        "INSERT INTO made (a) VALUES (4)",
        "CREATE VIEW seen AS SELECT a, a + 0.5 AS half FROM made",
    )
    built = source(tmp_path, tables=["sel\"ect 'x", "made", "seen"])
    tables = {name: table.to_pylist() for name, table in landed(built).items()}
    assert tables == {
        "sel\"ect 'x": [{'or"der': 1, "a.b": 2}],
        "made": [{"a": 4, "b": 8}],
        "seen": [{"a": 4, "half": 4.5}],
    }


def test_a_key_of_the_configuration_is_kept(tmp_path: Path) -> None:
    write(tmp_path, "CREATE TABLE t (a INTEGER PRIMARY KEY, b INT)")
    built = source(tmp_path, table="t")
    assert key_of(extracted(built, tmp_path), "t") == ["a"]
    built = source(tmp_path, table="t")
    built.resources["t"].apply_hints(primary_key=["b"])
    assert key_of(extracted(built, tmp_path / "again"), "t") == ["b"]
    config = SqlDatabaseConfig(url="sqlite:///shop.db", table="t")
    request = request_for("sql_database", config, tmp_path, primary_key=("b",))
    built = sql_database.floe_ingest_build_source(request)
    assert key_of(extracted(built, tmp_path / "third"), "t") == []


def key_of(schema: Any, table: str) -> list[str]:
    return [name for name, hints in schema.tables[table]["columns"].items() if hints.get("primary_key")]


def test_all_tables_columns_and_conditions(tmp_path: Path) -> None:
    write(
        tmp_path,
        "CREATE TABLE a (x INT, y TEXT)",
        "INSERT INTO a VALUES (1, 'u'), (2, 'v')",
        "CREATE TABLE b (z INT)",
        "CREATE VIEW v AS SELECT 1",
    )
    built = source(tmp_path, columns={"a": ["y"]}, where={"a": "x % 2 = 0 -- even"})
    assert {name: table.to_pylist() for name, table in landed(built).items()} == {"a": [{"y": "v"}], "b": []}


def test_one_row_batches_are_all_there(tmp_path: Path) -> None:
    write(
        tmp_path,
        "CREATE TABLE t (x NUMERIC)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25) "
        "INSERT INTO t SELECT i FROM n",
    )
    items = (item for _, item in items_of(source(tmp_path, table="t", batch_rows=10)))
    batches = [table.num_rows for table in batches_of(items)]
    assert batches == [10, 10, 5]


def test_a_missing_file_is_an_error_and_stays_missing(tmp_path: Path) -> None:
    write(tmp_path, "CREATE TABLE t (x INT)")
    config = SqlDatabaseConfig(url="sqlite:///shpo.db", table="t")
    request = request_for("sql_database", config, tmp_path)
    with pytest.raises(
        SourceConfigurationError, match=r"no SQLite database .*shpo\.db\. Did you mean 'shop\.db'\?"
    ):
        list(items_of(sql_database.floe_ingest_build_source(request)))
    with pytest.raises(SourceConfigurationError, match="no SQLite database"):
        sql_database.floe_ingest_check_source(request)
    assert [path.name for path in tmp_path.glob("*.db")] == ["shop.db"]


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("sqlite://", SourceConfigurationError, "names no database file"),
        ("sqlite:///:memory:", SourceConfigurationError, "names no database file"),
        ("sqlite:///shop.db?mode=rw", SourceConfigurationError, r"not supported \(mode\)"),
        ("sqlite:///folder", SourceConfigurationError, "is a folder"),
        ("sqlite:///none/x.db", SourceConfigurationError, "there is no folder"),
        ("sqlite:///notes.txt", SourceConnectionError, "file is not a database"),
        ("shop.db", SourceConfigurationError, "url is not an SQLAlchemy URL"),
        ("postgrsql://u:hunter2@h/d", SourceConfigurationError, "no dialect 'postgrsql'.*mean 'postgresql'"),
    ],
)
def test_urls_that_cannot_work(tmp_path: Path, url: str, error: type[Exception], words: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("no database at all, however long one looks at it", encoding="utf-8")
    with pytest.raises(error, match=words) as caught:
        list(items_of(source(tmp_path, url=url, table="t")))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"table": "T"}, "no table 'T'.*mean 't'"),
        ({"table": "t", "columns": ["xx"]}, "no column 'xx'.*mean 'x'"),
        ({"table": "t", "where": "nope = 1"}, "where of t: .*no such column: nope"),
        ({"table": "t", "schema": "mian"}, "no schema 'mian'.*mean 'main'"),
        ({"query": "SELEC"}, "query: .*syntax error"),
        (
            {"table": "t", "where": "x > 1", "backend": "duckdb"},
            "backend: duckdb cannot read table t exactly",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    write(tmp_path, "CREATE TABLE t (x INT)")
    with pytest.raises(SourceConfigurationError, match=words):
        list(items_of(source(tmp_path, **config)))


def test_a_database_without_tables_is_said_at_the_build(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(SourceConfigurationError, match="has no tables"):
        source(tmp_path)


def test_the_check_counts(tmp_path: Path) -> None:
    write(
        tmp_path, "CREATE TABLE t (x INT, y)", "INSERT INTO t VALUES (1, 2), (3, 4)", "CREATE TABLE u (z INT)"
    )
    request = request_for("sql_database", SqlDatabaseConfig(url="sqlite:///shop.db"), tmp_path)
    found = sql_database.floe_ingest_check_source(request)
    assert [(table.name, table.columns, table.estimated_rows) for table in found.resources] == [
        ("t", ("x", "y"), 2),
        ("u", ("z",), 0),
    ]


def test_the_scan_is_handed_over_after_the_connection_is_closed(tmp_path: Path) -> None:
    write(tmp_path, "CREATE TABLE t (x INT)")
    scan = scans_of(source(tmp_path, table="t"))["t"]
    assert scan.attach[0].path == str(tmp_path / "shop.db")
    # An exclusive lock is to be had: nobody reads any more.
    with closing(sqlite3.connect(tmp_path / "shop.db", timeout=0)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        connection.rollback()


def test_the_docs_have_every_declared_type_that_is_tested() -> None:
    tested: dict[str, set[str]] = {}
    for declared, *_, arrow, _ in DECLARED:
        if declared:
            tested.setdefault(declared, set()).add(iceberg_name(arrow))
    documented = documented_types("Types of SQLite")
    assert documented.keys() == tested.keys()
    assert all(
        iceberg in tested[declared] for declared, iceberg in documented.items() if declared != "DATETIME"
    )
    assert tested["DATETIME"] == {"timestamptz"}  # where every value has a zone


@contextmanager
def transfers(file: Path, rows: int) -> Iterator[list[int]]:
    """Move money from one account to another, as often as it goes; yield a list with an item for each."""
    done: list[int] = []
    stopped = Event()

    def work() -> None:
        with closing(sqlite3.connect(file, timeout=60)) as connection:
            while not stopped.is_set():
                low, high = len(done) % 1000 + 1, rows - len(done) % 1000
                with connection:
                    connection.execute("UPDATE accounts SET money = money - 1000 WHERE id = ?", [low])
                    connection.execute("UPDATE accounts SET money = money + 1000 WHERE id = ?", [high])
                done.append(low)

    thread = Thread(target=work)
    thread.start()
    try:
        yield done
    finally:
        stopped.set()
        thread.join()


def test_what_others_write_meanwhile_does_not_tear_a_load(lake: Lake, tmp_path: Path) -> None:
    rows = 400_000  # DuckDB reads about 120,000 at a time
    write(
        tmp_path, "CREATE TABLE accounts (id INTEGER PRIMARY KEY, money INTEGER)", "CREATE TABLE none (x INT)"
    )
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executemany("INSERT INTO accounts VALUES (?, 10)", ((n,) for n in range(1, rows + 1)))
    lake.folder.mkdir(parents=True)
    document = {
        "catalog_config": lake.properties,
        "sources": [
            {
                "name": "bank",
                "source_type": "sql_database",
                "source_config": {"url": "sqlite:///shop.db"},
                "destination_table": "raw.{resource}",
                "write_mode": "replace",
            }
        ],
    }
    (tmp_path / "ingest.yaml").write_text(json.dumps(document))
    with transfers(tmp_path / "shop.db", rows) as done, capture_logs() as logs:
        for _ in range(2):
            before = len(done)
            [result] = floe_ingest.run(floe_ingest.load_config(tmp_path / "ingest.yaml")).sources
            assert result.success, result.errors
            assert len(done) > before  # money was moved while it was read
            [found] = lake.duckdb("raw.accounts", "SELECT count(*) AS n, sum(money) AS s FROM t").to_pylist()
            assert found == {"n": rows, "s": 10 * rows}
    copied = [entry for entry in logs if entry["event"] == "a copy is read"]
    assert [entry["reason"] for entry in copied] == ["in WAL mode others write while it is read"] * 2
    assert not [file for file in tmp_path.rglob("*.db") if file.name not in ("shop.db", "catalog.db")]


NEIGHBOURS = (2391.550027, -47.595167, 228877.639228, 0.1, -0.000001, 999999999.999999)


def test_each_double_next_to_a_decimal_is_one(tmp_path: Path) -> None:
    """SQLite's round() does not give 2391.550027 back, which is a decimal of six digits all the same."""
    write(tmp_path, "CREATE TABLE t (x DECIMAL(15,6))")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        connection.executemany("INSERT INTO t VALUES (?)", [(value,) for value in (*NEIGHBOURS, 7, None)])
    values = landed(source(tmp_path, table="t"))["t"]["x"].to_pylist()
    expected = [Decimal(f"{value:.6f}") for value in (*NEIGHBOURS, 7)]
    assert sorted(value for value in values if value is not None) == sorted(expected)
    assert values.count(None) == 1


@pytest.mark.parametrize("value", ["0.0000001", "2391.5500271", "1e9", "1e300", "-1.5e-7"])
def test_a_number_that_is_no_decimal_stops_the_load(tmp_path: Path, value: str) -> None:
    with pytest.raises(SchemaError, match=r"has values that are no DECIMAL\(15,6\)"):
        column(tmp_path, "DECIMAL(15,6)", "7", value)
