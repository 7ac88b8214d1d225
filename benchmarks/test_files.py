"""Text files against the limit, and many small files.

The *limit* is one thread of pyarrow's CSV or JSON reader, streamed into pyiceberg's ``append``. CPU seconds
are kept beside wall seconds: on a machine whose cores are busy, they tell more.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from workloads import (
    files_config,
    load_ours,
    load_text_limit,
    open_lake,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_MANY = 100_000


@pytest.fixture(scope="session")
def lineitem_text(lineitem: Path) -> Callable[[str], Path]:
    """Give ``lineitem`` as a text file; made once, and kept."""

    def of(kind: str) -> Path:
        import duckdb

        file = lineitem.with_suffix(f".{kind}")
        if not file.exists():
            unfinished = file.with_suffix(".unfinished")
            options = "FORMAT csv, HEADER" if kind == "csv" else "FORMAT json"
            with duckdb.connect() as connection:
                connection.read_parquet(str(lineitem)).create_view("lineitem")
                connection.execute(f"COPY lineitem TO '{unfinished}' ({options})")
            unfinished.replace(file)
        return file

    return of


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_text_against_the_limit(
    kind: str, lineitem_text: Callable[[str], Path], side_by_side: Any, benchmark: Any, tmp_path: Path
) -> None:
    """1.2 million rows of 16 columns; both tables hold the same rows."""
    import time

    file = lineitem_text(kind)
    lake = tmp_path / "lake"
    catalog = open_lake(lake)
    config = files_config(file, lake)
    cpu: dict[str, list[float]] = {"ours": [], "limit": []}

    def counted(name: str, work: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            started = time.process_time()
            work()
            cpu[name].append(time.process_time() - started)

        return run

    works = {
        "ours": counted("ours", lambda: load_ours(config)),
        "limit": counted("limit", lambda: load_text_limit(file, catalog)),
    }
    result = side_by_side(5, 1, works)

    ours, limit = (catalog.load_table(f"bronze.{name}") for name in ("ours", "limit"))
    assert ours.scan().count() == limit.scan().count() == 6 * 1_199_969
    medians = {name: statistics.median(seconds[1:]) for name, seconds in cpu.items()}
    benchmark.extra_info["ratio"] = round(result.ratio("ours", "limit"), 3)
    benchmark.extra_info["ratio of the best rounds"] = round(result.ratio_of_best("ours", "limit"), 3)
    benchmark.extra_info.update({f"{name} (CPU s)": round(value, 2) for name, value in medians.items()})
    # One core for each of ours and the limit: all that ours may take more is what its other threads take.
    assert medians["ours"] <= 2 * medians["limit"]


def test_many_small_files(benchmark: Any, tmp_path: Path) -> None:
    """100,000 files: listing them, and telling that none is new, in a process of its own."""
    folder = tmp_path / "many"
    for group in range(100):
        inside = folder / f"{group:03}"
        inside.mkdir(parents=True)
        for number in range(_MANY // 100):
            (inside / f"{number:04}.csv").write_text(f"id\n{number}\n")
    taken: list[dict[str, float]] = []

    def measure() -> None:
        command = [
            sys.executable,
            str(Path(__file__).with_name("workloads.py")),
            "listing",
            str(folder),
            str(tmp_path),
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        taken.append(json.loads(done.stdout.splitlines()[-1]))

    benchmark.pedantic(measure, rounds=3, iterations=1)
    benchmark.extra_info["peak MB"] = round(max(one["peak_mb"] for one in taken))
    benchmark.extra_info["listing and decision (median s)"] = statistics.median(
        one["seconds"] for one in taken
    )
    assert max(one["peak_mb"] for one in taken) <= 300
