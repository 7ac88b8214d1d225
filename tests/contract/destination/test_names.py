"""Names that engines dislike, many columns, deep nesting: a right table, or an error that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed
from ways_in import fields_of, load_query, load_rows

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake

NAMES = {
    "select": "select",
    "order": "order",
    "null": "null",
    "true": "true",
    "date": "date",
    "_file": "_file",
    "_pos": "_pos",
    "_partition": "_partition",
    "_row_id": "_row_id",
    "filename": "filename",
    "load": "load",
    "a.b": "a_b",
    "c d": "c_d",
    "it's": "it_s",
    'say "hi"': "say_hix",
    "1st": "_1st",
    "colum:n": "colum_n",
    "é": "x",
    "{brace}": "_bracex",
    "line\nbreak": "line_break",
}
LONG_NAME = "long" * 100


@pytest.mark.parametrize("merged", [False, True], ids=["append", "merge"])
@pytest.mark.parametrize("way", ["rows", "arrow", "scan"])
def test_names_that_engines_dislike(lake: Lake, tmp_path: Path, way: str, merged: bool) -> None:
    options: dict[str, Any] = {"write_mode": "merge", "primary_key": "select"} if merged else {}
    quoted = [name.replace('"', '""') for name in NAMES]
    select = ", ".join(f'{number} AS "{name}"' for number, name in enumerate(quoted))
    for _ in range(2):
        result = load_query(lake, tmp_path, f"SELECT {select}", way, **options)
        assert result.success, result.errors

    assert list(fields_of(lake)) == list(NAMES.values())
    rows = [list(range(len(NAMES)))] * (1 if merged else 2)
    names = ", ".join(f'"{name}"' for name in NAMES.values())
    found = lake.duckdb("bronze.typed", f"SELECT {names} FROM t").to_pylist()
    assert [list(row.values()) for row in found] == rows
    assert [[row[name] for name in NAMES.values()] for row in lake.rows("bronze.typed")] == rows


DIRECT = [
    "select",
    "a.b",
    "c d",
    "żółw",
    "🐢",
    "日本",
    "1st",
    "$x",
    "%",
    "a/b",
    "a\\b",
    "{b}",
    "[b]",
]


@pytest.mark.parametrize("name", DIRECT)
def test_names_as_they_are(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """dlt's naming ``direct`` changes none of these."""
    monkeypatch.setenv("SCHEMA__NAMING", "direct")
    for number in (1, 2):
        table = pa.table({"n": [number], name: pa.array([number * 10])})
        load_rows(lake, tmp_path, table)

    assert list(fields_of(lake)) == ["n", name]
    assert sorted(row[name] for row in lake.rows("bronze.typed")) == [10, 20]
    assert sorted(lake.duckdb("bronze.typed")[name].to_pylist()) == [10, 20]


