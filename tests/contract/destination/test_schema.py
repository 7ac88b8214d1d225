"""Schemas that change: columns and fields come, types widen, and what does not fit is kept beside it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed
from ways_in import fields_of, load_query, load_rows

from floe_ingest import InvalidConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake

WAYS = ["arrow", "scan", "batches"]


def load(lake: Lake, folder: Path, way: str, select: str, **options: Any) -> None:
    result = load_query(lake, folder, select, way, **options)
    assert result.success, result.errors


def values(lake: Lake, select: str = "SELECT v FROM t ORDER BY n") -> list[Any]:
    table = lake.duckdb("bronze.typed", select)
    return table["v"].to_pylist() if table.column_names == ["v"] else table.to_pylist()


# What the table has, what comes, what the table has then, and what is read.
EVOLVES: dict[str, tuple[str, str, str, list[Any]]] = {
    "a field of a struct": (
        "{'a': 1}",
        "{'a': 2, 'b': 'x'}",
        "struct<a: int, b: string>",
        [{"a": 1, "b": None}, {"a": 2, "b": "x"}],
    ),
    "a field that is missing": (
        "{'a': 1, 'b': 'x'}",
        "{'b': 'y'}",
        "struct<a: int, b: string>",
        [{"a": 1, "b": "x"}, {"a": None, "b": "y"}],
    ),
    "a field of structs in a list": (
        "[{'a': 1}]",
        "[{'a': 2, 'b': 'x'}]",
        "list<struct<a: int, b: string>>",
        [[{"a": 1, "b": None}], [{"a": 2, "b": "x"}]],
    ),
    "a field of structs in a map": (
        "MAP {'k': {'a': 1}}",
        "MAP {'k': {'a': 2, 'b': 'x'}}",
        "map<string, struct<a: int, b: string>>",
        [[("k", {"a": 1, "b": None})], [("k", {"a": 2, "b": "x"})]],
    ),
    "a field of a struct in a struct": (
        "{'s': {'a': 1}}",
        "{'s': {'a': 2, 'b': 'x'}, 't': 1}",
        "struct<s: struct<a: int, b: string>, t: int>",
        [{"s": {"a": 1, "b": None}, "t": None}, {"s": {"a": 2, "b": "x"}, "t": 1}],
    ),
    "int to long": ("1::INTEGER", "1099511627776", "long", [1, 2**40]),
    "long from int": ("1099511627776", "1::INTEGER", "long", [2**40, 1]),
    "float to double": ("1.5::FLOAT", "0.1::DOUBLE", "double", [1.5, 0.1]),
    "double from float": ("0.1::DOUBLE", "1.5::FLOAT", "double", [0.1, 1.5]),
    "decimal to more digits": (
        "1.5::DECIMAL(5,2)",
        "2.5::DECIMAL(12,2)",
        "decimal(12, 2)",
        [Decimal("1.50"), Decimal("2.50")],
    ),
    "decimal from a smaller scale": (
        "1.5::DECIMAL(12,4)",
        "2.5::DECIMAL(5,2)",
        "decimal(12, 4)",
        [Decimal("1.5"), Decimal("2.5")],
    ),
    "int to long in a struct": (
        "{'a': 1::INTEGER}",
        "{'a': 1099511627776}",
        "struct<a: long>",
        [{"a": 1}, {"a": 2**40}],
    ),
    "int to long in a list": ("[1::INTEGER]", "[1099511627776]", "list<long>", [[1], [2**40]]),
    "int to long in a map": (
        "MAP {'k': 1::INTEGER}",
        "MAP {'k': 1099511627776}",
        "map<string, long>",
        [[("k", 1)], [("k", 2**40)]],
    ),
    "float to double in structs in a list": (
        "[{'a': 1.5::FLOAT}]",
        "[{'a': 0.1::DOUBLE}]",
        "list<struct<a: double>>",
        [[{"a": 1.5}], [{"a": 0.1}]],
    ),
}


@pytest.mark.dealt
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", EVOLVES)
def test_the_table_follows(lake: Lake, tmp_path: Path, name: str, way: str) -> None:
    old, new, kind, expected = EVOLVES[name]

    load(lake, tmp_path, way, f"SELECT 1 AS n, {old} AS v")
    load(lake, tmp_path, way, f"SELECT 2 AS n, {new} AS v")

    assert fields_of(lake) == {"n": "int", "v": kind}
    assert values(lake) == expected
    assert [row["v"] for row in sorted(lake.rows("bronze.typed"), key=lambda row: row["n"])] == expected
    assert lake.snapshots("bronze.typed") == 2


@pytest.mark.parametrize("way", ["rows", *WAYS])
def test_columns_come_and_stay(lake: Lake, tmp_path: Path, way: str) -> None:
    for columns in ("1 AS n, 'a' AS v", "2 AS n, 'b' AS added", "3 AS n, 'c' AS v"):
        load(lake, tmp_path, way, f"SELECT {columns}")

    assert list(fields_of(lake)) == ["n", "v", "added"]
    found = lake.duckdb("bronze.typed", "SELECT v, added FROM t ORDER BY n").to_pylist()
    assert found == [{"v": "a", "added": None}, {"v": None, "added": "b"}, {"v": "c", "added": None}]


UTC_2024 = datetime(2024, 1, 1, tzinfo=UTC)
# What the table has, what comes, the variant's name and type, and the value in it.
VARIANTS: dict[str, tuple[str, str, str, str, Any]] = {
    "long, text": ("1::BIGINT", "'x'", "v__v_text", "string", "x"),
    "text, long": ("'x'", "2::BIGINT", "v__v_bigint", "long", 2),
    "long, double": ("1::BIGINT", "1.5::DOUBLE", "v__v_double", "double", 1.5),
    "date, timestamp": (
        "DATE '2024-01-01'",
        "TIMESTAMPTZ '2024-01-01 00:00:00Z'",
        "v__v_timestamp",
        "timestamptz",
        UTC_2024,
    ),
    "timestamp, date": (
        "TIMESTAMPTZ '2024-01-01 00:00:00Z'",
        "DATE '2024-01-01'",
        "v__v_date",
        "date",
        date(2024, 1, 1),
    ),
    "decimal, another scale": (
        "1.5::DECIMAL(5,2)",
        "1.2345::DECIMAL(12,4)",
        "v__v_decimal",
        "decimal(12, 4)",
        Decimal("1.2345"),
    ),
    "binary, text": ("'x'::BLOB", "'x'", "v__v_text", "string", "x"),
    "bool, text": ("true", "'yes'", "v__v_text", "string", "yes"),
    "struct, text": ("{'a': 1}", "'x'", "v__v_text", "string", "x"),
    "text, struct": ("'x'", "{'a': 1}", "v__v_json", "struct<a: int>", {"a": 1}),
    "struct, struct with another type": (
        "{'a': 1}",
        "{'a': 'x'}",
        "v__v_json",
        "struct<a: string>",
        {"a": "x"},
    ),
    "list, list of another type": ("[1]", "['x']", "v__v_json", "list<string>", ["x"]),
}


@pytest.mark.dealt
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", VARIANTS)
def test_a_type_that_does_not_fit_goes_into_a_variant(
    lake: Lake, tmp_path: Path, name: str, way: str
) -> None:
    old, new, variant, kind, value = VARIANTS[name]

    for n, expression in enumerate((old, new, old, new)):
        load(lake, tmp_path, way, f"SELECT {n} AS n, {expression} AS v")

    assert {**fields_of(lake), "v": ""} == {"n": "int", "v": "", variant: kind}
    found = lake.duckdb("bronze.typed", f"SELECT v, {variant} FROM t ORDER BY n").to_pylist()
    assert [row[variant] for row in found] == [None, value, None, value]
    assert [row["v"] is None for row in found] == [False, True, False, True]


def test_a_variant_is_dlts_own(lake: Lake, tmp_path: Path) -> None:
    """Rows, Arrow and scans of one table put text into the same column."""
    for rows in ([{"n": 0, "v": 1}], [{"n": 1, "v": "rows"}]):
        load_rows(lake, tmp_path, rows)
    load_rows(lake, tmp_path, pa.table({"n": [2], "v": ["arrow"]}))
    load(lake, tmp_path, "scan", "SELECT 3::BIGINT AS n, 'scan' AS v")

    assert fields_of(lake) == {"n": "long", "v": "long", "v__v_text": "string"}
    assert values(lake, "SELECT v__v_text AS v FROM t ORDER BY n") == [None, "rows", "arrow", "scan"]


@pytest.mark.parametrize("way", WAYS)
def test_a_merge_with_a_variant(lake: Lake, tmp_path: Path, way: str) -> None:
    merge = {"write_mode": "merge", "primary_key": "n"}
    load(lake, tmp_path, way, "SELECT unnest([1, 2]) AS n, 5 AS v", **merge)
    load(lake, tmp_path, way, "SELECT unnest([2, 3]) AS n, 'x' AS v", **merge)

    found = lake.duckdb("bronze.typed", "SELECT n, v, v__v_text AS x FROM t ORDER BY n").to_pylist()
    assert [tuple(row.values()) for row in found] == [(1, 5, None), (2, None, "x"), (3, None, "x")]


@pytest.mark.parametrize("way", WAYS)
def test_a_key_of_another_type_is_refused(lake: Lake, tmp_path: Path, way: str) -> None:
    merge = {"write_mode": "merge", "primary_key": "n"}
    load(lake, tmp_path, way, "SELECT 1 AS n, 5 AS v", **merge)
    before = lake.table("bronze.typed").metadata_location

    result = load_query(lake, tmp_path, "SELECT 'one' AS n, 5 AS v", way, **merge)

    assert "n: table has int, load has string" in result.errors[0].message
    assert lake.table("bronze.typed").metadata_location == before
    load(lake, tmp_path, way, "SELECT 2 AS n, 5 AS v", **merge)
    assert values(lake, "SELECT n AS v FROM t ORDER BY n") == [1, 2]


def test_required_columns_of_another_writer_are_relaxed(lake: Lake, tmp_path: Path) -> None:
    from pyiceberg.schema import Schema
    from pyiceberg.types import LongType, NestedField, StringType

    catalog = lake.catalog()
    catalog.create_namespace("bronze")
    schema = Schema(
        NestedField(1, "n", LongType(), required=True), NestedField(2, "v", StringType(), required=True)
    )
    catalog.create_table("bronze.typed", schema)

    load_rows(lake, tmp_path, pa.table({"n": [1], "v": ["x"]}))
    load_rows(lake, tmp_path, pa.table({"n": [2], "v": pa.array([None], pa.string())}))
    load_rows(lake, tmp_path, pa.table({"n": [3]}))

    assert values(lake) == ["x", None, None]
    assert not any(field.required for field in lake.table("bronze.typed").schema().fields)


def test_one_load_with_two_types_of_a_column_is_refused(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(PipelineStepFailed, match="Schema at index 1 was different"):
        load_rows(lake, tmp_path, [pa.table({"v": [1]}), pa.table({"v": ["x"]})])


@pytest.mark.dealt
@pytest.mark.parametrize("way", ["rows", *WAYS])
@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ("1 AS n, 'x' AS v, 5 AS added", ["column  old  new", "added   new"]),
        ("'one' AS n, 'x' AS v", ["column  old", "n       "]),
        ("'one' AS n, 'x' AS v, 5 AS added", ["column  old", "n  "]),
    ],
    ids=["column", "type", "both"],
)
def test_freeze_refuses_with_the_difference_as_a_table(
    lake: Lake, tmp_path: Path, way: str, change: str, lines: list[str]
) -> None:
    load(lake, tmp_path, way, "SELECT 1 AS n, 'x' AS v", schema_contract="freeze")
    before = lake.table("bronze.typed").metadata_location
    files = sorted(lake.folder.rglob("*.parquet"))

    result = load_query(lake, tmp_path, f"SELECT {change}", way, schema_contract="freeze")

    message = result.errors[0].message
    assert result.errors[0].type == "SchemaError"
    assert "Table" in message
    assert "is frozen" in message
    for line in lines:
        assert any(shown.strip().startswith(line.strip()) for shown in message.splitlines()), message
    assert lake.table("bronze.typed").metadata_location == before
    assert sorted(lake.folder.rglob("*.parquet")) == files
    assert not list(tmp_path.glob(".floe-ingest/**/*.parquet"))
    load(lake, tmp_path, way, "SELECT 2 AS n, 'y' AS v", schema_contract="freeze")
    assert values(lake) == ["x", "y"]


# What the table has, what comes, and the lines that say what is refused.
NESTED: dict[str, tuple[str, str, list[str]]] = {
    "a field of a struct": ("{'a': 1}", "{'a': 2, 'b': 'x'}", ["v.b new string"]),
    "structs in a list": ("[{'a': 1}]", "[{'a': 2, 'b': 'x'}]", ["v.element.b new string"]),
    "structs in a map": ("MAP {'k': {'a': 1}}", "MAP {'k': {'a': 2, 'b': 'x'}}", ["v.value.b new string"]),
    "a struct in a struct": ("{'s': {'a': 1}}", "{'s': {'a': 2, 'b': 'x'}}", ["v.s.b new string"]),
    "a wider type": ("{'a': 1::INTEGER}", "{'a': 1099511627776}", ["v.a int long"]),
    "another type": ("{'a': 1::INTEGER}", "{'a': 'x'}", ["v.a int string"]),
    "a field in the place of another": ("{'a': 1}", "{'b': 'x'}", ["v.b new string"]),
    "several": ("{'a': 1, 'c': 1}", "{'a': 'x', 'b': 'x', 'c': 1}", ["v.a int string", "v.b new string"]),
}


@pytest.mark.dealt
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NESTED)
def test_freeze_looks_into_nested_columns(lake: Lake, tmp_path: Path, name: str, way: str) -> None:
    old, new, lines = NESTED[name]
    load(lake, tmp_path, way, f"SELECT 1 AS n, {old} AS v", schema_contract="freeze")
    before = lake.table("bronze.typed").metadata_location
    files = lake.stored_files("bronze.typed")

    result = load_query(lake, tmp_path, f"SELECT 2 AS n, {new} AS v", way, schema_contract="freeze")

    assert result.errors[0].type == "SchemaError"
    told = [" ".join(line.split()) for line in result.errors[0].message.splitlines()]
    assert told[1 : len(lines) + 2] == ["column old new", *lines]
    assert told[len(lines) + 2].startswith("Change the source back")
    assert lake.table("bronze.typed").metadata_location == before
    assert lake.stored_files("bronze.typed") == files
    load(lake, tmp_path, way, f"SELECT 3 AS n, {old} AS v", schema_contract="freeze")
    assert values(lake, "SELECT n AS v FROM t ORDER BY n") == [1, 3]


@pytest.mark.dealt
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        ("{'a': 1}", "{'a': 2, 'b': 'x'}", {"a": 2}),
        ("[{'a': 1}]", "[{'a': 2, 'b': 'x'}]", [{"a": 2}]),
        ("MAP {'k': {'a': 1}}", "MAP {'k': {'a': 2, 'b': 'x'}}", [("k", {"a": 2})]),
        ("{'s': {'a': 1}, 't': 1}", "{'s': {'a': 2, 'b': 'x'}, 't': 2}", {"s": {"a": 2}, "t": 2}),
        ("{'a': 1}", "{'b': 'x'}", None),
    ],
    ids=["struct", "list", "map", "struct in a struct", "nothing left"],
)
@pytest.mark.parametrize("mode", ["append", "merge"])
def test_discard_value_leaves_out_nested_fields(
    lake: Lake, tmp_path: Path, way: str, old: str, new: str, kept: Any, mode: str
) -> None:
    options: dict[str, Any] = {"schema_contract": "discard_value"}
    if mode == "merge":
        options |= {"write_mode": "merge", "primary_key": "n"}
    load(lake, tmp_path, way, f"SELECT 1 AS n, {old} AS v", **options)
    kind = fields_of(lake)
    load(lake, tmp_path, way, f"SELECT 2 AS n, {new} AS v", **options)

    assert fields_of(lake) == kind
    assert values(lake)[1] == kept
    assert sorted(lake.rows("bronze.typed"), key=lambda row: row["n"])[1]["v"] == kept


@pytest.mark.parametrize("way", ["rows", *WAYS])
def test_a_contract_in_parts(lake: Lake, tmp_path: Path, way: str) -> None:
    """New columns are left out, and types may change."""
    parts = {"columns": "discard_value", "data_type": "evolve"}
    load(lake, tmp_path, way, "SELECT 1 AS n, 5 AS v", schema_contract=parts)
    load(lake, tmp_path, way, "SELECT 2 AS n, 'x' AS v, 5 AS added", schema_contract=parts)

    assert list(fields_of(lake)) == ["n", "v", "v__v_text"]
    assert values(lake, "SELECT v__v_text AS v FROM t ORDER BY n") == [None, "x"]


@pytest.mark.parametrize("way", ["rows", *WAYS])
def test_frozen_types_let_columns_come(lake: Lake, tmp_path: Path, way: str) -> None:
    parts = {"data_type": "freeze"}
    load(lake, tmp_path, way, "SELECT 1 AS n, 5 AS v", schema_contract=parts)
    load(lake, tmp_path, way, "SELECT 2 AS n, 6 AS v, 'x' AS added", schema_contract=parts)
    refused = load_query(lake, tmp_path, "SELECT 3 AS n, 'x' AS v", way, schema_contract=parts)

    assert "is frozen" in refused.errors[0].message
    assert list(fields_of(lake)) == ["n", "v", "added"]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"column": "freeze"}, "'column' is not a part of a contract"),
        ({"columns": "frozen"}, "'frozen' is not a mode of a contract"),
    ],
)
def test_a_misspelt_contract_is_found_before_anything_moves(
    lake: Lake, tmp_path: Path, written: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        load_query(lake, tmp_path, "SELECT 1 AS n", schema_contract=written)
