"""Merges by this project, by bare copy-on-write of pyarrow, and by pyiceberg's upsert; and their data."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from pyiceberg.catalog import Catalog

FILES = 10
PARTS = 10
"""Partitions of a table with ``partitioned``; ``part`` is the first column after the key."""


def rows(ids: Any, version: int, count: int = 1) -> pa.Table:
    """Return rows of ten columns with these ids; ``part`` goes by ranges of ids below ``count``."""
    import numpy as np
    import pyarrow as pa

    numbers = np.asarray(ids)
    columns = {f"c{i}": (numbers * (2 * i + 7919)) % 1_000_003 for i in range(6)}
    text = pa.array([f"text {number}" for number in numbers.tolist()])
    versions = np.full(len(numbers), version)
    return pa.table({"id": numbers, "part": numbers * PARTS // count, "v": versions, **columns, "s": text})


def make_table(catalog: Catalog, name: str, count: int, *, partitioned: bool = False) -> None:
    """Make a table of ``count`` rows in ten files."""
    catalog.create_namespace_if_not_exists("bronze")
    schema = rows([0], 0).schema
    table = catalog.create_table(f"bronze.{name}", schema=schema)
    if partitioned:
        with table.update_spec() as update:
            update.add_identity("part")
    step = count // FILES
    for start in range(0, count, step):
        table.append(rows(range(start, start + step), 0, count))


def with_versions(table: pa.Table) -> pa.Table:
    """Add a column that tells versions of a row apart: ``scd2`` needs one, and dlt gives Arrow data none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = (table[name].cast(pa.string()) for name in ("id", "v"))
    return table.append_column("version", pc.binary_join_element_wise(*parts, "-"))


def merge_ours(
    lake: Path, new: Any, strategy: str = "upsert", row_version: str | None = None, **hints: Any
) -> None:
    """Merge into ``bronze.ours`` through dlt and this project's destination.

    Arguments:
        lake, new, strategy: where, what, and how.
        row_version: for ``scd2``, the column that tells the versions of a row apart.
        hints: of the resource.
    """
    import dlt

    import floe_ingest

    disposition: Any = {"disposition": "merge", "strategy": strategy}
    if row_version is not None:
        disposition["row_version_column_name"] = row_version
    resource = dlt.resource(new, name="ours", write_disposition=disposition, **{"primary_key": "id", **hints})
    dlt.pipeline(
        "merge",
        destination=floe_ingest.iceberg(
            type="sql", uri=f"sqlite:///{lake / 'catalog.db'}", warehouse=lake.as_uri()
        ),
        dataset_name="bronze",
        pipelines_dir=str(lake / "work"),
    ).run(resource)


def merge_bare(catalog: Catalog, new: pa.Table | Path, name: str = "ours") -> None:
    """Copy-on-write with pyarrow's anti-join, one file after the other, in one thread."""
    import pyarrow.parquet as pq
    from pyiceberg.io.pyarrow import _dataframe_to_data_files

    if isinstance(new, Path):
        new = pq.read_table(new)
    table = catalog.load_table(f"bronze.{name}")
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


def merge_file(
    lake: Path, file: Path, strategy: str = "upsert", hints: Mapping[str, Any] | None = None
) -> None:
    """Merge a Parquet file, batch by batch, as a source gives them: the load is not to fill the memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    batches = (pa.Table.from_batches([batch]) for batch in pq.ParquetFile(file).iter_batches(100_000))
    merge_ours(lake, batches, strategy, **(hints or {}))


def upsert(catalog: Catalog, file: Path, name: str = "ours") -> None:
    """Merge a Parquet file by pyiceberg's own ``upsert``: row filters of as many terms as there are rows."""
    import pyarrow.parquet as pq

    catalog.load_table(f"bronze.{name}").upsert(pq.read_table(file), join_cols=["id"])
