"""What a load costs that brings little or nothing, in a warm process, and as its table's history grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workloads import SmallLoads, open_lake

if TYPE_CHECKING:
    from pathlib import Path

_HISTORY = 200


def test_ten_rows(side_by_side: Any, process: Any, benchmark: Any, tmp_path: Path) -> None:
    """Ten rows, one snapshot, beside what it costs to import dlt at all."""
    loads = SmallLoads(tmp_path / "lake")

    works = {"load": loads.load, "import dlt": process(["python", "-c", "import dlt"])}
    result = side_by_side(9, 2, works)

    assert open_lake(loads.lake).load_table("bronze.small").scan().count() == 11 * 10
    benchmark.extra_info["ratio"] = round(result.ratio("load", "import dlt"), 3)
    assert result.ratio("load", "import dlt") <= 1.0


def test_nothing_new(side_by_side: Any, process: Any, benchmark: Any, tmp_path: Path) -> None:
    """A cursor finds nothing: no snapshot."""
    loads = SmallLoads(tmp_path / "lake", growing=False)

    works = {"load": loads.load, "import dlt": process(["python", "-c", "import dlt"])}
    result = side_by_side(9, 2, works)

    table = open_lake(loads.lake).load_table("bronze.small")
    assert table.scan().count() == 10
    assert len(table.metadata.snapshots) == 1
    benchmark.extra_info["ratio"] = round(result.ratio("load", "import dlt"), 3)
    assert result.ratio("load", "import dlt") <= 0.8


def test_history(side_by_side: Any, benchmark: Any, tmp_path: Path) -> None:
    """Ten rows into a table with many snapshots, beside one with few.

    pyiceberg copies a table's whole metadata each time a transaction looks at it, so a load would take
    longer with each load before it.
    """
    old, young = SmallLoads(tmp_path / "old"), SmallLoads(tmp_path / "young")
    old.load()
    table = open_lake(old.lake).load_table("bronze.small")
    for _ in range(_HISTORY):
        with table.transaction() as transaction, transaction.update_snapshot().fast_append():
            """An empty snapshot."""

    result = side_by_side(7, 2, {"old": old.load, "young": young.load})

    table = open_lake(old.lake).load_table("bronze.small")
    assert len(table.metadata.snapshots) == 1 + _HISTORY + 9
    benchmark.extra_info["ratio"] = round(result.ratio("old", "young"), 3)
    assert result.ratio("old", "young") <= 2.5
