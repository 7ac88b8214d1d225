"""Each type of each way in is read back, value by value, by PyIceberg and by DuckDB."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import structlog
from dlt.pipeline.exceptions import PipelineStepFailed
from type_cases import ARROW_REFUSED, CASES, NANOS, ROWS_REFUSED, SCANS_REFUSED, Case
from ways_in import fields_of, load_case, load_query, load_rows

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_type_round_trips(lake: Lake, tmp_path: Path, case: Case) -> None:
    load_case(lake, tmp_path, case)

    table = lake.table("bronze.typed")
    by_pyiceberg = table.scan().to_arrow().sort_by("n")["v"].to_pylist()
    by_duckdb = lake.duckdb("bronze.typed", "SELECT v FROM t ORDER BY n")["v"].to_pylist()
    assert fields_of(lake)["v"] == case.iceberg
    assert same(by_pyiceberg, [*case.landed, case.null_of_pyiceberg])
    assert same(by_duckdb, [*case.landed, None])


@pytest.mark.parametrize("name", ARROW_REFUSED)
def test_arrow_that_does_not_fit_is_refused(lake: Lake, tmp_path: Path, name: str) -> None:
    array, message = ARROW_REFUSED[name]

    with pytest.raises(PipelineStepFailed, match=message):
        load_rows(lake, tmp_path, pa.table({"v": array}))

    assert not lake.catalog().table_exists("bronze.typed")
    assert not list(lake.folder.rglob("*.parquet"))


@pytest.mark.parametrize("name", ROWS_REFUSED)
def test_rows_that_do_not_fit_are_refused(lake: Lake, tmp_path: Path, name: str) -> None:
    value, message = ROWS_REFUSED[name]

    with pytest.raises(PipelineStepFailed, match=message):
        load_rows(lake, tmp_path, [{"v": value}])

    assert not lake.catalog().table_exists("bronze.typed")


@pytest.mark.parametrize("name", SCANS_REFUSED)
def test_a_scan_that_does_not_fit_is_refused(lake: Lake, tmp_path: Path, name: str) -> None:
    value, message = SCANS_REFUSED[name]

    error = load_query(lake, tmp_path, f"SELECT {value} AS v").errors[0]

    assert re.search(message, error.message)
    assert not lake.catalog().table_exists("bronze.typed")
    assert not list(lake.folder.rglob("*.parquet"))


def test_cut_nanoseconds_of_a_scan_are_told(lake: Lake, tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        load_query(lake, tmp_path, "SELECT 1 AS n, TIMESTAMP_NS '2024-01-01 00:00:00.123456789' AS v")

    [warning] = [entry for entry in logs if "microsecond" in entry["event"]]
    assert (warning["log_level"], warning["columns"]) == ("warning", "v")


def test_nanoseconds_of_an_imported_file_are_not_lost(lake: Lake, tmp_path: Path) -> None:
    file = tmp_path / "nanos.parquet"
    pq.write_table(pa.table({"v": pa.array([1001], pa.timestamp("ns"))}), file)
    empty = pa.table({"v": pa.array([], pa.timestamp("us"))})

    with pytest.raises(PipelineStepFailed, match=f"lose data|{NANOS}"):
        load_rows(lake, tmp_path, [dlt.mark.with_file_import(str(file), "parquet", 1, hints=empty)])


def test_a_column_without_a_type_comes_into_being_with_its_first_value(lake: Lake, tmp_path: Path) -> None:
    for array in (pa.nulls(2), pa.array(["x", None]), pa.nulls(1)):
        load_rows(lake, tmp_path, pa.table({"n": range(len(array)), "v": array}))

    assert str(lake.table("bronze.typed").schema().find_type("v")) == "string"
    assert sorted(lake.duckdb("bronze.typed", "SELECT v FROM t")["v"].drop_null().to_pylist()) == ["x"]
    assert len(lake.rows("bronze.typed")) == 5


def test_empty_bytes_of_rows_go_into_a_column_of_their_own(lake: Lake, tmp_path: Path) -> None:
    """dlt marks bytes in its files, and does not know the mark of none again."""
    load_rows(lake, tmp_path, [{"n": 0, "v": b"a"}, {"n": 1, "v": b""}])

    found = lake.duckdb("bronze.typed", "SELECT v, v__v_text FROM t ORDER BY n").to_pylist()
    assert found == [{"v": b"a", "v__v_text": None}, {"v": None, "v__v_text": "\uf02b"}]
