"""Parquet into Iceberg: this project beside the limit, one thread of pyarrow streamed into pyiceberg."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import pytest
from workloads import checksum, files_config, load_dlt, load_limit, load_ours, open_lake

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_ROUNDS = 5


@pytest.mark.parametrize("rows", [300_000, 0], ids=["300k", "1.2M"])
def test_against_the_limit(
    rows: int, lineitem_slice: Callable[[int], Path], side_by_side: Any, benchmark: Any, tmp_path: Path
) -> None:
    file = lineitem_slice(rows)
    lake = tmp_path / "lake"
    catalog = open_lake(lake)
    config = files_config(file, lake)

    works = {"ours": lambda: load_ours(config), "limit": lambda: load_limit(file, catalog)}
    result = side_by_side(_ROUNDS, 1, works)

    assert checksum(catalog.load_table("bronze.ours")) == checksum(catalog.load_table("bronze.limit"))
    benchmark.extra_info["ratio"] = round(result.ratio("ours", "limit"), 3)
    benchmark.extra_info["ratio of best"] = round(result.ratio_of_best("ours", "limit"), 3)
    # Taken in as it is; the target for 1.2 million rows is 0.3. Fewer rows feel the fixed cost more.
    assert result.ratio("ours", "limit") <= (0.5 if not rows else 1.0)


@pytest.mark.parametrize("rows", [300_000, 0], ids=["300k", "1.2M"])
def test_memory(
    rows: int, lineitem_slice: Callable[[int], Path], child: Any, benchmark: Any, tmp_path: Path
) -> None:
    """Peaks of whole processes, with what a process holds that only imports."""
    file = lineitem_slice(rows)
    peaks: dict[str, list[float]] = {"ours": [], "limit": [], "imports": []}

    def measure() -> None:
        for kind, taken in peaks.items():
            taken.append(child(kind, file, tmp_path / f"{kind}-{len(taken)}").peak_mb)

    benchmark.pedantic(measure, rounds=3, iterations=1)
    medians = {kind: statistics.median(taken) for kind, taken in peaks.items()}
    benchmark.extra_info.update({f"{kind} (peak MB)": round(peak) for kind, peak in medians.items()})
    assert medians["ours"] <= 1.2 * medians["limit"]
    assert medians["ours"] <= 400


def test_against_dlt_alone(
    lineitem_slice: Callable[[int], Path], side_by_side: Any, benchmark: Any, tmp_path: Path
) -> None:
    """dlt's own reader of files and its own Iceberg tables; few rows, since each becomes a Python object."""
    file = lineitem_slice(20_000)
    lake = tmp_path / "lake"
    open_lake(lake)
    config = files_config(file, lake)

    works = {"ours": lambda: load_ours(config), "dlt": lambda: load_dlt(file, tmp_path / "dlt")}
    result = side_by_side(3, 1, works)

    benchmark.extra_info["ratio"] = round(result.ratio("ours", "dlt"), 3)
    assert result.ratio("ours", "dlt") <= 0.8
