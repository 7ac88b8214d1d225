"""What a database says of a query's own values is the user's: never tried again, told with the resource."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

import floe_ingest
from floe_ingest import ErrorCategory

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake

    from tests.integration.sources.conftest import Shop

DIVIDED = "SELECT 10 / (n - 9000) AS share FROM generate_series(1, 9000) AS s(n)"


def load(lake: Lake, folder: Path, source: dict[str, Any], retries: int = 0, **options: Any) -> Any:
    """Load a ``source_config`` into ``raw.t``; return the result."""
    lake.folder.mkdir(parents=True, exist_ok=True)
    document = {
        "catalog_config": lake.properties,
        "retry_config": {"max_retries": retries, "initial_delay_seconds": 0.01},
        "sources": [
            {
                "name": "t",
                "source_type": "sql_database",
                "source_config": source,
                "destination_table": "raw.t",
                **options,
            }
        ],
    }
    (folder / "ingest.yaml").write_text(json.dumps(document))
    [result] = floe_ingest.run(floe_ingest.load_config(folder / "ingest.yaml")).sources
    return result


def failure(url: str, lake: Lake, folder: Path, **config: Any) -> Any:
    """Load a query, which must fail; return its error."""
    result = load(lake, folder, {"url": url, **config}, retries=1)
    assert not result.success
    assert not lake.catalog().table_exists("raw.t")
    (error,) = result.errors
    return error


@pytest.mark.parametrize("backend", ["auto", "duckdb", "adbc", "sqlalchemy"])
def test_a_division_by_zero_in_postgresql(shop: Shop, lake: Lake, tmp_path: Path, backend: str) -> None:
    error = failure(shop.url, lake, tmp_path, query=DIVIDED, backend=backend, batch_rows=500)
    assert "division by zero" in error.message
    assert error.category is ErrorCategory.PERMANENT
    assert error.resource == "t"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT abs(n) AS n FROM numbers", "integer overflow"),
        ("SELECT json_extract(v, '$.a') AS a FROM numbers", "malformed JSON"),
    ],
)
def test_a_value_that_a_function_of_sqlite_refuses(
    lake: Lake, tmp_path: Path, query: str, words: str
) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE numbers (n INTEGER, v TEXT)")
        connection.execute("INSERT INTO numbers VALUES (1, '{}'), (-9223372036854775808, '{')")
    error = failure("sqlite:///shop.db", lake, tmp_path, query=query)
    assert words in error.message
    assert error.category is ErrorCategory.PERMANENT
    assert error.resource == "t"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT CAST(v AS INTEGER) AS n FROM words", "Could not convert string"),
        ("SELECT n::TINYINT AS n FROM words", "out of range"),
    ],
)
def test_a_value_that_does_not_fit_in_duckdb(lake: Lake, tmp_path: Path, query: str, words: str) -> None:
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.execute("CREATE TABLE words AS SELECT * FROM (VALUES ('1', 1), ('x', 1000)) AS t(v, n)")
    error = failure("duckdb:///shop.duckdb", lake, tmp_path, query=query)
    assert words in error.message
    assert error.category is ErrorCategory.PERMANENT
    assert error.resource == "t"


@pytest.mark.parametrize("mode", ["append", "replace", "merge"])
@pytest.mark.parametrize(
    "later",
    ["id INTEGER NOT NULL, v TEXT", "id INTEGER NOT NULL", "id INTEGER, v TEXT NOT NULL, w INT NOT NULL"],
)
def test_what_was_not_null_may_become_so(lake: Lake, tmp_path: Path, mode: str, later: str) -> None:
    """A required column would refuse the second load: the source relaxed, dropped or added a column."""
    options = {"write_mode": mode, **({"primary_key": "id"} if mode == "merge" else {})}
    for columns, number in (("id INTEGER NOT NULL, v TEXT NOT NULL", 1), (later, 2)):
        with sqlite3.connect(tmp_path / "shop.db") as connection:
            connection.execute("DROP TABLE IF EXISTS t")
            connection.execute(f"CREATE TABLE t ({columns})")
            names = [row[1] for row in connection.execute("PRAGMA table_info(t)") if row[3]]
            values = ", ".join(str(number) for _ in names)
            connection.execute(
                f"INSERT INTO t ({', '.join(names)}) VALUES ({values})"
                if "id" in names
                else f"INSERT INTO t (id, {', '.join(names)}) VALUES ({number}, {values})"
            )
        result = load(lake, tmp_path, {"url": "sqlite:///shop.db", "table": "t"}, **options)
        assert result.success, result.errors
    assert not any(field.required for field in lake.table("raw.t").schema().fields)
    rows = lake.duckdb("raw.t", "SELECT id, v FROM t ORDER BY id").to_pylist()
    kept = "2" if "v TEXT NOT NULL" in later else None
    before = [] if mode == "replace" else [{"id": 1, "v": "1"}]
    assert rows == [*before, {"id": 2, "v": kept}]