def test_names_that_differ_in_case_are_refused(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEMA__NAMING", "direct")
    with pytest.raises(
        PipelineStepFailed, match=r"'Id' and 'id' of table bronze\.typed differ in case alone"
    ):
        load_rows(lake, tmp_path, pa.table({"Id": [1], "id": [2]}))

    assert not lake.catalog().table_exists("bronze.typed")


def test_a_name_in_another_case_than_the_tables_is_refused(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEMA__NAMING", "direct")
    load_rows(lake, tmp_path, pa.table({"id": [1]}))
    with pytest.raises(
        PipelineStepFailed, match=r"'id' and 'Id' of table bronze\.typed differ in case alone"
    ):
        load_rows(lake, tmp_path, pa.table({"Id": [2]}))

    assert [row["id"] for row in lake.rows("bronze.typed")] == [1]


def test_dlts_naming_tells_arrow_columns_that_become_one(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(PipelineStepFailed, match="collision"):
        load_rows(lake, tmp_path, pa.table({"Id": [1], "id": [2]}))


def test_a_scan_tells_columns_that_become_one(lake: Lake, tmp_path: Path) -> None:
    error = load_query(lake, tmp_path, 'SELECT 1 AS "a b", 2 AS "a.b"').errors[0]

    assert "'a b' and 'a.b' of a bulk scan are both 'a_b' in the table" in error.message


def test_fields_of_a_struct_that_differ_in_case_are_refused(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(
        PipelineStepFailed, match=r"'a' and 'A' of table .in column 'v'. differ in case alone"
    ):
        load_rows(lake, tmp_path, pa.table({"v": [{"a": 1, "A": 2}]}))


def test_fields_of_a_struct_keep_their_names(lake: Lake, tmp_path: Path) -> None:
    value = {"a b": 1, "select": 2, "ż.x": 3, "1": 4, "Ab": 5, "element": 6, "key": 7, 'q"': 8}
    for _ in range(2):
        load_rows(lake, tmp_path, pa.table({"v": [[value]]}))

    assert [row["v"] for row in lake.rows("bronze.typed")] == [[value]] * 2
    assert lake.duckdb("bronze.typed")["v"].to_pylist() == [[value]] * 2


def test_a_long_name_is_cut_as_dlt_does(lake: Lake, tmp_path: Path) -> None:
    for _ in range(2):
        load_rows(lake, tmp_path, pa.table({LONG_NAME: [1]}))

    [name] = fields_of(lake)
    assert len(name) == 255
    assert [row[name] for row in lake.rows("bronze.typed")] == [1, 1]


@pytest.mark.parametrize("way", ["rows", "arrow", "scan"])
def test_a_thousand_columns(lake: Lake, tmp_path: Path, way: str) -> None:
    for count in (1000, 1001):
        select = ", ".join(f"{number} AS c{number}" for number in range(count))
        result = load_query(lake, tmp_path, f"SELECT {select}", way)
        assert result.success, result.errors

    found = lake.duckdb(
        "bronze.typed", "SELECT c0, c999, c1000 FROM t ORDER BY c1000 NULLS FIRST"
    ).to_pylist()
    assert [tuple(row.values()) for row in found] == [(0, 999, None), (0, 999, 1000)]
    assert len(fields_of(lake)) == 1001


def nested(depth: int) -> Any:
    value: Any = depth
    for level in range(depth):
        value = {f"d{level}": value}
    return value


@pytest.mark.parametrize("way", ["arrow", "scan"])
def test_structs_of_twenty_levels(lake: Lake, tmp_path: Path, way: str) -> None:
    select = "20"
    for level in range(20):
        select = f"{{'d{level}': {select}}}"
    for _ in range(2):
        assert load_query(lake, tmp_path, f"SELECT {select} AS v", way).success

    assert [row["v"] for row in lake.rows("bronze.typed")] == [nested(20)] * 2
    assert lake.duckdb("bronze.typed")["v"].to_pylist() == [nested(20)] * 2


def test_rows_of_twenty_levels(lake: Lake, tmp_path: Path) -> None:
    load_rows(lake, tmp_path, [{"v": nested(20)}])

    [(name, kind)] = fields_of(lake).items()
    assert (name.count("__"), kind) == (20, "long")
    assert [row[name] for row in lake.rows("bronze.typed")] == [20]


def test_lists_of_twenty_levels_become_tables(lake: Lake, tmp_path: Path) -> None:
    value: Any = 20
    for _ in range(20):
        value = [{"d": value}]
    load_rows(lake, tmp_path, [{"id": 1, "v": value}])

    tables = [name for _, name in lake.catalog().list_tables("bronze") if name.startswith("typed")]
    assert len(tables) == 21
    deepest = max(tables, key=lambda name: (name.count("__"), len(name)))
    [row] = [row for name in tables for row in lake.rows(f"bronze.{name}") if row.get("d") == 20]
    assert row["d"] == 20
    assert deepest


def test_an_empty_mapping_has_no_column_until_it_has_a_value(lake: Lake, tmp_path: Path) -> None:
    load_rows(lake, tmp_path, [{"id": 1, "e": {}, "l": []}])
    assert list(fields_of(lake)) == ["id"]

    load_rows(lake, tmp_path, [{"id": 2, "e": {"a": 1}}])
    found = lake.duckdb("bronze.typed", "SELECT id, e__a FROM t ORDER BY id").to_pylist()
    assert [tuple(row.values()) for row in found] == [(1, None), (2, 1)]


@pytest.mark.parametrize("naming", ["snake_case", "direct"])
def test_an_arrow_column_without_a_name_is_refused(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, naming: str
) -> None:
    """dlt would drop it, with its values."""
    monkeypatch.setenv("SCHEMA__NAMING", naming)
    with pytest.raises(PipelineStepFailed, match="has a column '' that dlt gives no place in the table"):
        load_rows(lake, tmp_path, pa.table({"": [1], "n": [2]}))

    assert not lake.catalog().table_exists("bronze.typed")
