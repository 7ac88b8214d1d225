"""DuckDB's own database files, attached read-only."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from sources_support import documented_types, extracted, iceberg_name, landed, request_for, scans_of

import floe_ingest
from floe_ingest import SourceConfigurationError, SourceConnectionError
from floe_ingest_sources import sql_database
from floe_ingest_sources.sql_database import SqlDatabaseConfig

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake

UTC = dt.UTC
UUID = "a2b3d0b5-e76b-434b-9585-7f4f9e7d1b0b"
EXACT: dict[str, tuple[str, str, Any, str]] = {
    # column: (type, literal, value that lands, Arrow type)
    "ti": ("TINYINT", "-128", -128, "int32"),
    "tu": ("UTINYINT", "255", 255, "int32"),
    "si": ("SMALLINT", "-32768", -32768, "int32"),
    "su": ("USMALLINT", "65535", 65535, "int32"),
    "i": ("INTEGER", "-3", -3, "int32"),
    "iu": ("UINTEGER", "4294967295", 4294967295, "int64"),
    "bi": ("BIGINT", "-9223372036854775808", -9223372036854775808, "int64"),
    "bu": ("UBIGINT", "18446744073709551615", Decimal(18446744073709551615), "decimal128(20, 0)"),
    "hu": ("HUGEINT", str(10**37), Decimal(10**37), "decimal128(38, 0)"),
    "f": ("FLOAT", "1.5", 1.5, "float"),
    "d": ("DOUBLE", "0.1", 0.1, "double"),
    "dx": ("DECIMAL(38,10)", "1234567890123456789012345678.0123456789", None, "decimal128(38, 10)"),
    "b": ("BOOLEAN", "true", True, "bool"),
    "t": ("VARCHAR", "'Łódź 猫'", "Łódź 猫", "string"),
    "bl": ("BLOB", r"'\x00\xFF'::BLOB", b"\x00\xff", "binary"),
    "da": ("DATE", "'0001-01-01'", dt.date(1, 1, 1), "date32[day]"),
    "tm": ("TIME", "'23:59:59.999999'", dt.time(23, 59, 59, 999999), "time64[us]"),
    "ts": ("TIMESTAMP", "'2024-01-01 01:02:03.123456'", None, "timestamp[us]"),
    "t3": ("TIMESTAMP_MS", "'2024-01-01 01:02:03.123'", None, "timestamp[us]"),
    "tz": (
        "TIMESTAMPTZ",
        "'2024-01-01 02:00:00+02'",
        dt.datetime(2024, 1, 1, tzinfo=UTC),
        "timestamp[us, tz=UTC]",
    ),
    "tt": ("TIMETZ", "'10:00:00+02'", "10:00:00+02", "string"),
    "u": ("UUID", f"'{UUID}'", UUID, "string"),
    "iv": ("INTERVAL", "'1 month 2 days'", "1 month 2 days", "string"),
    "j": ("JSON", "'{\"a\":  1}'", '{"a":  1}', "string"),
    "bt": ("BIT", "'0101'", "0101", "string"),
    "e": ("mood", "'ok'", "ok", "string"),
    "ia": ("INTEGER[]", "[1, NULL, 3]", [1, None, 3], "list"),
    "st": ("STRUCT(a INTEGER, b VARCHAR)", "{'a': 1, 'b': 'x'}", {"a": 1, "b": "x"}, "struct"),
    "mp": ("MAP(VARCHAR, INTEGER)", "MAP {'x': 1}", [("x", 1)], "map"),
}
EXACT["dx"] = (*EXACT["dx"][:2], Decimal(EXACT["dx"][1]), EXACT["dx"][3])
EXACT["ts"] = (*EXACT["ts"][:2], dt.datetime(2024, 1, 1, 1, 2, 3, 123456), EXACT["ts"][3])
EXACT["t3"] = (*EXACT["t3"][:2], dt.datetime(2024, 1, 1, 1, 2, 3, 123000), EXACT["t3"][3])


def make(folder: Path, *statements: str) -> None:
    with duckdb.connect(str(folder / "shop.duckdb")) as connection:
        for statement in statements:
            connection.execute(statement)


def source(folder: Path, **config: Any) -> Any:
    full = SqlDatabaseConfig.model_validate({"url": "duckdb:///shop.duckdb", **config})
    return sql_database.floe_ingest_build_source(request_for("sql_database", full, folder))


def test_every_type_comes_exactly(tmp_path: Path) -> None:
    make(
        tmp_path,
        "CREATE TYPE mood AS ENUM ('sad', 'ok')",
        f"CREATE TABLE every (id INTEGER, {', '.join(f'{name} {spec[0]}' for name, spec in EXACT.items())})",
        f"INSERT INTO every VALUES (1, {', '.join(spec[1] for spec in EXACT.values())})",
        "INSERT INTO every (id) VALUES (2)",
    )
    table = landed(source(tmp_path, table="every"))["every"]
    rows = sorted(table.to_pylist(), key=lambda row: row["id"])
    assert rows[0] == {"id": 1, **{name: spec[2] for name, spec in EXACT.items()}}
    assert rows[1] == {"id": 2, **dict.fromkeys(EXACT)}
    for name, spec in EXACT.items():
        assert str(table.schema.field(name).type).startswith(spec[3]), name


def test_the_docs_have_every_type_that_is_tested() -> None:
    tested = {spec[0].replace("mood", "ENUM"): iceberg_name(spec[3]) for spec in EXACT.values()}
    assert documented_types("Types of DuckDB files") == tested


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("DATE", "'infinity'", "infinite date"),
        ("TIMESTAMP", "'-infinity'", "infinite date"),
        ("UNION(a INTEGER, b VARCHAR)", "1", "type UNION.* which Iceberg does not have"),
        ("HUGEINT", "170141183460469231731687303715884105727", "170141183460469231731687303715884105727"),
    ],
)
def test_what_no_column_can_hold_stops_the_load(
    lake: Lake, tmp_path: Path, kind: str, value: str, words: str
) -> None:
    make(tmp_path, f"CREATE TABLE t (v {kind})", f"INSERT INTO t VALUES ({value})")
    result = load(lake, tmp_path, {"table": "t"})
    assert not result.success
    assert re.search(words, result.errors[0].message, re.DOTALL)
    assert not lake.catalog().table_exists("raw.t")


def load(lake: Lake, folder: Path, settings: dict[str, Any], **options: Any) -> Any:
    lake.folder.mkdir(parents=True, exist_ok=True)
    table = {"name": "t", "source_type": "sql_database", "destination_table": "raw.t", **options}
    document = {
        "catalog_config": lake.properties,
        "retry_config": {"max_retries": 0},
        "sources": [{**table, "source_config": {"url": "duckdb:///shop.duckdb", **settings}}],
    }
    (folder / "ingest.yaml").write_text(json.dumps(document))
    [result] = floe_ingest.run(floe_ingest.load_config(folder / "ingest.yaml")).sources
    return result


def test_names_views_patterns_columns_conditions_and_queries(tmp_path: Path) -> None:
    make(
        tmp_path,
        "CREATE SCHEMA sales",
        'CREATE TABLE sales."Order % ""x""" AS SELECT range AS "select", range % 3 AS rest FROM range(9)',
        'CREATE VIEW sales.few AS SELECT "select" AS n FROM sales."Order % ""x""" WHERE rest = 0',
        "CREATE TABLE stock (sku INTEGER)",
    )
    name = 'Order % "x"'
    assert set(landed(source(tmp_path))) == {"stock"}
    assert set(landed(source(tmp_path, schema="sales", tables=["Ord*", "few"]))) == {name, "few"}
    config = {"schema": "sales", "table": name, "columns": ["select"], "where": "rest = 1 -- one"}
    assert sorted(landed(source(tmp_path, **config))[name]["select"].to_pylist()) == [1, 4, 7]
    found = landed(source(tmp_path, query="SELECT count(*) AS n FROM sales.few; "))["src"]
    assert found.to_pylist() == [{"n": 3}]
    assert landed(source(tmp_path, table="stock"))["stock"].num_rows == 0


