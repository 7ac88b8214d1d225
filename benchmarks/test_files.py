"""Files into Iceberg beside the limit: one thread of pyarrow's reader, streamed into pyiceberg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import scale
from bench.results import Target
from drivers import COLUMNS
from workloads import files_config, load_limit, load_ours, load_text_limit, open_lake

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.quick
GROUP = "Loads beside the limit, warm"


@pytest.mark.parametrize("rows", [300_000, 0], ids=["300k", "1.2M"])
def test_parquet(rows: int, lineitem_slice: Callable[[int], Path], side_by_side: Any, tmp_path: Path) -> None:
    """Taken in as it is; fewer rows feel the fixed cost more."""
    file = lineitem_slice(rows and scale.size(rows, 15_000))
    lake = tmp_path / "lake"
    catalog = open_lake(lake)
    config = files_config(file, lake)

    result = side_by_side(
        f"Parquet, {'300,000' if rows else '1.2 million'} rows",
        {"ours": lambda: load_ours(config), "limit": lambda: load_limit(file, catalog)},
        rounds=5,
        warm=1,
        tables=lambda: {side: catalog.load_table(f"bronze.{side}") for side in ("ours", "limit")},
        targets=[Target(measure="wall", most=1.3 if rows else 0.3, beside="limit")],
    )

    scale.check_at_most(result.ratio("ours", "limit"), 1.3 if rows else 0.5)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_text(
    kind: str, lineitem: Path, as_text: Callable[[Path, str], Path], side_by_side: Any, tmp_path: Path
) -> None:
    """1.2 million rows of 16 columns; the two choose different types for the same values."""
    file = as_text(lineitem, kind)
    lake = tmp_path / "lake"
    catalog = open_lake(lake)
    config = files_config(file, lake)

    result = side_by_side(
        f"{'CSV' if kind == 'csv' else 'JSON lines'}, 1.2 million rows",
        {"ours": lambda: load_ours(config), "limit": lambda: load_text_limit(file, catalog)},
        rounds=5,
        warm=1,
        tables=lambda: {side: catalog.load_table(f"bronze.{side}") for side in ("ours", "limit")},
        columns=COLUMNS,
        targets=[Target(measure="wall", most=0.6, beside="limit")],
    )

    # One core for each of ours and the limit: all that ours may take more is what its other threads take.
    scale.check_at_most(result.ratio("ours", "limit", "CPU"), 2)


def test_many_small_files(side_by_side: Any, child: Any, tmp_path: Path) -> None:
    """100,000 files: listing them, and telling that none is new, in a process of its own."""
    folder, count = tmp_path / "many", scale.size(100_000, 2_000)
    for group in range(100):
        inside = folder / f"{group:03}"
        inside.mkdir(parents=True)
        for number in range(count // 100):
            (inside / f"{number:04}.csv").write_text(f"id\n{number}\n")

    result = side_by_side(
        "100,000 small files: listing, and which are new",
        {"ours": child("listing", folder, tmp_path)},
        rounds=5,
        targets=[Target(measure="seconds", most=10), Target(measure="peak MB", most=300)],
    )

    assert result.sides["ours"].peak_mb <= 300
