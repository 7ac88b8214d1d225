"""What the same work takes as rows, tables, columns, snapshots and data files grow."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import scale
from bench.measuring import Fresh
from workloads import SmallLoads, open_lake

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyiceberg.table import Table

GROUP = "Growth"


def anew(lake: Path, command: Callable[[], Any]) -> Fresh:
    """Return a workload before which its lake is removed."""

    def make() -> Any:
        shutil.rmtree(lake, ignore_errors=True)
        return command()

    return Fresh(make)


@pytest.mark.parametrize(
    "options",
    [
        {"write_mode": "append"},
        {"write_mode": "append", "partition_by": ["month(l_shipdate)"]},
        {"write_mode": "merge", "primary_key": ["l_orderkey", "l_linenumber"]},
    ],
    ids=["append", "partitioned append", "merge"],
)
def test_rows(
    options: dict[str, Any],
    lineitem_slice: Callable[[int], Path],
    growth: Any,
    child: Any,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """Record batches of 16 columns; 5 million rows may take 1.5 times the memory of 1 million."""
    part = scale.size(100_000, 5_000)
    many = scale.size(1_000_000, 50_000)
    name = str(request.node.callspec.id)
    # 20 million rows in partitions would take more than a minute.
    most = 5 if name == "partitioned append" else 20
    sizes = [(part, 1), (many, 1), (many, 5), (many, most)] if scale.IS_FULL else [(part, 1), (many, 1)]
    works = {
        rows * times: anew(
            tmp_path / f"lake-{rows * times}",
            lambda rows=rows, times=times: child(
                "batches",
                lineitem_slice(rows),
                tmp_path / f"lake-{rows * times}",
                json.dumps({"times": times, **options}),
            ),
        )
        for rows, times in dict.fromkeys(sizes)
    }

    result = growth(f"Rows, {name}", "rows", works)

    peaks = {point.size: point.peak_mb for point in result.points}
    if scale.IS_FULL:
        scale.check_at_most(peaks[5 * many] / peaks[many], 1.5)

    for size in works:
        table = open_lake(tmp_path / f"lake-{size}").load_table("bronze.ours")
        assert table.scan().count() == (min(size, many) if "merge" in name else size)


def test_tables(growth: Any, child: Any, tmp_path: Path) -> None:
    """Tables of ten rows in one SQLite database, loaded by one run."""
    works = {}
    for count in scale.sizes(1, 10, 100, 1_000):
        file, lake = tmp_path / f"{count}.db", tmp_path / f"tables-{count}"
        with closing(sqlite3.connect(file)) as database, database:
            for number in range(count):
                database.execute(f"CREATE TABLE t{number:04} (id INTEGER PRIMARY KEY, amount INTEGER)")
                values = [(row, row) for row in range(10)]
                database.executemany(f"INSERT INTO t{number:04} VALUES (?, ?)", values)
        works[count] = anew(lake, lambda file=file, lake=lake: child("tables", file, lake))

    growth("Tables of one run", "tables", works)

    for count in works:
        assert len(open_lake(tmp_path / f"tables-{count}").list_tables("bronze")) >= count


def test_columns(growth: Any, child: Any, tmp_path: Path) -> None:
    """100,000 rows of whole numbers in Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = scale.size(100_000, 5_000)
    works = {}
    for count in scale.sizes(1, 10, 100):
        file, lake = tmp_path / f"{count}.parquet", tmp_path / f"columns-{count}"
        pq.write_table(pa.table({f"c{n}": pa.array(range(n, rows + n)) for n in range(count)}), file)
        works[count] = anew(lake, lambda file=file, lake=lake: child("ours", file, lake))

    growth("Columns", "columns", works, rounds=3)

    for count in works:
        table = open_lake(tmp_path / f"columns-{count}").load_table("bronze.ours")
        assert (table.scan().count(), len(table.schema().fields)) == (rows, count)


