"""scd2 where a source yields columns: versions of rows are made of all their values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ways_in import load_query, load_rows

import floe_ingest
from floe_ingest.config import parse_config

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake

WAYS = ("scan", "batches", "arrow")


def load(lake: Lake, folder: Path, way: str, *rows: str, columns: str = "id, v") -> int:
    """Load rows, written as SQL values, as the whole of what the source has; return the rows loaded."""
    select = f"SELECT * FROM (VALUES {', '.join(rows)}) AS data({columns})"
    result = load_query(lake, folder, select, way, write_mode="merge", merge_strategy="scd2")
    assert result.success, result.errors
    return sum(table.rows_loaded for table in result.tables)


def versions(lake: Lake, *columns: str) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """The rows that hold, and those that ended."""
    rows = sorted(lake.rows("bronze.typed"), key=lambda row: (row["id"], row["_dlt_valid_from"]))
    picked = [(row["_dlt_valid_to"], tuple(row[column] for column in columns or ("id", "v"))) for row in rows]
    return [row for end, row in picked if end is None], [row for end, row in picked if end is not None]


@pytest.mark.parametrize("way", WAYS)
def test_a_changed_row_and_one_that_is_gone_end_and_others_go_on(
    lake: Lake, tmp_path: Path, way: str
) -> None:
    load(lake, tmp_path, way, "(1, 'a')", "(2, 'b')", "(3, NULL)")
    before = {row["id"]: row for row in lake.rows("bronze.typed")}
    load(lake, tmp_path, way, "(1, 'z')", "(3, NULL)", "(4, NULL)")

    assert versions(lake) == ([(1, "z"), (3, None), (4, None)], [(1, "a"), (2, "b")])
    assert before[3] in lake.rows("bronze.typed")
    snapshots = len(lake.table("bronze.typed").snapshots())
    load(lake, tmp_path, way, "(4, NULL)", "(3, NULL)", "(1, 'z')")
    assert len(lake.table("bronze.typed").snapshots()) == snapshots


@pytest.mark.parametrize("way", WAYS)
def test_a_new_column_makes_new_versions_where_it_has_values(lake: Lake, tmp_path: Path, way: str) -> None:
    load(lake, tmp_path, way, "(1, 'a')", "(2, 'b')")
    load(
        lake,
        tmp_path,
        way,
        "(1, 'a', CAST(NULL AS INTEGER))",
        "(2, 'b', 5)",
        columns="id, v, w",
    )

    assert versions(lake, "id", "v", "w") == ([(1, "a", None), (2, "b", 5)], [(2, "b", None)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("'NULL'", "NULL"),
        ("''", "NULL"),
        ("'a:1:b'", "'a'"),
        ("['a', 'b']", "['a, b']"),
        ("{'x': NULL}", "{'x': 'NULL'}"),
        ("1e-300::DOUBLE", "2e-300::DOUBLE"),
        ("'nan'::DOUBLE", "NULL::DOUBLE"),
        ("'\\x00\\xFF'::BLOB", "'\\x00\\xFE'::BLOB"),
        ("TIMESTAMP '2026-01-01 00:00:00.000001'", "TIMESTAMP '2026-01-01 00:00:00.000002'"),
        ("1.10::DECIMAL(38,10)", "1.1000000001::DECIMAL(38,10)"),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_rows_with_other_values_are_other_versions(
    lake: Lake, tmp_path: Path, way: str, one: str, other: str
) -> None:
    load(lake, tmp_path, way, f"(1, {one})", f"(2, {other})")
    load(lake, tmp_path, way, f"(1, {other})", f"(2, {other})")

    holds, ended = versions(lake)
    assert [row[0] for row in holds] == [1, 2]
    assert [row[0] for row in ended] == [1]


def test_both_ways_make_the_same_versions(lake: Lake, tmp_path: Path) -> None:
    rows = ("(1, 'a', [1, 2], {'x': 1.5})", "(2, NULL, NULL, NULL)")
    load(lake, tmp_path, "scan", *rows, columns="id, v, l, s")
    before = lake.rows("bronze.typed")
    load(lake, tmp_path, "arrow", *rows, columns="id, v, l, s")

    assert lake.rows("bronze.typed") == before


def test_a_parquet_file_that_fits_gets_versions_too(lake: Lake, tmp_path: Path) -> None:
    config = parse_config(
        {
            "catalog_config": lake.properties,
            "sources": [
                {
                    "name": "files",
                    "source_type": "filesystem",
                    "source_config": {"path": "data", "tables": {"typed": "*.parquet"}},
                    "destination_table": "bronze.typed",
                    "write_mode": "merge",
                    "merge_strategy": "scd2",
                }
            ],
        },
        path=tmp_path / "ingest.yaml",
    )
    file = tmp_path / "data" / "rows.parquet"
    file.parent.mkdir()
    for rows in ({"id": [1, 2], "v": ["a", "b"]}, {"id": [1, 2], "v": ["a", "c"]}):
        pq.write_table(pa.table(rows), file)
        assert floe_ingest.run(config).success

    assert versions(lake) == ([(1, "a"), (2, "c")], [(2, "b")])


def test_a_version_that_the_source_brings_is_taken(lake: Lake, tmp_path: Path) -> None:
    scd2 = {"disposition": "merge", "strategy": "scd2", "row_version_column_name": "version"}
    load_rows(lake, tmp_path, pa.table({"id": [1], "version": ["one"]}), write_disposition=scd2)
    load_rows(lake, tmp_path, pa.table({"id": [1], "version": ["two"]}), write_disposition=scd2)

    assert versions(lake, "version") == ([("two",)], [("one",)])
