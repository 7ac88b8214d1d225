"""What a small load costs beside 10, 100 and 1,000 other tables of its namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from workloads import SmallLoads, open_lake

if TYPE_CHECKING:
    from pathlib import Path


def test_other_tables(side_by_side: Any, benchmark: Any, tmp_path: Path) -> None:
    """The target: it makes no difference."""
    loads = {}
    for count in (1_000, 100, 10):
        small = SmallLoads(tmp_path / str(count))
        small.load()
        catalog = open_lake(small.lake)
        for number in range(count - 1):
            catalog.create_table(f"bronze.other_{number:04}", schema=pa.schema([("id", pa.int64())]))
        loads[f"{count} tables"] = small.load

    result = side_by_side(7, 1, loads)

    benchmark.extra_info["ratio"] = round(result.ratio("1000 tables", "10 tables"), 3)
    assert result.ratio("1000 tables", "10 tables") <= 1.3
