"""Merges by keys of every type that Iceberg orders, by every strategy, against a model in plain Python."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa
import pytest
from conftest import Lake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ways_in import load_query

import floe_ingest
from floe_ingest.destination.catalogs import close_catalogs

if TYPE_CHECKING:
    from pathlib import Path

Found = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Key:
    """Keys of one type.

    Arguments:
        arrow: how they come.
        values: in ascending order.
        zoneless: whether they are times without a zone.
    """

    arrow: pa.DataType
    values: list[Any]
    zoneless: bool = False


_TIMES = [
    datetime(1, 1, 1),
    datetime(1969, 12, 31, 23, 59, 59, 999_999),
    datetime(1970, 1, 1),
    datetime(9999, 12, 31, 23, 59, 59, 999_999),
]
KEYS = {
    "text": Key(pa.string(), ["", "A", "a", "x" * 40, "x" * 40 + "y", "ż", "\U0001f9ca" * 20]),
    "text that programs dislike": Key(
        pa.string(),
        sorted(
            ["\t", "'", '"', "%", "\\", "a\u0000b", "e\u0301", "\u00e9", "\u202e", "\uffff", "\U0010ffff"]
        ),
    ),
    "uuid": Key(pa.string(), [str(uuid.UUID(int=n)) for n in (0, 1, 2**127 - 1, 2**127, 2**128 - 1)]),
    "binary": Key(pa.binary(), [b"", b"\x00", b"\x7f" * 16, b"\x80" * 16, b"\xff" * 30, b"\xff" * 31]),
    "fixed": Key(pa.binary(4), [b"\x00" * 4, b"\x7f" * 4, b"\x80" * 4, b"\xff" * 4]),
    "decimal of 9 digits": Key(
        pa.decimal128(9, 2), [Decimal("-1.50"), Decimal("0.00"), Decimal("9999999.99")]
    ),
    "decimal of 18 digits": Key(
        pa.decimal128(18, 4), [Decimal("-1.5"), Decimal("0.0001"), Decimal("9" * 14)]
    ),
    "decimal of 38 digits": Key(
        pa.decimal128(38, 4), [Decimal("-1.5"), Decimal("0.0001"), Decimal("9" * 34)]
    ),
    "timestamp": Key(pa.timestamp("us"), _TIMES, zoneless=True),
    "timestamptz": Key(pa.timestamp("us", tz="UTC"), [at.replace(tzinfo=UTC) for at in _TIMES]),
    "date": Key(pa.date32(), [date(1, 1, 1), date(1970, 1, 1), date(9999, 12, 31)]),
    "time": Key(pa.time64("us"), [time(0, 0), time(12, 30, 0, 1), time(23, 59, 59, 999_999)]),
    "double": Key(pa.float64(), [float("-inf"), -1.5, 0.0, 5e-324, 1e300, float("inf")]),
    "float": Key(pa.float32(), [-1.5, 0.0, 1.5]),
    "int": Key(pa.int32(), [-(2**31), 0, 2**31 - 1]),
    "long": Key(pa.int64(), [-(2**63), 0, 2**63 - 1]),
    "bool": Key(pa.bool_(), [False, True]),
}
STRATEGIES = ["upsert", "delete-insert", "delete-insert by merge key", "insert-only", "scd2"]


class Shop:
    """A pipeline into one table, and a model of that table."""

    def __init__(self, lake: Lake, folder: Path, key: Key, strategy: str) -> None:
        self._lake = lake
        self._folder = folder
        self._key = key
        self._strategy = strategy
        self._active: dict[Any, int] = {}
        self._ended: list[tuple[Any, int]] = []

    def merge(self, keys: list[Any], version: int) -> None:
        """Merge rows with these keys, in the table and in the model."""
        rows: dict[str, Any] = {
            "id": pa.array(keys, self._key.arrow),
            "v": pa.array([version] * len(keys)),
            "row": pa.array([f"{key!r} {version}" for key in keys]),
        }
        disposition: dict[str, Any] = {"disposition": "merge", "strategy": self._strategy.split(" ")[0]}
        by = "primary_key"
        if self._strategy == "scd2":
            disposition["row_version_column_name"] = "row"
        if self._strategy in ("scd2", "delete-insert by merge key"):
            by = "merge_key"
        columns: Any = {"id": {"timezone": False}} if self._key.zoneless else None
        resource = dlt.resource(
            pa.table(rows), name="items", write_disposition=disposition, columns=columns, **{by: "id"}
        )
        pipeline = dlt.pipeline(
            "shop",
            destination=floe_ingest.iceberg(**self._lake.properties),
            dataset_name="bronze",
            pipelines_dir=str(self._folder / "work"),
        )
        pipeline.run(resource)
        if self._strategy == "insert-only":
            self._active = dict.fromkeys(keys, version) | self._active
            return
        if self._strategy == "scd2":
            self._ended += [(key, v) for key, v in self._active.items() if key in keys and v != version]
        self._active |= dict.fromkeys(keys, version)

    def check(self) -> None:
        """Compare the table, as two readers give it, with the model."""
        ended = [(key, version, True) for key, version in self._ended]
        expected = sorted([*((key, version, False) for key, version in self._active.items()), *ended])
        for rows in (self._lake.duckdb("bronze.items").to_pylist(), self._lake.rows("bronze.items")):
            found = [(_plain(row["id"], self._key), row["v"], bool(row.get("_dlt_valid_to"))) for row in rows]
            assert sorted(found) == expected


def _table_with(lake: Lake, kind: str, name: str, transform: str = "void") -> None:
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.transforms import parse_transform
    from pyiceberg.types import LongType, NestedField

    schema = Schema(NestedField(1, "id", kind, required=True), NestedField(2, "v", LongType()))
    spec = PartitionSpec(PartitionField(1, 1000, parse_transform(transform), "part"))
    lake.catalog().create_namespace("bronze")
    lake.catalog().create_table(name, schema, partition_spec=spec)


def _plain(value: Any, key: Key) -> Any:
    if isinstance(value, uuid.UUID) and key.arrow == pa.string():
        return str(value)
    return value


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_every_type(lake: Lake, tmp_path: Path, kind: str, strategy: str) -> None:
    key = KEYS[kind]
    shop = Shop(lake, tmp_path, key, strategy)

    shop.merge(key.values[:2], 1)
    shop.merge(key.values[1:], 2)
    shop.merge([*key.values[:1], *key.values[-1:]], 3)

    shop.check()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_uuids_of_another_engines_table(lake: Lake, tmp_path: Path, strategy: str) -> None:
    """Spark and Trino have uuid columns; loads bring such values as text."""
    _table_with(lake, "uuid", "bronze.items")
    key = KEYS["uuid"]
    shop = Shop(lake, tmp_path, key, strategy)

    shop.merge(key.values[:2], 1)
    shop.merge(key.values[1:], 2)
    shop.merge([*key.values[:1], *key.values[-1:]], 3)

    shop.check()
    assert str(lake.table("bronze.items").schema().find_type("id")) == "uuid"


@pytest.mark.parametrize("way", ["rows", "arrow", "scan"])
@pytest.mark.parametrize("transform", ["identity", "bucket[4]", "void"])
def test_uuids_by_every_way_in(lake: Lake, tmp_path: Path, way: str, transform: str) -> None:
    _table_with(lake, "uuid", "bronze.typed", transform)
    merge = {"write_mode": "merge", "primary_key": "id"}
    ids = [str(uuid.UUID(int=n)) for n in range(3)]

    for version, (first, second) in enumerate([ids[:2], ids[1:]]):
        select = f"SELECT unnest(['{first}', '{second}']) AS id, {version}::BIGINT AS v"
        result = load_query(lake, tmp_path, select, way, **merge)
        assert result.success, result.errors
    refused = load_query(lake, tmp_path, "SELECT 'no uuid' AS id, 3::BIGINT AS v", way, **merge)

    rows = lake.duckdb("bronze.typed", "SELECT id::VARCHAR AS id, v FROM t ORDER BY id").to_pylist()
    assert [tuple(row.values()) for row in rows] == [(ids[0], 0), (ids[1], 1), (ids[2], 1)]
    assert "Could not convert string 'no uuid'" in refused.errors[0].message


@pytest.mark.parametrize("way", ["rows", "arrow", "scan"])
def test_a_column_that_is_not_written_is_refused(lake: Lake, tmp_path: Path, way: str) -> None:
    _table_with(lake, "fixed[16]", "bronze.typed")

    refused = load_query(lake, tmp_path, "SELECT 3::BIGINT AS v", way)

    assert "Column 'id' of the table is fixed[16], which cannot be written here" in refused.errors[0].message
    assert not lake.stored_files("bronze.typed")


@given(keys=st.lists(st.text(min_size=1), min_size=2, max_size=6, unique=True))
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_text_keys_of_any_characters(tmp_path_factory: pytest.TempPathFactory, keys: list[str]) -> None:
    folder = tmp_path_factory.mktemp("text")
    shop = Shop(Lake(folder / "lake"), folder, KEYS["text"], "upsert")

    shop.merge(keys, 1)
    shop.merge(keys[1:], 2)

    shop.check()
    close_catalogs()
