"""The sql_database source over a real PostgreSQL: each value exactly, or an error that says why not."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from services.databases import LOGIN, PASSWORD
from sources_support import documented_types, extracted, iceberg_name, items_of, landed, request_for, scans_of
from structlog.testing import capture_logs

from floe_ingest import SchemaError, SourceConfigurationError, SourceConnectionError
from floe_ingest_sources import sql_database
from floe_ingest_sources.sql_database import SqlDatabaseConfig

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Shop

UTC = dt.UTC
UUID = "a2b3d0b5-e76b-434b-9585-7f4f9e7d1b0b"
EXACT: dict[str, tuple[str, str, Any, str]] = {
    # column: (type, literal, value that lands, Arrow type)
    "si": ("smallint", "-3", -3, "int32"),
    "int_": ("integer", "-2147483648", -2147483648, "int32"),
    "vc": ("varchar(20)", "'é'", "é", "string"),
    "cd": ("cidr", "'10.0.0.0/8'", "10.0.0.0/8", "string"),
    "mac": ("macaddr", "'08:00:2b:01:02:03'", "08:00:2b:01:02:03", "string"),
    "bt": ("bit(4)", "b'0101'", "0101", "string"),
    "bv": ("varbit", "b'01'", "01", "string"),
    "xm": ("xml", "'<a/>'", "<a/>", "string"),
    "tv": ("tsvector", "'a:1 b:2'", "'a':1 'b':2", "string"),
    "ba": ("bigint[]", "'{9007199254740993}'", [9007199254740993], "list"),
    "boa": ("boolean[]", "'{t,f}'", [True, False], "list"),
    "da": ("double precision[]", "'{0.1}'", [0.1], "list"),
    "bi": ("bigint", "9007199254740993", 9007199254740993, "int64"),
    "r": ("real", "1.5", 1.5, "float"),
    "dp": ("double precision", "0.1", 0.1, "double"),
    "b": ("boolean", "true", True, "bool"),
    "t": ("text", "'Łódź 猫'", "Łódź 猫", "string"),
    "ch": ("char(5)", "'ab'", "ab", "string"),
    "by": ("bytea", r"'\x00ff'", b"\x00\xff", "binary"),
    "d": ("date", "'0001-01-01'", dt.date(1, 1, 1), "date32[day]"),
    "tm": ("time", "'23:59:59.999999'", dt.time(23, 59, 59, 999999), "time64[us]"),
    "ts": (
        "timestamp",
        "'2024-01-01 01:02:03.123456'",
        dt.datetime(2024, 1, 1, 1, 2, 3, 123456),
        "timestamp[us]",
    ),
    "tz": (
        "timestamptz",
        "'2024-01-01 02:00+02'",
        dt.datetime(2024, 1, 1, tzinfo=UTC),
        "timestamp[us, tz=UTC]",
    ),
    "n2": ("numeric(38,10)", "1234567890123456789012345678.0123456789", None, "decimal128(38, 10)"),
    "u": ("uuid", "'a2b3d0b5-e76b-434b-9585-7f4f9e7d1b0b'", "a2b3d0b5-e76b-434b-9585-7f4f9e7d1b0b", "string"),
    "j": ("json", "'{\"a\":  1}'", '{"a":  1}', "string"),
    "jb": ("jsonb", "'{\"a\": 12345678901234567890.5}'", '{"a": 12345678901234567890.5}', "string"),
    "m": ("money", "'1234.50'", "$1,234.50", "string"),
    "ip": ("inet", "'10.0.0.1/8'", "10.0.0.1/8", "string"),
    "rg": ("int4range", "'[1,5)'", "[1,5)", "string"),
    "ia": ("int[]", "'{1,NULL,3}'", [1, None, 3], "list"),
    "ta": ("text[]", "'{a,NULL,\"b,c\"}'", ["a", None, "b,c"], "list"),
    "e": ("mood", "'ok'", "ok", "string"),
    "o": ("oid", "4000000000", 4000000000, "int64"),
}
BY_QUERY: dict[str, tuple[str, str, Any, str]] = {
    "n": (
        "numeric",
        "12345678901234567890.123456789",
        Decimal("12345678901234567890.123456789"),
        "decimal128(38, 9)",
    ),
    "n3": ("numeric(50,2)", "1.25", Decimal("1.25"), "decimal128(38, 2)"),
    "n4": ("numeric(5,-2)", "12300", Decimal(12300), "decimal128(7, 0)"),
    "n5": ("numeric(3,5)", "0.00123", Decimal("0.00123"), "decimal128(5, 5)"),
    "na": ("numeric[]", "'{1.25,NaN}'", "{1.25,NaN}", "string"),
    "iv": ("interval", "'1 mon 2 days'", "1 mon 2 days", "string"),
    "tmz": ("timetz", "'10:00+02'", "10:00:00+02", "string"),
    "dom": ("positive", "1.5", Decimal("1.500"), "decimal128(8, 3)"),
    "raw": ("bytes", r"'\x00ff'", b"\x00\xff", "binary"),
    "co": ("pair", "'(1,x)'", "(1,x)", "string"),
    "pt": ("point", "'(1,2)'", "(1,2)", "string"),
    "mac8": ("macaddr8", "'08:00:2b:01:02:03:04:05'", "08:00:2b:01:02:03:04:05", "string"),
    "dr": ("daterange", "'[2024-01-01,2024-02-01)'", "[2024-01-01,2024-02-01)", "string"),
    "ua": ("uuid[]", f"'{{{UUID}}}'", f"{{{UUID}}}", "string"),
    "tsa": ("timestamp[]", "'{infinity}'", "{infinity}", "string"),
}
EXACT["n2"] = (*EXACT["n2"][:2], Decimal(EXACT["n2"][1]), EXACT["n2"][3])


def source(shop: Shop, tmp_path: Path, **config: Any) -> Any:
    full = SqlDatabaseConfig.model_validate({"url": shop.url, **config})
    return sql_database.floe_ingest_build_source(request_for("sql_database", full, tmp_path))


def make(shop: Shop, columns: dict[str, tuple[str, str, Any, str]], table: str = "every") -> None:
    shop.execute(
        "CREATE TYPE mood AS ENUM ('sad', 'ok')",
        "CREATE TYPE pair AS (a int, b text)",
        "CREATE DOMAIN positive AS numeric(8,3) CHECK (value > 0)",
        "CREATE DOMAIN bytes AS bytea",
        f"CREATE TABLE {table} (id int, {', '.join(f'{name} {spec[0]}' for name, spec in columns.items())})",
        f"INSERT INTO {table} VALUES (1, {', '.join(spec[1] for spec in columns.values())})",
        f"INSERT INTO {table} (id) VALUES (2)",
    )


def check_values(table: Any, columns: dict[str, tuple[str, str, Any, str]]) -> None:
    rows = sorted(table.to_pylist(), key=lambda row: row["id"])
    assert rows[0] == {"id": 1, **{name: spec[2] for name, spec in columns.items()}}
    assert rows[1] == {"id": 2, **dict.fromkeys(columns)}
    for name, spec in columns.items():
        assert str(table.schema.field(name).type).startswith(spec[3]), name


def test_direct_types_come_exactly_by_the_parallel_reader(shop: Shop, tmp_path: Path) -> None:
    make(shop, EXACT)
    scan = scans_of(source(shop, tmp_path, table="every"))["every"]
    assert '"source"."public"."every"' in scan.select
    check_values(landed(source(shop, tmp_path, table="every"))["every"], EXACT)


def test_other_types_come_exactly_by_a_query_and_the_log_says_why(shop: Shop, tmp_path: Path) -> None:
    make(shop, BY_QUERY)
    with capture_logs() as logs:
        check_values(landed(source(shop, tmp_path, table="every"))["every"], BY_QUERY)
    (entry,) = logs
    assert entry["event"] == "read by a query over one connection"
    for words in ("column n: numeric has no precision", "column dom: it is a domain", "column iv: interval"):
        assert words in entry["reason"]


def test_sqlalchemy_brings_the_same(shop: Shop, tmp_path: Path) -> None:
    make(shop, EXACT | BY_QUERY)
    table = landed(source(shop, tmp_path, table="every", backend="sqlalchemy", batch_rows=1))["every"]
    check_values(table, EXACT | BY_QUERY)


def test_the_docs_have_every_type_that_is_tested() -> None:
    tested = {spec[0]: iceberg_name(spec[3]) for spec in (EXACT | BY_QUERY).values()}
    assert documented_types("Types of PostgreSQL") == tested


def test_adbc_brings_the_same(shop: Shop, tmp_path: Path) -> None:
    every = {name: spec for name, spec in (EXACT | BY_QUERY).items() if spec[3] != "list"}
    make(shop, every)
    with capture_logs() as logs:
        check_values(landed(source(shop, tmp_path, table="every", backend="adbc"))["every"], every)
    assert [entry["event"] for entry in logs] == ["read by ADBC"]
    query = source(shop, tmp_path, query="SELECT 1.5 AS n WHERE 1 = 2", backend="adbc")
    assert str(landed(query)["src"].schema) == "n: decimal128(38, 9)"


def test_adbc_reads_what_duckdb_cannot_connect_to(shop: Shop, tmp_path: Path) -> None:
    shop.execute("CREATE TABLE t (id int, n numeric)", "INSERT INTO t VALUES (1, 1.25)")
    url = f"{shop.url}?application_name=floe"
    with capture_logs() as logs:
        table = landed(source(shop, tmp_path, url=url, table="t", where="id = 1", statement_timeout=5))["t"]
    assert table.to_pylist() == [{"id": 1, "n": Decimal("1.250000000")}]
    assert [(entry["event"], entry["reason"]) for entry in logs] == [
        ("read by ADBC", "the URL has options that DuckDB does not take: application_name")
    ]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("numeric", "'NaN'"),
        ("numeric(10,2)", "'NaN'"),
        ("numeric", "0.0000000001"),
        ("date", "'infinity'"),
        ("timestamp", "'-infinity'"),
        ("timestamptz", "'infinity'"),
        ("time", "'24:00'"),
    ],
)
def test_adbc_stops_at_what_no_column_can_hold(shop: Shop, tmp_path: Path, kind: str, value: str) -> None:
    shop.execute(f"CREATE TABLE t (v {kind})", f"INSERT INTO t VALUES ({value})")
    with pytest.raises((SchemaError, SourceConnectionError)):
        landed(source(shop, tmp_path, table="t", backend="adbc"))


def test_a_driver_is_refused_where_it_is_not_exact(shop: Shop, tmp_path: Path) -> None:
    shop.execute("CREATE TABLE t (id int, l int[])")
    for backend, words in (("connectorx", "it reads MariaDB and MySQL here"), ("adbc", "second dimension")):
        with pytest.raises(SourceConfigurationError, match=f"{backend} cannot read table t .*{words}"):
            landed(source(shop, tmp_path, table="t", backend=backend))


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("numeric(10,2)", "'NaN'", "holds NaN"),
        ("numeric", "'NaN'", "The value: NaN"),
        ("numeric", "'Infinity'", "The value: Infinity"),
        ("numeric", "0.0000000001", "DECIMAL(38,9) cannot hold exactly"),
        ("numeric", "123456789012345678901234567890", "DECIMAL(38,9)"),
        ("numeric(50,2)", "123456789012345678901234567890123456789.25", "DECIMAL(38,2)"),
        ("date", "'infinity'", "infinite"),
        ("timestamp", "'-infinity'", "infinite"),
        ("time", "'24:00:00'", "24:00:00"),
        ("int[]", "'{{1,2},{3,4}}'", "dimension"),
    ],
)
def test_what_no_column_can_hold_stops_the_load(
    shop: Shop, tmp_path: Path, kind: str, value: str, words: str
) -> None:
    import duckdb

    from floe_ingest.dataplane.columns import Column
    from floe_ingest.dataplane.connection import DataPlaneSettings
    from floe_ingest.dataplane.copy import FileOptions
    from floe_ingest.dataplane.scan import open_scan

    shop.execute(f"CREATE TABLE odd (x {kind})", f"INSERT INTO odd VALUES ({value})")
    scan = scans_of(source(shop, tmp_path, table="odd"))["odd"]
    with open_scan(scan, DataPlaneSettings()) as opened:
        columns = [Column(name, type_) for name, type_ in opened.types.items()]
        with pytest.raises(duckdb.Error, match=re.escape(words)):
            opened.write(columns, {"x": "x"}, tmp_path / "files", FileOptions())


@pytest.mark.parametrize(
    ("kind", "value"), [("numeric(10,2)", "'NaN'"), ("numeric", "0.0000000001"), ("int[]", "'{{1,2},{3,4}}'")]
)
def test_it_stops_sqlalchemy_too(shop: Shop, tmp_path: Path, kind: str, value: str) -> None:
    shop.execute(f"CREATE TABLE odd (x {kind})", f"INSERT INTO odd VALUES ({value})")
    with pytest.raises(SchemaError, match=r"Column 'x' of table odd has a value that .* cannot hold exactly"):
        landed(source(shop, tmp_path, table="odd", backend="sqlalchemy"))


def test_names_are_quoted_everywhere(shop: Shop, tmp_path: Path) -> None:
    shop.execute(
        'CREATE SCHEMA "Sales ""x"',
        """CREATE TABLE "Sales ""x"."select '""Q" """
        """("or""der" int PRIMARY KEY, "a.b'" numeric(5,2), "100%%" numeric)""",
        """INSERT INTO "Sales ""x"."select '""Q" VALUES (1, 2.5, 3)""",
    )
    name = "select '\"Q"
    for backend in ("auto", "sqlalchemy"):
        for columns in (None, ["a.b'", 'or"der']):
            built = source(shop, tmp_path, schema='Sales "x', table=name, columns=columns, backend=backend)
            row = landed(built)[name].to_pylist()[0]
            assert row["a.b'"] == Decimal("2.50")
            assert list(row) == (columns or ['or"der', "a.b'", "100%%"])


def test_tables_whose_names_differ_in_case_are_told_apart(shop: Shop, tmp_path: Path) -> None:
    shop.execute("CREATE TABLE orders AS SELECT 1 AS x", 'CREATE TABLE "Orders" AS SELECT 2 AS x')
    tables = landed(source(shop, tmp_path, tables=["orders", "Orders"]))
    assert {name: table["x"].to_pylist() for name, table in tables.items()} == {"orders": [1], "Orders": [2]}


def test_columns_that_differ_in_case_alone_are_refused(shop: Shop, tmp_path: Path) -> None:
    shop.execute('CREATE TABLE t (a int, "A" int)')
    with pytest.raises(SourceConfigurationError, match="the columns 'a' and 'A'"):
        landed(source(shop, tmp_path, table="t"))
    assert landed(source(shop, tmp_path, table="t", columns=["A"]))["t"].column_names == ["A"]


def test_partitioned_and_inherited_tables_and_views_are_whole(shop: Shop, tmp_path: Path) -> None:
    shop.execute(
        "CREATE TABLE parts (id int) PARTITION BY RANGE (id)",
        "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (50)",
        "CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (50) TO (1000)",
        "INSERT INTO parts SELECT generate_series(0, 999)",
        "CREATE TABLE parent (id int)",
        "CREATE TABLE child () INHERITS (parent)",
        "INSERT INTO parent VALUES (1)",
        "INSERT INTO child SELECT generate_series(2, 20000)",
        "CREATE VIEW seen AS SELECT id, id * 1.5 AS x FROM parts",
        "CREATE MATERIALIZED VIEW kept AS SELECT id FROM parts",
        "ANALYZE",
    )
    tables = landed(source(shop, tmp_path, tables=["parts", "parent", "seen", "kept"]))
    assert {name: table.num_rows for name, table in tables.items()} == {
        "parts": 1000,
        "parent": 20000,
        "seen": 1000,
        "kept": 1000,
    }


def test_conditions_and_queries_are_the_databases_own(shop: Shop, tmp_path: Path) -> None:
    shop.execute("CREATE TABLE t AS SELECT i AS id, 'n' || i AS name FROM generate_series(1, 100) AS i")
    built = source(shop, tmp_path, table="t", where="name ~ '^n1' AND 5 % 2 = 1 -- the ones")
    assert landed(built)["t"].num_rows == 12
    query = "SELECT name, (id / 3::numeric)::numeric(10,4) AS third FROM t WHERE id % 50 = 0 ORDER BY 1"
    for end in ("", "; ", " -- done"):
        assert landed(source(shop, tmp_path, query=query + end))["src"].to_pylist() == [
            {"name": "n100", "third": Decimal("33.3333")},
            {"name": "n50", "third": Decimal("16.6667")},
        ]


def test_a_quotient_of_endless_digits_stops_the_load(shop: Shop, tmp_path: Path) -> None:
    import duckdb

    with pytest.raises(duckdb.Error, match=r"Column 'third' has a value that DECIMAL\(38,9\)"):
        landed(source(shop, tmp_path, query="SELECT 1 / 3::numeric AS third"))


def test_without_tables_all_are_read_and_keys_are_found(shop: Shop, tmp_path: Path) -> None:
    shop.execute("CREATE TABLE a (x int, y int, z text, PRIMARY KEY (y, x))", "CREATE TABLE b (x int)")
    built = source(shop, tmp_path)
    assert set(built.resources) == {"a", "b"}
    schema = extracted(built, tmp_path)
    columns = schema.tables["a"]["columns"]
    assert {name for name, column in columns.items() if column.get("primary_key")} == {"y", "x"}
    assert all(column["nullable"] for column in columns.values())
    assert "primary_key" not in str(schema.tables["b"])


def test_building_with_named_tables_opens_no_connection(tmp_path: Path) -> None:
    config = SqlDatabaseConfig(url="postgresql://x:y@127.0.0.1:1/db", tables=["a"])
    built = sql_database.floe_ingest_build_source(request_for("sql_database", config, tmp_path))
    assert list(built.resources) == ["a"]
    with pytest.raises(
        SourceConnectionError, match=r"database db at 127\.0\.0\.1:1 as user x cannot be opened"
    ):
        list(items_of(built))


def test_an_empty_table_has_its_columns(shop: Shop, tmp_path: Path) -> None:
    shop.execute("CREATE TABLE t (a int, b numeric)")
    for backend in ("auto", "sqlalchemy"):
        table = landed(source(shop, tmp_path, table="t", backend=backend))["t"]
        assert (table.num_rows, table.column_names) == (0, ["a", "b"])


@pytest.mark.parametrize(
    ("config", "error", "words"),
    [
        (
            {"table": "ordrs"},
            SourceConfigurationError,
            "no table 'ordrs' in schema public .* mean 'orders'.*There are: orders",
        ),
        (
            {"table": "orders", "schema": "pubic"},
            SourceConfigurationError,
            "no schema 'pubic'.*mean 'public'",
        ),
        (
            {"table": "orders", "columns": ["idd"]},
            SourceConfigurationError,
            "no column 'idd'.*mean 'id'.*It has: id, total",
        ),
        (
            {"table": "orders", "where": "nope = 1"},
            SourceConfigurationError,
            'where of orders: .*"nope" does not exist',
        ),
        ({"query": "SELEC 1"}, SourceConfigurationError, "query: .* refuses it: syntax error"),
        ({"where": {"ordrs": "x"}}, SourceConfigurationError, "where: .* has no table 'ordrs'"),
    ],
)
def test_what_is_wrong_is_said(
    shop: Shop, tmp_path: Path, config: dict[str, Any], error: type[Exception], words: str
) -> None:
    shop.execute("CREATE TABLE orders (id int, total numeric(10,2))")
    with pytest.raises(error, match=words):
        list(items_of(source(shop, tmp_path, **config)))


def test_a_wrong_password_is_in_no_message(shop: Shop, tmp_path: Path) -> None:
    secret = "hunter2 @/"
    url = shop.url.replace(quote(PASSWORD, safe=" "), quote(secret, safe=""))
    assert url != shop.url
    config = SqlDatabaseConfig(url=url, table="orders")
    request = request_for("sql_database", config, tmp_path)
    for attempt in (
        lambda: list(items_of(sql_database.floe_ingest_build_source(request))),
        lambda: sql_database.floe_ingest_check_source(request),
    ):
        with pytest.raises(SourceConnectionError, match="password authentication failed") as caught:
            attempt()
        error: BaseException | None = caught.value
        while error is not None:
            assert "hunter2" not in str(error) + repr(error)
            error = error.__cause__ or error.__context__
    assert "hunter2" not in repr(request)


def test_no_secret_in_what_is_handed_on(shop: Shop, tmp_path: Path) -> None:
    shop.execute("CREATE TABLE t (a int)")
    scan = scans_of(source(shop, tmp_path, table="t"))["t"]
    assert dict(scan.attach[0].secret)["password"] == PASSWORD
    assert PASSWORD not in repr(scan)
    assert PASSWORD not in scan.select + scan.origin


def test_options_that_duckdb_cannot_take_lead_to_sqlalchemy(shop: Shop, tmp_path: Path) -> None:
    shop.execute("CREATE TABLE t AS SELECT 1.5::numeric(5,2) AS a")
    url = shop.url + "?application_name=floe&sslmode=prefer"
    with capture_logs() as logs:
        assert landed(source(shop, tmp_path, table="t", url=url))["t"].to_pylist() == [{"a": Decimal("1.50")}]
    assert "application_name, sslmode" in logs[0]["reason"]
    with pytest.raises(SourceConfigurationError, match="backend: duckdb cannot read"):
        landed(source(shop, tmp_path, table="t", url=url, backend="duckdb"))


def test_the_check_tells_what_is_there(shop: Shop, tmp_path: Path) -> None:
    shop.execute(
        "CREATE TABLE t (a int, b text)",
        "INSERT INTO t SELECT i, i FROM generate_series(1, 500) i",
        "ANALYZE t",
    )
    config = SqlDatabaseConfig(url=shop.url, table="t")
    found = sql_database.floe_ingest_check_source(request_for("sql_database", config, tmp_path))
    (table,) = found.resources
    assert (table.name, table.columns, table.estimated_rows) == ("t", ("a", "b"), 500)
    assert f"as user {LOGIN}" in found.message
    with pytest.raises(SourceConfigurationError, match="no table 'tt'"):
        sql_database.floe_ingest_check_source(
            request_for("sql_database", SqlDatabaseConfig(url=shop.url, table="tt"), tmp_path)
        )