def test_snapshots(growth: Any, child: Any, tmp_path: Path) -> None:
    """Ten rows into a table that has many snapshots already: its metadata names them all."""
    works = {}
    for count in scale.sizes(1, 100, 1_000, 10_000):
        lake = tmp_path / f"snapshots-{count}"
        small = SmallLoads(lake)
        small.load()
        give_snapshots(lake, count)
        works[count] = child("small", tmp_path, lake)

    growth("Snapshots of the table", "snapshots", works, most_memory=0.5)

    for count in works:
        table = open_lake(tmp_path / f"snapshots-{count}").load_table("bronze.small")
        assert len(table.metadata.snapshots) >= count


def test_data_files(growth: Any, child: Any, tmp_path: Path) -> None:
    """Ten rows into a table that has many data files already."""
    works, before = {}, {}
    for count in scale.sizes(1, 100, 1_000, 10_000):
        lake = tmp_path / f"files-{count}"
        small = SmallLoads(lake)
        small.load()
        table = open_lake(lake).load_table("bronze.small")
        give_files(table, count - 1)
        before[count] = len(list(table.refresh().scan().plan_files()))
        works[count] = child("small", tmp_path, lake)

    growth("Data files of the table", "data files", works)

    assert before == {count: count for count in works}


def test_other_tables(growth: Any, tmp_path: Path) -> None:
    """Ten rows into one table of a namespace that has many; the target: it makes no difference."""
    import pyarrow as pa

    works = {}
    for count in scale.sizes(1, 10, 100, 1_000):
        small = SmallLoads(tmp_path / str(count))
        small.load()
        catalog = open_lake(small.lake)
        for number in range(count - 1):
            catalog.create_table(f"bronze.other_{number:04}", schema=pa.schema([("id", pa.int64())]))
        works[count] = small.load

    growth("Other tables of the namespace", "tables", works, rounds=5, most=0.1, most_memory=0.1)


def give_snapshots(lake: Path, count: int) -> None:
    """Write the newest snapshot of a table ``count`` times into its metadata, each as parent of the next."""
    from pathlib import Path
    from urllib.parse import urlparse

    catalog = open_lake(lake)
    table = catalog.load_table("bronze.small")
    old = Path(urlparse(table.metadata_location).path)
    metadata = json.loads(old.read_text(encoding="utf-8"))
    newest = metadata["snapshots"][-1]
    earlier, parent = [], None
    for number in range(count - len(metadata["snapshots"])):
        moment = newest["timestamp-ms"] - count + number
        made = {**newest, "snapshot-id": number + 1, "timestamp-ms": moment, "sequence-number": 0}
        if parent is not None:
            made["parent-snapshot-id"] = parent
        earlier.append(made)
        parent = number + 1
    log = [{"snapshot-id": one["snapshot-id"], "timestamp-ms": one["timestamp-ms"]} for one in earlier]
    metadata["snapshots"] = earlier + metadata["snapshots"]
    metadata["snapshot-log"] = log + metadata.get("snapshot-log", [])
    new = old.with_name(f"99999-{time.time_ns():032x}.metadata.json")
    new.write_text(json.dumps(metadata), encoding="utf-8")
    catalog.drop_table("bronze.small")
    catalog.register_table("bronze.small", new.as_uri())


def give_files(table: Table, count: int) -> None:
    """Add ``count`` data files of one row to a table, in one commit."""
    import os
    from pathlib import Path
    from urllib.parse import urlparse

    import pyarrow as pa
    import pyarrow.parquet as pq

    if not count:
        return
    folder = Path(urlparse(table.location()).path) / "data"
    plain = pa.schema([field.with_metadata(None) for field in table.schema().as_arrow()])
    row = table.scan(limit=1).to_arrow().cast(plain)
    pq.write_table(row, folder / "many-0.parquet")
    for number in range(1, count):
        os.link(folder / "many-0.parquet", folder / f"many-{number}.parquet")
    table.add_files([str(folder / f"many-{n}.parquet") for n in range(count)], check_duplicate_files=False)