def test_keys_and_comments_are_reflected(tmp_path: Path) -> None:
    make(
        tmp_path,
        "CREATE TABLE t (a INTEGER, b INTEGER, v INTEGER, PRIMARY KEY (b, a))",
        "COMMENT ON COLUMN t.v IS 'the value'",
    )
    columns = extracted(source(tmp_path, table="t"), tmp_path).tables["t"]["columns"]
    assert {name for name, column in columns.items() if column.get("primary_key")} == {"a", "b"}
    assert columns["v"]["description"] == "the value"


def test_a_cursor_brings_what_is_new(lake: Lake, tmp_path: Path) -> None:
    make(tmp_path, "CREATE TABLE t AS SELECT range AS id, range::INTEGER AS at FROM range(5)")
    assert load(lake, tmp_path, {"table": "t"}, cursor_field="at").rows_loaded == 5
    make(tmp_path, "INSERT INTO t VALUES (5, 4), (6, 5)")
    assert load(lake, tmp_path, {"table": "t"}, cursor_field="at").rows_loaded == 2
    rows = lake.duckdb("raw.t", "SELECT id FROM t ORDER BY 1").to_pylist()
    assert [row["id"] for row in rows] == list(range(7))


def test_shards_are_threads(tmp_path: Path) -> None:
    make(tmp_path, "CREATE TABLE t AS SELECT range AS id FROM range(300000)")
    assert scans_of(source(tmp_path, table="t", shards=3))["t"].threads == 3
    assert landed(source(tmp_path, table="t", shards=3))["t"].num_rows == 300_000


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"table": "stok"}, "no table 'stok'.*mean 'stock'"),
        ({"table": "stock", "columns": ["skuu"]}, "no column 'skuu'.*mean 'sku'"),
        ({"table": "stock", "where": "nope = 1"}, '"nope" not found'),
        ({"table": "stock", "schema": "sale"}, "no schema 'sale'"),
        ({"query": "SELEC 1"}, "syntax error"),
        ({"query": "SELECT * FROM nothing"}, "nothing does not exist"),
        ({"table": "stock", "backend": "adbc"}, "backend: adbc cannot read"),
        ({"table": "stock", "backend": "sqlalchemy"}, "backend: DuckDB itself reads"),
        ({"table": "stock", "statement_timeout": 3}, "statement_timeout"),
        ({"table": "stock", "url": "duckdb:///:memory:"}, "names no database file"),
        ({"table": "stock", "url": "duckdb:///shop.duckdb?x=1"}, "options of DuckDB URLs are not supported"),
        ({"table": "stock", "url": "duckdb:///shp.duckdb"}, "no DuckDB database.*mean 'shop.duckdb'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    make(tmp_path, "CREATE TABLE stock (sku INTEGER)")
    with pytest.raises(SourceConfigurationError, match=f"(?s){words}"):
        landed(source(tmp_path, **config))


def test_a_file_that_another_process_writes_is_told(tmp_path: Path) -> None:
    make(tmp_path, "CREATE TABLE t (id INTEGER)")
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    command = [sys.executable, "-c", code, str(tmp_path / "shop.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(SourceConnectionError, match=r"shop\.duckdb cannot be opened: .*lock"):
            landed(source(tmp_path, table="t"))
        process.communicate("\n")
    assert landed(source(tmp_path, table="t"))["t"].num_rows == 0


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "shop.duckdb").write_text("nothing of the kind, but long enough to look like a header" * 99)
    with pytest.raises(SourceConnectionError, match=r"shop\.duckdb cannot be opened"):
        landed(source(tmp_path, table="t"))


def test_the_check_tells_what_is_there(tmp_path: Path) -> None:
    make(tmp_path, "CREATE TABLE t AS SELECT range AS id, 1 AS v FROM range(5)")
    config = SqlDatabaseConfig.model_validate({"url": "duckdb:///shop.duckdb"})
    found = sql_database.floe_ingest_check_source(request_for("sql_database", config, tmp_path))
    [table] = found.resources
    assert (table.name, table.columns, table.estimated_rows) == ("t", ("id", "v"), 5)
