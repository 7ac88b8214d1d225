"""The sql_database source over a real MariaDB: each value exactly, or an error that says why not."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import hostile
import pytest
from cutting_proxy import cutting_proxy
from services.databases import LOGIN, PASSWORD
from sources_support import (
    documented_types,
    extracted,
    iceberg_name,
    landed,
    left_open,
    request_for,
    scans_of,
)
from structlog.testing import capture_logs

import floe_ingest
from floe_ingest import (
    ErrorCategory,
    SchemaError,
    SourceAccessError,
    SourceConfigurationError,
    SourceConnectionError,
)
from floe_ingest_sources import sql_database
from floe_ingest_sources.sql_database import SqlDatabaseConfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Lake
    from services.together import Services

UTC = dt.UTC
OTHERS = f"SELECT id FROM information_schema.processlist WHERE user = '{LOGIN}' AND id <> connection_id()"
READERS = ("auto", "connectorx", "duckdb", "sqlalchemy")
DIGITS = "12345678.012345678901234567890123456789"
EXACT: dict[str, tuple[str, str, Any, str]] = {
    # column: (type, literal, value that lands, Arrow type)
    "ti": ("tinyint", "-128", -128, "int32"),
    "tu": ("tinyint unsigned", "255", 255, "int32"),
    "bo": ("boolean", "2", 2, "int32"),
    "si": ("smallint", "-32768", -32768, "int32"),
    "su": ("smallint unsigned", "65535", 65535, "int32"),
    "mi": ("mediumint", "-8388608", -8388608, "int32"),
    "mu": ("mediumint unsigned", "16777215", 16777215, "int32"),
    "i": ("int", "-2147483648", -2147483648, "int32"),
    "iu": ("int unsigned", "4294967295", 4294967295, "int64"),
    "zf": ("int(6) zerofill", "42", 42, "int64"),
    "bi": ("bigint", "-9223372036854775808", -9223372036854775808, "int64"),
    "bu": ("bigint unsigned", "18446744073709551615", Decimal(18446744073709551615), "decimal128(20, 0)"),
    "f": ("float", "16777215", 16777215.0, "float"),
    "dd": ("double", "0.1", 0.1, "double"),
    "dx": ("double", "1.7976931348623157e308", 1.7976931348623157e308, "double"),
    "d1": ("decimal(10,2)", "-1.25", Decimal("-1.25"), "decimal128(10, 2)"),
    "d2": ("decimal(38,10)", "1234567890123456789012345678.0123456789", None, "decimal128(38, 10)"),
    "d3": ("decimal(65,30)", DIGITS, Decimal(DIGITS), "decimal128(38, 30)"),
    "du": (
        "decimal(18,4) unsigned",
        "12345678901234.5678",
        Decimal("12345678901234.5678"),
        "decimal128(18, 4)",
    ),
    "b1": ("bit(1)", "b'1'", True, "bool"),
    "b8": ("bit(8)", "b'10100101'", 0b10100101, "int64"),
    "b64": ("bit(64)", f"b'{'1' * 64}'", Decimal(2**64 - 1), "decimal128(20, 0)"),
    **{f"b{n}": (f"bit({n})", f"b'{'1' * n}'", 2**n - 1, "int64") for n in (31, 32, 33, 63)},
    "y": ("year", "2155", 2155, "int32"),
    "y0": ("year", "0", 0, "int32"),
    "da": ("date", "'0001-01-01'", dt.date(1, 1, 1), "date32[day]"),
    "dz": ("date", "'9999-12-31'", dt.date(9999, 12, 31), "date32[day]"),
    "at": (
        "datetime(6)",
        "'2024-03-31 02:30:00.123456'",
        dt.datetime(2024, 3, 31, 2, 30, 0, 123456),
        "timestamp[us]",
    ),
    "ts": (
        "timestamp(6) NULL",
        "'2024-07-01 03:04:05.123456'",  # written by a session two hours east of UTC
        dt.datetime(2024, 7, 1, 1, 4, 5, 123456, tzinfo=UTC),
        "timestamp[us, tz=UTC]",
    ),
    "tm": ("time(6)", "'23:59:59.999999'", dt.time(23, 59, 59, 999999), "time64[us]"),
    "ch": ("char(5)", "'ab'", "ab", "string"),
    "vc": ("varchar(20)", "'Łódź 猫😀'", "Łódź 猫😀", "string"),
    "la": ("varchar(20) character set latin1", "'é'", "é", "string"),
    "lt": ("longtext", "'100%s \\\\ `q`'", "100%s \\ `q`", "string"),
    "bn": ("binary(4)", "x'00ff'", b"\x00\xff\x00\x00", "binary"),
    "vb": ("varbinary(4)", "x'00ff'", b"\x00\xff", "binary"),
    "lb": ("longblob", "x'00ff'", b"\x00\xff", "binary"),
    "en": ("enum('a','b')", "'b'", "b", "string"),
    "se": ("set('a','b')", "'a,b'", "a,b", "string"),
    "js": ("json", "'{\"a\":  12345678901234567890.5}'", '{"a":  12345678901234567890.5}', "string"),
    "uu": (
        "uuid",
        "'a2b3d0b5-e76b-434b-9585-7f4f9e7d1b0b'",
        "a2b3d0b5-e76b-434b-9585-7f4f9e7d1b0b",
        "string",
    ),
    "i4": ("inet4", "'10.0.0.1'", "10.0.0.1", "string"),
    "i6": ("inet6", "'::1'", "::1", "string"),
    "pt": ("point", "point(1, 2)", "POINT(1 2)", "string"),
}
EXACT["d2"] = (*EXACT["d2"][:2], Decimal(EXACT["d2"][1]), EXACT["d2"][3])


class Shop:
    """A database of its own."""

    def __init__(self, port: int, url: str) -> None:
        import pymysql

        self.url = url
        self.port = port
        self.connection = pymysql.connect(
            host="127.0.0.1", port=port, user=LOGIN, password=PASSWORD, database="shop", autocommit=True
        )
        # Zero dates and cut values are let in, as by servers of long ago.
        self.execute("SET sql_mode = ''", "SET time_zone = '+02:00'")

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def make(self, columns: dict[str, tuple[str, str, Any, str]]) -> None:
        declared = ", ".join(f"{name} {spec[0]}" for name, spec in columns.items())
        self.execute(
            f"CREATE TABLE every (id int PRIMARY KEY, {declared})",
            f"INSERT INTO every VALUES (1, {', '.join(spec[1] for spec in columns.values())})",
            f"INSERT INTO every VALUES (2, {', '.join('NULL' for _ in columns)})",
        )


@pytest.fixture
def shop(services: Services) -> Iterator[Shop]:
    server = services.mariadb
    shop = Shop(server.port, server.url())
    shop.execute("DROP DATABASE shop", "CREATE DATABASE shop CHARACTER SET utf8mb4", "USE shop")
    yield shop
    # No reader has left a connection open.
    others = left_open(lambda: shop.execute(OTHERS))
    shop.connection.close()
    assert not others


def load(lake: Lake, folder: Path, settings: dict[str, Any], **options: Any) -> Any:
    document = {
        "catalog_config": lake.properties,
        "retry_config": {"max_retries": 0},
        "sources": [
            {
                "name": "t",
                "source_type": "sql_database",
                "source_config": settings,
                "destination_table": "raw.t",
                **options,
            }
        ],
    }
    (folder / "ingest.yaml").write_text(json.dumps(document))
    [result] = floe_ingest.run(floe_ingest.load_config(folder / "ingest.yaml")).sources
    return result


def source(shop: Shop, tmp_path: Path, **config: Any) -> Any:
    full = SqlDatabaseConfig.model_validate({"url": shop.url, **config})
    return sql_database.floe_ingest_build_source(request_for("sql_database", full, tmp_path))


@pytest.mark.parametrize("backend", READERS)
@pytest.mark.parametrize("name", hostile.HOSTILE)
def test_hostile_names_and_values_are_no_sql(
    lake: Lake, shop: Shop, tmp_path: Path, name: str, backend: str
) -> None:
    # Text as standard SQL has it; else a backslash would stand for more than itself in these statements.
    shop.execute("SET sql_mode = 'NO_BACKSLASH_ESCAPES'", *hostile.statements(name, "`"))
    settings = {"url": shop.url, "backend": backend}
    assert hostile.load(lake, tmp_path, name, **settings) == len(hostile.VALUES) - 1
    new = hostile.quoted(hostile.VALUES[-1], "'")
    shop.execute(f"INSERT INTO {hostile.quoted(name, '`')} VALUES ({new}, 2)")
    assert hostile.load(lake, tmp_path, name, **settings) == 1

    assert hostile.loaded(lake) == hostile.VALUES
    assert {row[0] for row in shop.execute("SHOW TABLES")} == {"canary", name}


@pytest.mark.parametrize("backend", READERS)
def test_what_the_server_refuses_is_not_tried_again(
    lake: Lake, shop: Shop, tmp_path: Path, backend: str
) -> None:
    shop.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    server = f"127.0.0.1:{shop.port}"
    cases = {
        "password": (f"mysql+pymysql://{LOGIN}:wrong@{server}/shop", {"table": "t"}),
        "database": (shop.url.replace("/shop", "/nowhere"), {"table": "t"}),
        "value": (shop.url, {"query": "SELECT (SELECT id FROM t) AS id"}),
        "range": (shop.url, {"query": "SELECT 9223372036854775807 + id AS id FROM t"}),
    }
    for name, (url, what) in cases.items():
        [error] = load(lake, tmp_path, {"url": url, "backend": backend, **what}).errors
        assert error.category in (ErrorCategory.PERMANENT, ErrorCategory.CONFIGURATION), (name, error)
    with pytest.raises(SourceConfigurationError, match="nothing"):
        load(lake, tmp_path, {"url": shop.url, "backend": backend, "table": "nothing"})


@pytest.mark.parametrize("backend", READERS)
def test_every_type_comes_exactly(shop: Shop, tmp_path: Path, backend: str) -> None:
    shop.make(EXACT)
    table = landed(source(shop, tmp_path, table="every", backend=backend, batch_rows=1))["every"]
    rows = sorted(table.to_pylist(), key=lambda row: row["id"])
    assert rows[0] == {"id": 1, **{name: spec[2] for name, spec in EXACT.items()}}
    assert rows[1] == {"id": 2, **dict.fromkeys(EXACT)}
    found = {name: str(table.schema.field(name).type) for name in EXACT}
    assert found == {name: spec[3] for name, spec in EXACT.items()}


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("date", "'0000-00-00'", "0000-00-00"),
        ("date", "'2024-00-00'", "2024-00-00"),
        ("datetime", "'0000-00-00 00:00:00'", "0000-00-00"),
        ("timestamp NULL", "'0000-00-00 00:00:00'", "0000-00-00"),
        ("time", "'838:59:59'", "838:59:59"),
        ("time", "'24:00:00'", "24:00:00"),
        ("time", "'-12:30:00'", "-12:30:00"),
        ("decimal(65,30)", "123456789.5", "DECIMAL"),
    ],
)
@pytest.mark.parametrize("backend", READERS)
def test_what_no_column_can_hold_stops_the_load(
    shop: Shop, tmp_path: Path, kind: str, value: str, words: str, backend: str
) -> None:
    import duckdb

    shop.execute(f"CREATE TABLE t (id int, v {kind})", f"INSERT INTO t VALUES (1, {value})")
    with pytest.raises((SchemaError, duckdb.Error), match=words) as caught:
        landed(source(shop, tmp_path, table="t", backend=backend))
    assert "Column 'v'" in str(caught.value)


def test_the_docs_have_every_type_that_is_tested() -> None:
    tested = {spec[0]: iceberg_name(spec[3]) for spec in (EXACT).values()}
    assert documented_types("Types of MariaDB and MySQL") == tested


def test_the_log_says_which_reader_and_why(shop: Shop, tmp_path: Path) -> None:
    shop.execute("CREATE TABLE t (id int)")
    with capture_logs() as logs:
        assert landed(source(shop, tmp_path, table="t"))["t"].num_rows == 0
    assert [(entry["event"], entry["reason"]) for entry in logs] == [
        ("read by ConnectorX", "of the readers that are exact it is the quickest here")
    ]
    with capture_logs() as logs:
        assert scans_of(source(shop, tmp_path, table="t", backend="duckdb"))["t"].select.count("mysql_query")
    assert [entry["event"] for entry in logs] == ["read by a query over one connection"]
    shop.url += "?connect_timeout=9"
    with capture_logs() as logs:
        landed(source(shop, tmp_path, table="t"))
    assert [entry["reason"] for entry in logs] == [
        "the URL has options that DuckDB does not take: connect_timeout"
    ]
    with pytest.raises(SourceConfigurationError, match="backend: duckdb cannot read table t exactly"):
        landed(source(shop, tmp_path, table="t", backend="duckdb"))


def test_another_reader_is_taken_where_a_driver_fails_before_its_first_row(
    shop: Shop, tmp_path: Path
) -> None:
    shop.execute("CREATE TABLE t AS SELECT seq AS id, repeat('x', 100) AS v FROM seq_1_to_50000")
    config = {"table": "t", "batch_rows": 100_000}
    # The second connection is ConnectorX's, after that of the reflection.
    with cutting_proxy(shop.port, {2: 2_000_000}) as port, capture_logs() as logs:
        url = shop.url.replace(str(shop.port), str(port))
        assert landed(source(shop, tmp_path, **config, url=url))["t"].num_rows == 50_000
    assert [entry["event"] for entry in logs] == [
        "read by ConnectorX",
        "ConnectorX failed; another reader is taken",
        "read by a query over one connection",
    ]
    assert PASSWORD not in str(logs)
    with cutting_proxy(shop.port, {2: 2_000_000}) as port:
        url = shop.url.replace(str(shop.port), str(port))
        with pytest.raises(SourceConnectionError, match="ConnectorX failed at reading table t of MySQL"):
            landed(source(shop, tmp_path, **config, url=url, backend="connectorx"))


@pytest.mark.parametrize("backend", ["auto", "connectorx"])
def test_a_driver_that_is_cut_off_midway_is_an_error_and_loads_nothing(
    shop: Shop, lake: Lake, tmp_path: Path, backend: str
) -> None:
    shop.execute("CREATE TABLE t AS SELECT seq AS id, repeat('x', 100) AS v FROM seq_1_to_50000")
    lake.folder.mkdir(parents=True)
    with cutting_proxy(shop.port, dict.fromkeys(range(1, 9), 2_000_000)) as port:
        url = shop.url.replace(str(shop.port), str(port))
        settings = {"url": url, "table": "t", "backend": backend, "batch_rows": 1000}
        result = load(lake, tmp_path, settings)
    assert not result.success
    assert "ConnectorX failed at reading table t" in result.errors[0].message
    assert result.rows_loaded == 0
    settings["url"] = shop.url
    assert load(lake, tmp_path, settings).rows_loaded == 50_000
    (row,) = lake.duckdb("raw.t", "SELECT count(*) AS n, sum(id) AS s FROM t").to_pylist()
    assert row == {"n": 50_000, "s": 50_000 * 50_001 // 2}


@pytest.mark.parametrize("backend", READERS)
def test_names_views_patterns_columns_and_conditions(shop: Shop, tmp_path: Path, backend: str) -> None:
    shop.execute(
        "CREATE TABLE `select` (`from` int, `Mixed ``x`` %s` varchar(9), z int)",
        "INSERT INTO `select` VALUES (1, '10%', 1), (2, 'x''y', 2), (3, NULL, 3)",
        "CREATE VIEW seen AS SELECT `from` FROM `select` WHERE z > 1",
        "CREATE TABLE selected (i int)",
    )
    name = "Mixed `x` %s"
    table = landed(
        source(
            shop,
            tmp_path,
            table="select",
            columns=[name, "from"],
            where=f"`{name.replace('`', '``')}` LIKE '%\\%' -- only",
            backend=backend,
        )
    )["select"]
    assert table.to_pylist() == [{name: "10%", "from": 1}]
    found = landed(source(shop, tmp_path, tables=["sel*", "seen"], backend=backend))
    assert {name: table.num_rows for name, table in found.items()} == {"select": 3, "selected": 0, "seen": 2}
    with pytest.raises(SourceConfigurationError, match=r"where of select: MySQL database shop .*refuses it"):
        landed(source(shop, tmp_path, table="select", where="no_such = 1"))
    with pytest.raises(SourceConfigurationError, match=r"no table 'selct'.*mean 'select'"):
        landed(source(shop, tmp_path, table="selct"))


def test_keys_and_comments_are_reflected(shop: Shop, tmp_path: Path) -> None:
    shop.execute("CREATE TABLE t (b int, a int, v text COMMENT 'what it''s worth', PRIMARY KEY (a, b))")
    columns = extracted(source(shop, tmp_path, table="t"), tmp_path).get_table("t")["columns"]
    assert columns["v"]["description"] == "what it's worth"
    assert {name for name, column in columns.items() if column.get("primary_key")} == {"a", "b"}


def test_a_query_is_read_as_the_server_gives_it(shop: Shop, tmp_path: Path) -> None:
    shop.execute("CREATE TABLE t (id int, v decimal(9,2))", "INSERT INTO t VALUES (1, 1.25), (2, NULL)")
    query = "SELECT id, v, '10:30%' AS s FROM t ORDER BY id"
    table = landed(source(shop, tmp_path, query=query))["src"]
    assert table.to_pylist() == [
        {"id": 1, "v": Decimal("1.25"), "s": "10:30%"},
        {"id": 2, "v": None, "s": "10:30%"},
    ]


@pytest.mark.parametrize("backend", READERS)
def test_a_statement_has_its_time(shop: Shop, tmp_path: Path, backend: str) -> None:
    shop.execute("CREATE VIEW slow AS SELECT sleep(20) AS s")
    with pytest.raises(Exception, match=r"max_statement_time|Failed to fetch"):
        landed(source(shop, tmp_path, table="slow", statement_timeout=1, backend=backend))


def test_a_wrong_password_is_a_refusal_and_stays_secret(shop: Shop, tmp_path: Path) -> None:
    shop.url = shop.url.replace("p%40ss", "hunter2")
    with pytest.raises(SourceAccessError) as caught:
        landed(source(shop, tmp_path, table="t"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("timestamp(6)", "'2024-03-31 00:30:00.123456'", "'2024-03-31 00:30:00.123457'"),
        ("datetime", "'2024-03-31 02:30:00'", "'2024-03-31 02:30:01'"),
        ("date", "'2024-03-31'", "'2024-04-01'"),
        ("bigint unsigned", "18446744073709551614", "18446744073709551615"),
        (
            "decimal(38,10)",
            "1234567890123456789012345678.0123456789",
            "1234567890123456789012345678.0123456790",
        ),
        ("double", "0.1", "0.30000000000000004"),
        ("float", "0.1", "0.2"),
        ("varchar(9) character set utf8mb4", "'B'", "'a'"),
    ],
)
@pytest.mark.parametrize("backend", READERS)
def test_the_database_finds_what_is_new(
    shop: Shop, lake: Lake, tmp_path: Path, kind: str, first: str, second: str, backend: str
) -> None:
    lake.folder.mkdir(parents=True)
    shop.execute(
        f"CREATE TABLE events (id int, at {kind} NULL)",
        f"INSERT INTO events VALUES (1, {first}), (2, {first})",
    )
    settings = {"url": shop.url, "table": "events", "backend": backend}

    def loaded() -> int:
        result = load(lake, tmp_path, settings, cursor_field="at")
        assert result.success, result.errors
        rows: int = result.rows_loaded
        return rows

    assert loaded() == 2
    shop.execute(f"INSERT INTO events VALUES (3, {second}), (4, {first})")
    assert loaded() == 2
    assert loaded() == 0
    assert [row["id"] for row in lake.duckdb("raw.t", "SELECT id FROM t ORDER BY 1").to_pylist()] == [
        1,
        2,
        3,
        4,
    ]


@pytest.mark.parametrize("shards", [None, 3])
def test_late_rows_descending_order_and_the_end(
    shop: Shop, lake: Lake, tmp_path: Path, shards: int | None
) -> None:
    lake.folder.mkdir(parents=True)
    shop.execute("CREATE TABLE events (id int PRIMARY KEY, at int NULL)")
    settings: dict[str, Any] = {"url": shop.url, "table": "events", **({"shards": shards} if shards else {})}

    def loaded(table: str, **cursor: Any) -> int:
        options = {"cursor_field": "at", "cursor": cursor, "destination_table": table}
        result = load(lake, tmp_path, settings, **options)
        assert result.success, result.errors
        rows: int = result.rows_loaded
        return rows

    shop.execute("INSERT INTO events VALUES (1, 5), (2, 20), (3, 28)")
    assert loaded("raw.late", lag=10) == 3
    shop.execute("INSERT INTO events VALUES (4, 18), (5, 17), (6, 29)")
    assert loaded("raw.late", lag=10) == 2  # 17 is more than 10 before 28
    assert loaded("raw.down", order="desc") == 6
    shop.execute("INSERT INTO events VALUES (7, 5), (8, 4), (9, 30), (10, NULL)")
    assert loaded("raw.down", order="desc", nulls="exclude") == 2
    assert loaded("raw.some", initial_value=5, end_value=20, nulls="exclude") == 4
    assert loaded("raw.nulls", nulls="include") == 10
    assert loaded("raw.nulls", nulls="include") == 0
    result = load(lake, tmp_path, settings, cursor_field="at", destination_table="raw.raised")
    assert "rows without a value" in result.errors[0].message
