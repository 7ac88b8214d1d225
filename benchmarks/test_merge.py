"""Merging random keys: this project beside bare copy-on-write by pyarrow, and beside pyiceberg's upsert."""

from __future__ import annotations

import itertools
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from workloads import catalog_properties, checksum, open_lake, peak_megabytes

import floe_ingest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyiceberg.catalog import Catalog

_FILES = 10


def rows(ids: Any, version: int) -> pa.Table:
    """Return rows of nine columns with these ids."""
    import numpy as np

    numbers = np.asarray(ids)
    columns = {f"c{i}": (numbers * (2 * i + 7919)) % 1_000_003 for i in range(6)}
    text = pa.array([f"text {number}" for number in numbers.tolist()])
    return pa.table({"id": numbers, "v": np.full(len(numbers), version), **columns, "s": text})


def make_table(catalog: Catalog, name: str, count: int) -> None:
    """Make a table of ``count`` rows in ten files."""
    catalog.create_namespace_if_not_exists("bronze")
    table = catalog.create_table(f"bronze.{name}", schema=rows([0], 0).schema)
    step = count // _FILES
    for start in range(0, count, step):
        table.append(rows(range(start, start + step), 0))


def merge_bare(catalog: Catalog, new: pa.Table) -> None:
    """Copy-on-write with pyarrow's anti-join, one file after the other, in one thread."""
    from pyiceberg.io.pyarrow import _dataframe_to_data_files

    table = catalog.load_table("bronze.limit")
    transaction = table.transaction()
    keys = new.select(["id"])
    with transaction.update_snapshot().overwrite() as overwrite:

        def add(data: pa.Table) -> None:
            arrow = data.cast(table.schema().as_arrow())
            metadata = transaction.table_metadata
            for file in _dataframe_to_data_files(metadata, arrow, table.io, uuid.uuid4()):
                overwrite.append_data_file(file)

        for task in table.scan().plan_files():
            old = pq.read_table(task.file.file_path.removeprefix("file://"), use_threads=False)
            kept = old.join(keys, "id", join_type="left anti", use_threads=False)
            if kept.num_rows < old.num_rows:
                overwrite.delete_data_file(task.file)
                if kept.num_rows:
                    add(kept.select(old.schema.names))
        add(new)
    transaction.commit_transaction()


def merge_ours(lake: Path, work: Path, new: Any) -> None:
    """Upsert through dlt and this project's destination."""
    disposition: Any = {"disposition": "merge", "strategy": "upsert"}
    dlt.pipeline(
        "merge",
        destination=floe_ingest.iceberg(**catalog_properties(lake)),
        dataset_name="bronze",
        pipelines_dir=str(work),
    ).run(dlt.resource(new, name="ours", write_disposition=disposition, primary_key="id"))


def random_rows(count: int, picked: int) -> Iterator[pa.Table]:
    """Yield loads of ``picked`` ids without a pattern; every call yields the same ones."""
    import numpy as np

    for version in itertools.count(1):
        yield rows(np.random.default_rng(version).choice(count, picked, replace=False), version)


@pytest.mark.parametrize("count", [1_000_000, 5_000_000], ids=["1M", "5M"])
def test_random_keys_against_the_limit(
    count: int, side_by_side: Callable[..., Any], benchmark: Any, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    catalog = open_lake(lake)
    for name in ("ours", "limit"):
        make_table(catalog, name, count)
    for_ours, for_limit = random_rows(count, 100_000), random_rows(count, 100_000)
    threads = pa.cpu_count()
    pa.set_cpu_count(1)
    try:
        works = {
            "ours": lambda: merge_ours(lake, tmp_path / "work", next(for_ours)),
            "limit": lambda: merge_bare(catalog, next(for_limit)),
        }
        result = side_by_side(5, 1, works)
    finally:
        pa.set_cpu_count(threads)

    assert checksum(catalog.load_table("bronze.ours")) == checksum(catalog.load_table("bronze.limit"))
    benchmark.extra_info["ratio"] = round(result.ratio("ours", "limit"), 3)
    assert result.ratio("ours", "limit") <= 0.8


def test_against_pyiceberg_upsert(side_by_side: Callable[..., Any], benchmark: Any, tmp_path: Path) -> None:
    """pyiceberg's own: two snapshots, and row filters of as many terms as there are rows."""
    lake = tmp_path / "lake"
    catalog = open_lake(lake)
    for name in ("ours", "limit"):
        make_table(catalog, name, 1_000_000)
    for_ours, for_upsert = random_rows(1_000_000, 10_000), random_rows(1_000_000, 10_000)

    def upsert() -> None:
        catalog.load_table("bronze.limit").upsert(next(for_upsert), join_cols=["id"])

    works = {"ours": lambda: merge_ours(lake, tmp_path / "work", next(for_ours)), "upsert": upsert}
    result = side_by_side(3, 1, works)

    benchmark.extra_info["ratio"] = round(result.ratio("ours", "upsert"), 3)
    assert result.ratio("ours", "upsert") <= 0.4


def test_new_keys(side_by_side: Callable[..., Any], benchmark: Any, tmp_path: Path) -> None:
    """100,000 keys beyond all others, beside ten; the target is 0.3 s over the fixed cost."""
    lake = tmp_path / "lake"
    make_table(open_lake(lake), "ours", 1_000_000)
    starts = itertools.count(2_000_000, 100_000)

    def merge(count: int) -> None:
        start = next(starts)
        merge_ours(lake, tmp_path / "work", rows(range(start, start + count), 1))

    result = side_by_side(5, 1, {"100,000 keys": lambda: merge(100_000), "ten keys": lambda: merge(10)})

    over = result.median("100,000 keys") - result.median("ten keys")
    benchmark.extra_info["over ten keys (s)"] = round(over, 3)
    assert result.ratio_of_cpu("100,000 keys", "ten keys") <= 3.5


@pytest.mark.parametrize(
    ("count", "picked", "most"),
    [(1_000_000, 100_000, 400), (5_000_000, 100_000, 450), (5_000_000, 2_000_000, 812)],
    ids=["100k into 1M", "100k into 5M", "2M into 5M"],
)
def test_memory(count: int, picked: int, most: int, benchmark: Any, tmp_path: Path) -> None:
    """Peaks of whole processes, in MB; the last is the memory limit of 512 and 300 more."""
    lake = tmp_path / "lake"
    make_table(open_lake(lake), "ours", count)
    file = tmp_path / "new.parquet"
    pq.write_table(next(random_rows(count, picked)), file, row_group_size=100_000)
    peaks: list[float] = []

    def merge() -> None:
        words = [sys.executable, __file__, str(lake), str(tmp_path / "work"), str(file)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        peaks.append(float(done.stdout.splitlines()[-1]))

    benchmark.pedantic(merge, rounds=1, iterations=1)
    benchmark.extra_info["peak MB"] = round(peaks[0])
    assert open_lake(lake).load_table("bronze.ours").scan().count() == count
    assert peaks[0] <= most


if __name__ == "__main__":
    _lake, _work, _file = (Path(word) for word in sys.argv[1:])
    # Batch by batch, as a source gives them: the load itself is not to be what fills the memory.
    merge_ours(
        _lake, _work, (pa.Table.from_batches([b]) for b in pq.ParquetFile(_file).iter_batches(100_000))
    )
    sys.stdout.write(f"{peak_megabytes()}\n")
