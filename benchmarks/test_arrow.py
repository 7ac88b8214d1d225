"""Record batches of a plain dlt resource through the whole engine, beside the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import scale
from bench.results import Target
from workloads import load_batches, load_limit, open_lake

if TYPE_CHECKING:
    from pathlib import Path

GROUP = "Loads beside the limit, warm"


def test_against_the_limit(lineitem: Path, side_by_side: Any, tmp_path: Path) -> None:
    """1.2 million rows of 16 columns."""
    lake = tmp_path / "lake"
    catalog = open_lake(lake)

    result = side_by_side(
        "Record batches, 1.2 million rows",
        {"ours": lambda: load_batches(lineitem, lake), "limit": lambda: load_limit(lineitem, catalog)},
        rounds=5,
        warm=1,
        tables=lambda: {side: catalog.load_table(f"bronze.{side}") for side in ("ours", "limit")},
        targets=[Target(measure="wall", most=0.8, beside="limit")],
    )

    scale.check_at_most(result.ratio("ours", "limit", "CPU"), 1.7)


def test_memory(lineitem: Path, side_by_side: Any, child: Any, tmp_path: Path) -> None:
    """The same in a process of its own, beside one that only imports."""
    result = side_by_side(
        "Record batches, 1.2 million rows, whole process",
        {
            "ours": child("batches", lineitem, tmp_path / "lake"),
            "imports alone": child("imports", lineitem, tmp_path / "lake"),
        },
        rounds=3,
        targets=[Target(measure="peak MB", most=400)],
    )

    scale.check_at_most(result.sides["ours"].peak_mb, 400)
