"""Filters by each type find what is there and skip what is not: the statistics of data files are honest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa
import pytest
from pyiceberg.expressions import EqualTo, GreaterThan

import floe_ingest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Lake

ROWS = 1000
WIDE = Context(prec=38)
NOON = datetime(1969, 12, 31, 12)


@dataclass(frozen=True)
class Ordered:
    """A type, the value of each number (in order of the numbers), and how DuckDB writes a value."""

    kind: pa.DataType
    value: Callable[[int], Any]
    sql: Callable[[Any], str] = str


def quoted(kind: str) -> Callable[[Any], str]:
    return lambda value: f"CAST('{value}' AS {kind})"


def blob(value: bytes) -> str:
    return f"unhex('{value.hex()}')"


TYPES = {
    "int": Ordered(pa.int32(), lambda i: i - ROWS),
    "long": Ordered(pa.int64(), lambda i: (i - ROWS) * 2**40),
    "unsigned long": Ordered(pa.uint64(), lambda i: 2**63 + i),
    "float": Ordered(pa.float32(), lambda i: math.nan if i % 7 == 4 else (i - ROWS) / 4),
    "double": Ordered(pa.float64(), lambda i: math.nan if i % 7 == 4 else (i - ROWS) / 4),
    "decimal": Ordered(pa.decimal128(9, 2), lambda i: Decimal(i - ROWS).scaleb(-2)),
    "wide decimal": Ordered(
        pa.decimal128(38, 2),
        lambda i: Decimal(f"{i - ROWS}E+30").quantize(Decimal("1.00"), context=WIDE),
        quoted("DECIMAL(38,2)"),
    ),
    "string": Ordered(
        pa.string(), lambda i: f"{i:05}żółw 🐢 beyond the sixteenth character {i:05}", quoted("TEXT")
    ),
    "binary": Ordered(pa.binary(), lambda i: i.to_bytes(2, "big") + b"\xff" * 20, blob),
    "date": Ordered(pa.date32(), lambda i: date(1969, 1, 1) + timedelta(days=i), quoted("DATE")),
    "time": Ordered(pa.time64("us"), lambda i: time(i // 200, 0, 0, i % 200), quoted("TIME")),
    "timestamp": Ordered(pa.timestamp("us"), lambda i: NOON + timedelta(minutes=i), quoted("TIMESTAMP")),
    "timestamptz": Ordered(
        pa.timestamp("us", tz="UTC"),
        lambda i: NOON.replace(tzinfo=UTC) + timedelta(minutes=i),
        quoted("TIMESTAMPTZ"),
    ),
}


@pytest.mark.parametrize("merged", [False, True], ids=["append", "merge"])
@pytest.mark.parametrize("name", TYPES)
def test_a_filter_hits_and_misses(lake: Lake, tmp_path: Path, name: str, merged: bool) -> None:
    """NaN and NULL are among the values. A load is a file; the second one holds the greater values."""
    kind = TYPES[name]
    pipeline = dlt.pipeline(
        "pruning",
        destination=floe_ingest.iceberg(**lake.properties),
        dataset_name="bronze",
        pipelines_dir=str(tmp_path / "work"),
    )
    hints: Any = {"primary_key": "n", "write_disposition": {"disposition": "merge", "strategy": "upsert"}}
    for start in (0, ROWS):
        numbers = range(start, start + ROWS)
        values = [None if i % 11 == 5 else kind.value(i) for i in numbers]
        table = pa.table({"n": numbers, "v": pa.array(values, kind.kind)})
        columns: Any = {"v": {"timezone": False}} if name == "timestamp" else None
        pipeline.run(dlt.resource(table, name="items", columns=columns, **(hints if merged else {})))

    table = lake.table("bronze.items")
    hit, miss = kind.value(ROWS + 500), kind.value(2 * ROWS + 490)
    found = table.scan(row_filter=EqualTo("v", hit))
    assert found.to_arrow()["n"].to_pylist() == [ROWS + 500]
    assert table.scan(row_filter=EqualTo("v", miss)).to_arrow().num_rows == 0
    above = table.scan(row_filter=GreaterThan("v", kind.value(ROWS + 900))).to_arrow()["n"].to_pylist()
    greater = [i for i in range(ROWS + 901, 2 * ROWS) if i % 11 != 5 and kind.value(i) == kind.value(i)]
    assert [n for n in sorted(above) if kind.value(n) == kind.value(n)] == greater
    if name not in ("float", "double"):  # whose files have no bounds, because of the NaN
        assert len(list(found.plan_files())) == 1
        assert list(table.scan(row_filter=EqualTo("v", miss)).plan_files()) == []
    for value, expected in ((hit, [ROWS + 500]), (miss, [])):
        select = f"SELECT n FROM t WHERE v = {kind.sql(value)}"
        assert lake.duckdb("bronze.items", select)["n"].to_pylist() == expected
