"""What a load costs that brings little or nothing, in a warm process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import scale
from bench.results import Target
from workloads import SmallLoads, open_lake

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick
GROUP = "Small loads"


@pytest.mark.parametrize(
    ("growing", "title", "target", "most"),
    [(True, "Ten rows, warm", 0.25, 1.0), (False, "Nothing new, warm", 0.12, 0.8)],
    ids=["ten rows", "nothing new"],
)
def test_small_load(
    growing: bool,
    title: str,
    target: float,
    most: float,
    side_by_side: Any,
    process: Any,
    tmp_path: Path,
) -> None:
    """One snapshot of ten rows, or none where the cursor finds nothing; beside importing dlt at all."""
    loads = SmallLoads(tmp_path / "lake", growing=growing)
    works = {"ours": loads.load, "import dlt": process(["python", "-c", "import dlt"])}
    result = side_by_side(title, works, rounds=9, warm=2, targets=[Target(measure="seconds", most=target)])

    table = open_lake(loads.lake).load_table("bronze.small")
    done = scale.rounds(9) + 2 if growing else 1
    assert table.scan().count() == 10 * done
    assert len(table.metadata.snapshots) == done
    scale.check_at_most(result.ratio("ours", "import dlt"), most)
