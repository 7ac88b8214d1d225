"""Incremental loads from a real PostgreSQL, and what else its connections are asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from services.databases import LOGIN, PASSWORD
from sources_support import landed, request_for
from structlog.testing import capture_logs

import floe_ingest
from floe_ingest import SourceAccessError, SourceConfigurationError
from floe_ingest_sources import sql_database
from floe_ingest_sources.sql_database import SqlDatabaseConfig

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake, Shop
    from services.databases import PostgresServer


class Loader:
    def __init__(self, folder: Path, shop: Shop, lake: Lake) -> None:
        self.folder = folder
        self.shop = shop
        self.lake = lake

    def load(self, settings: dict[str, Any] | None = None, **options: Any) -> Any:
        source = {
            "name": "events",
            "source_type": "sql_database",
            "source_config": {"url": self.shop.url, **(settings or {"table": "events"})},
            "destination_table": "raw.events",
            "cursor_field": "at",
            **options,
        }
        document = {
            "catalog_config": self.lake.properties,
            "retry_config": {"max_retries": 0},
            "sources": [source],
        }
        (self.folder / "ingest.yaml").write_text(json.dumps(document))
        with capture_logs() as logs:
            [result] = floe_ingest.run(floe_ingest.load_config(self.folder / "ingest.yaml")).sources
        self.reasons = [entry.get("reason", "") for entry in logs]
        if not result.success:
            pytest.fail(result.errors[0].message)
        return result.rows_loaded

    def ids(self) -> list[int]:
        return [
            row["id"] for row in self.lake.duckdb("raw.events", "SELECT id FROM t ORDER BY 1").to_pylist()
        ]


@pytest.fixture
def loader(tmp_path: Path, shop: Shop, lake: Lake) -> Loader:
    lake.folder.mkdir(parents=True)
    return Loader(tmp_path, shop, lake)


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("timestamptz", "'2024-03-31 00:30:00.123456+00'", "'2024-03-31 01:30:00.123457+00'"),
        ("timestamp", "'2024-03-31 02:30:00'", "'2024-03-31 02:30:00.000001'"),
        ("timestamp(0)", "'2024-03-31 02:30:00'", "'2024-03-31 02:30:01'"),
        ("date", "'2024-03-31'", "'2024-04-01'"),
        ("bigint", "9007199254740993", "9007199254740994"),
        ("numeric", "1.000000001", "1.000000002"),
        (
            "numeric(38,10)",
            "1234567890123456789012345678.0123456789",
            "1234567890123456789012345678.0123456790",
        ),
        ("double precision", "0.1", "0.30000000000000004"),
        ("real", "0.1", "0.2"),
        ("text", "'B'", "'a'"),
        ("uuid", "'00000000-0000-0000-0000-00000000000a'", "'10000000-0000-0000-0000-000000000000'"),
    ],
)
@pytest.mark.parametrize("backend", ["auto", "sqlalchemy"])
def test_the_database_finds_what_is_new(
    loader: Loader, kind: str, first: str, second: str, backend: str
) -> None:
    settings = {"table": "events", "backend": backend}
    loader.shop.execute(
        "SET TimeZone = 'America/New_York'",
        f"CREATE TABLE events (id int, at {kind})",
        f"INSERT INTO events VALUES (1, {first})",
    )
    assert loader.load(settings) == 1
    assert loader.load(settings) == 0
    loader.shop.execute(f"INSERT INTO events VALUES (2, {first}), (3, {second})")
    assert loader.load(settings) == 2
    if backend == "auto":
        assert any("the database finds by the cursor what is new" in reason for reason in loader.reasons)
    loader.shop.execute(f"INSERT INTO events VALUES (4, {second}), (0, {first})")
    assert loader.load(settings, cursor={"nulls": "exclude"}) == 1
    assert loader.ids() == [1, 2, 3, 4]


def test_queries_views_and_bounds(loader: Loader) -> None:
    loader.shop.execute(
        "CREATE TABLE raw (id int, stamp timestamptz)",
        "INSERT INTO raw SELECT i, timestamptz '2024-01-01 00:00Z' + i * interval '1 day' "
        "FROM generate_series(0, 9) i",
        "CREATE VIEW events AS SELECT id, stamp AS at FROM raw",
    )
    bounds = {"initial_value": "2024-01-03", "end_value": "2024-01-06T00:00:00+00:00"}
    assert loader.load(cursor=bounds) == 3
    assert loader.ids() == [2, 3, 4]
    query = {"query": "SELECT id, stamp AS at FROM raw -- all of it"}
    assert loader.load(query, cursor=bounds | {"end_value": "2024-01-08"}) == 2
    assert loader.ids() == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("shards", [None, 3])
@pytest.mark.parametrize("kind", ["int", "timestamptz"])
def test_late_rows_and_descending_order(loader: Loader, kind: str, shards: int | None) -> None:
    def at(*pairs: tuple[int, int]) -> str:
        stamp = "timestamptz '2024-01-01 00:00Z' + {} * interval '1 day'" if kind == "timestamptz" else "{}"
        return "INSERT INTO events VALUES " + ", ".join(f"({n}, {stamp.format(day)}, 0)" for n, day in pairs)

    # A numeric without precision makes the first load go by a query too, and so by shards.
    loader.shop.execute(f"CREATE TABLE events (id int PRIMARY KEY, at {kind}, n numeric)")
    settings = {"table": "events", "shards": shards} if shards else {"table": "events"}
    day = 86_400 if kind == "timestamptz" else 1
    late = {"cursor": {"lag": 10 * day}}
    loader.shop.execute(at((1, 5), (2, 20), (3, 28)))
    assert loader.load(settings, **late) == 3
    loader.shop.execute(at((4, 18), (5, 17), (6, 29)))
    assert loader.load(settings, **late) == 2  # 17 is more than 10 before 28
    assert loader.load(settings, **late) == 0
    assert loader.ids() == [1, 2, 3, 4, 6]
    down = {"cursor": {"order": "desc"}, "destination_table": "raw.down"}
    assert loader.load(settings, **down) == 6
    loader.shop.execute(at((7, 5), (8, 4), (9, 30)))
    assert loader.load(settings, **down) == 2
    if shards:
        assert "by ranges of id" in loader.reasons


def test_rows_without_a_value_are_seen_where_the_database_filters(loader: Loader) -> None:
    loader.shop.execute("CREATE TABLE events (id int, at int)", "INSERT INTO events VALUES (1, 1)")
    assert loader.load() == 1
    loader.shop.execute("INSERT INTO events VALUES (2, NULL), (3, 2)")
    with pytest.raises(pytest.fail.Exception, match="rows without a value"):
        loader.load()
    assert loader.load(cursor={"nulls": "include"}) == 2
    assert loader.load(cursor={"nulls": "include"}) == 0
    assert loader.ids() == [1, 2, 3]


def test_a_bound_of_another_type_is_told(loader: Loader) -> None:
    loader.shop.execute("CREATE VIEW events AS SELECT 1 AS id, now() AS at")
    with pytest.raises(pytest.fail.Exception, match="'soon' is no TIMESTAMPTZ"):
        loader.load(cursor={"initial_value": "soon"})


def test_a_merge_takes_the_tables_own_key_and_comments_come_along(loader: Loader) -> None:
    loader.shop.execute(
        "CREATE TABLE events (id int PRIMARY KEY, at int, note text)",
        "COMMENT ON COLUMN events.note IS 'what was said'",
        "INSERT INTO events VALUES (1, 1, 'a')",
    )
    assert loader.load(write_mode="merge") == 1
    loader.shop.execute("UPDATE events SET note = 'b', at = 2")
    assert loader.load(write_mode="merge") == 1
    assert [row["note"] for row in loader.lake.rows("raw.events")] == ["b"]
    assert loader.lake.table("raw.events").schema().find_field("note").doc == "what was said"


def built(url: str, folder: Path, **settings: Any) -> Any:
    config = SqlDatabaseConfig.model_validate({"url": url, **settings})
    return sql_database.floe_ingest_build_source(request_for("sql_database", config, folder))


def test_patterns_of_tables(shop: Shop, tmp_path: Path) -> None:
    shop.execute(*(f'CREATE TABLE "{name}" (id int)' for name in ("sales_1", "sales_2", "Sales_3", "stock")))
    assert list(built(shop.url, tmp_path, tables=["sales_?", "stock"]).resources) == [
        "sales_1",
        "sales_2",
        "stock",
    ]
    with pytest.raises(SourceConfigurationError, match=r"matches 'x\*'. There are: Sales_3, sales_1"):
        built(shop.url, tmp_path, tables=["x*"])


@pytest.mark.parametrize(
    ("user", "password", "database"),
    [
        (LOGIN, "wrong", "postgres"),
        (LOGIN, None, "postgres"),
        ("nobody", "x", "postgres"),
        (LOGIN, PASSWORD, "nowhere"),
    ],
)
def test_a_refused_login_is_permanent(
    postgres: PostgresServer, tmp_path: Path, user: str, password: str | None, database: str
) -> None:
    url = postgres.url(user=user, password=password, database=database)
    with pytest.raises(SourceAccessError) as caught:
        landed(built(url, tmp_path, table="t"))
    assert caught.value.category == "permanent"
    assert "wrong" not in str(caught.value).replace("wrong password", "")


def test_a_server_that_is_not_there_may_come_back(tmp_path: Path) -> None:
    with pytest.raises(floe_ingest.SourceConnectionError) as caught:
        landed(built("postgresql://a:b@127.0.0.1:1/x", tmp_path, table="t"))
    assert caught.value.category == "transient"


@pytest.mark.parametrize("backend", ["auto", "sqlalchemy"])
def test_statements_can_be_bounded_and_write_nothing(shop: Shop, tmp_path: Path, backend: str) -> None:
    slow = "SELECT pg_sleep(20)::text AS s"
    with pytest.raises(Exception, match="statement timeout"):
        landed(built(shop.url, tmp_path, query=slow, backend=backend, statement_timeout=1))
    shop.execute(
        "CREATE TABLE t (id int)",
        "CREATE FUNCTION write() RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (1) RETURNING 1'",
        f"GRANT INSERT ON t TO {LOGIN}",
    )
    with pytest.raises(Exception, match="read-only transaction"):
        landed(built(shop.url, tmp_path, query="SELECT write() AS w", backend=backend))
