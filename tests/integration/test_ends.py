"""How a source of each kind ends that is empty, or breaks half way; the REST ones are with the REST loads."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import floe_ingest
from floe_ingest import DltIngestionConfig

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake


def config(lake: Lake, **sources: dict[str, Any]) -> DltIngestionConfig:
    return DltIngestionConfig(
        catalog_config={"name": "default", **lake.properties},
        retry_config={"max_retries": 0},
        sources=[
            {"name": name, "destination_table": f"raw.{name}", "write_mode": "append", **fields}
            for name, fields in sources.items()
        ],
    )


def database(folder: Path, rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    with sqlite3.connect(folder / "shop.db") as connection:
        connection.execute("CREATE TABLE orders (id INTEGER, city TEXT)")
        connection.executemany("INSERT INTO orders VALUES (?, ?)", rows)
    connection.close()
    return {
        "source_type": "sql_database",
        "source_config": {"url": f"sqlite:///{folder / 'shop.db'}", "table": "orders"},
    }


def files(folder: Path, *texts: str) -> dict[str, Any]:
    (folder / "in").mkdir()
    for number, text in enumerate(texts):
        (folder / "in" / f"{number}.csv").write_text(text, encoding="utf-8")
    return {
        "source_type": "filesystem",
        "source_config": {"path": str(folder / "in"), "csv": {"types": {"id": "BIGINT"}}},
    }


def test_an_empty_table_makes_its_table(lake: Lake, tmp_path: Path) -> None:
    result = floe_ingest.run(config(lake, empty=database(tmp_path, [])))
    assert result.success, result
    assert [(table.table, table.rows_loaded) for table in result.sources[0].tables] == [("raw.empty", 0)]
    assert {field.name for field in lake.table("raw.empty").schema().fields} >= {"id", "city"}
    assert lake.rows("raw.empty") == []


def test_files_that_break_half_way_leave_nothing_and_stop_no_other(lake: Lake, tmp_path: Path) -> None:
    broken = files(tmp_path, "id,city\n1,Bern\n", "id,city\n2,Chur\n", "id,city\nthree,Olten\n")
    fine = database(tmp_path, [(1, "Bern")])
    result = floe_ingest.run(config(lake, broken=broken, fine=fine))
    assert [source.success for source in result.sources] == [False, True]
    assert not lake.catalog().table_exists("raw.broken")
    assert [row["city"] for row in lake.rows("raw.fine")] == ["Bern"]
    (error,) = result.sources[0].errors
    assert (error.category, error.resource) == ("configuration", "broken")
    assert "2.csv, line 2" in error.message


def test_a_table_that_breaks_half_way_leaves_nothing_and_stops_no_other(lake: Lake, tmp_path: Path) -> None:
    broken = database(tmp_path, [(1, "Bern"), (2, "Chur"), ("three", "Olten")])
    fine = files(tmp_path, "id,city\n1,Bern\n")
    result = floe_ingest.run(config(lake, broken=broken, fine=fine))
    assert [source.success for source in result.sources] == [False, True]
    assert not lake.catalog().table_exists("raw.broken")
    assert [row["city"] for row in lake.rows("raw.fine")] == ["Bern"]
    (error,) = result.sources[0].errors
    assert error.category == "permanent"
    assert "id" in error.message
