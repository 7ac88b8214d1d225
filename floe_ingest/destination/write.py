"""The write step: the Parquet files of a load become data files of a table. No catalog, no commit."""

from __future__ import annotations

import os
import shutil
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from floe_ingest.dataplane.connection import DataPlaneSettings, connect
from floe_ingest.dataplane.copy import PARALLEL_FROM_BYTES, FileOptions, WrittenFile, rows_of
from floe_ingest.dataplane.partitions import FileLayout, copy_by_partition
from floe_ingest.destination.adopt import Place, check_years, describe, fits, is_laid_out, partition_of
from floe_ingest.destination.foreign import take_in
from floe_ingest.destination.layout import table_columns
from floe_ingest.destination.spec import order_of, partition_record, terms_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow.parquet as pq
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table.sorting import SortOrder

_SMALL_FILE = 16 * 1024 * 1024
_LEAST_GROUP_ROWS = 50_000
_COPY_CHUNK = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class WriteTask:
    """What to write, and for which table. It pickles, so any thread, process or machine can run it.

    Arguments:
        inputs: local Parquet files, in the order of the load.
        schema: the table's schema, field ids final.
        table_location: the table's root.
        table_properties: codec, file size, metrics, location provider.
        io: how storage is reached; holds credentials, so it is not shown.
        spec: the table's partition spec; None for none.
        sort_order: the table's sort order; None for none.
        scratch: a local folder for files on their way.
        settings: how much of the machine DuckDB may take.
        renames: columns of the inputs that have another name in the table, or None where they are left out.
    """

    inputs: tuple[Path, ...]
    schema: Schema
    table_location: str
    table_properties: Mapping[str, str]
    io: FileIO = field(repr=False)
    spec: PartitionSpec | None = None
    sort_order: SortOrder | None = None
    scratch: Path = field(default_factory=Path.cwd)
    settings: DataPlaneSettings = field(default_factory=DataPlaneSettings)
    renames: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def layout(self) -> FileLayout:
        """How rows are spread over files, and ordered in them."""
        return FileLayout(
            terms_of(self.spec, self.schema) if self.spec is not None else (),
            order_of(self.sort_order, self.schema) if self.sort_order is not None else (),
        )


@dataclass(frozen=True, slots=True)
class WrittenData:
    """Data files that stand in the table's storage and that no snapshot knows yet.

    Arguments:
        data_files: with location and statistics.
        rows: of the load, over all files.
        bytes: over all files.
        replaced: data files of the table that these take the place of.
    """

    data_files: tuple[DataFile, ...]
    rows: int
    bytes: int
    replaced: tuple[DataFile, ...] = ()


def write_data_files(task: WriteTask) -> WrittenData:
    """Adopt or rewrite a load's files, put them into the table's storage, and describe them.

    Files that fit are adopted as they are; the others, and small ones, are rewritten together on all
    cores within the memory limit.

    Raises:
        duckdb.Error: a value does not fit its column.
        SchemaError: a date or timestamp is outside the years 1 to 9999.
        OSError: storage refused or is full. Files of this call are removed.
    """
    adopted, rest = _split(task)
    return publish_files(task, [*adopted, *_rewrite(task, rest)])


def publish_files(task: WriteTask, local: Sequence[WrittenFile]) -> WrittenData:
    """Put local Parquet files, which fit the table, into its storage, and describe them.

    Raises:
        OSError: storage refused or is full. Files of this call are removed.
    """
    io = task.io
    done: list[DataFile] = []
    try:
        done.extend(_publish(io, task, file) for file in local)
    except BaseException:
        remove_data_files(io, done)
        raise
    return WrittenData(
        tuple(done), sum(file.record_count for file in done), sum(file.file_size_in_bytes for file in done)
    )


def remove_data_files(io: FileIO, data_files: Sequence[DataFile]) -> None:
    """Remove data files that no snapshot will ever reference."""
    for data_file in data_files:
        try:
            io.delete(data_file.file_path)
        except FileNotFoundError:
            continue


def _split(task: WriteTask) -> tuple[list[WrittenFile], list[Path]]:
    """Return the inputs that become data files as they are, and those to rewrite.

    Small files of one partition are rewritten into one where there are more of them than threads would
    write, or where others are rewritten anyway.
    """
    import pyarrow.parquet as pq

    adopted: list[WrittenFile] = []
    if task.layout.order or task.renames:
        return adopted, list(task.inputs)
    options = file_options(task.table_properties)
    cores = os.cpu_count() or 1
    rest = []
    originals: dict[Path, Path] = {}
    for path in task.inputs:
        footer = pq.read_metadata(path)
        if not fits(footer, task.schema) and _has_large_groups(footer):
            # dlt knows no field ids, so its files get theirs here.
            if (found := take_in(path, task.schema, task.scratch)) is None:
                rest.append(path)
                continue
            taken, _ = found
            originals[taken] = path
            path, footer = taken, pq.read_metadata(taken)  # noqa: PLW2901
        partition = None
        if fits(footer, task.schema) and is_laid_out(footer, task.table_properties, options.target_bytes):
            partition = partition_of(footer, task.spec, task.schema) if task.spec is not None else ()
        if partition is None:
            rest.append(path)
        else:
            adopted.append(WrittenFile(path, footer.num_rows, path.stat().st_size, partition=partition))
    small = [file for file in adopted if file.bytes < min(_SMALL_FILE, options.target_bytes // 4)]
    in_partition = Counter(file.partition for file in small)
    combined = {file.path for file in small if rest or in_partition[file.partition] > cores}
    anew = {originals.get(path, path) for path in (*rest, *combined)}
    return (
        [file for file in adopted if file.path not in combined],
        [path for path in task.inputs if path in anew],
    )


def _has_large_groups(footer: pq.FileMetaData) -> bool:
    """Return whether a file's row groups are as large as readers want them: dlt cuts rows into small ones."""
    return bool(footer.num_row_groups <= 1 or footer.num_rows >= footer.num_row_groups * _LEAST_GROUP_ROWS)


def _rewrite(task: WriteTask, inputs: Sequence[Path]) -> list[WrittenFile]:
    if not inputs:
        return []
    total = sum(path.stat().st_size for path in inputs)
    layout, columns = task.layout, table_columns(task.schema)
    options = file_options(task.table_properties, parallel=total >= PARALLEL_FROM_BYTES)
    with connect(task.settings, ordered=bool(layout.order)) as connection:
        select = rows_of(connection, inputs, columns, task.renames)
        return copy_by_partition(connection, select, columns, layout, task.scratch, options)


def file_options(properties: Mapping[str, str], *, parallel: bool = True) -> FileOptions:
    """Return how a table's data files are written, by its properties."""
    level = properties.get("write.parquet.compression-level")
    defaults = FileOptions()
    return FileOptions(
        compression=properties.get("write.parquet.compression-codec", defaults.compression),
        compression_level=int(level) if level else None,
        target_bytes=int(properties.get("write.target-file-size-bytes", defaults.target_bytes)),
        parallel=parallel,
    )


def _publish(io: FileIO, task: WriteTask, file: WrittenFile) -> DataFile:
    import pyarrow.parquet as pq
    from pyiceberg.table.locations import load_location_provider

    provider = load_location_provider(task.table_location, dict(task.table_properties))
    record = partition_record(file.partition)
    folder = f"{task.spec.partition_to_path(record, task.schema)}/" if task.spec and file.partition else ""
    location = provider.new_data_location(f"{folder}{uuid.uuid4()}.parquet")
    path = file.path
    metadata = pq.read_metadata(path)
    check_years(metadata)
    size = path.stat().st_size
    target = local_path(location)
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        _link_or_copy(path, target)
    else:
        with path.open("rb") as source, io.new_output(location).create() as sink:
            while chunk := source.read(_COPY_CHUNK):
                sink.write(chunk)
    place = Place(
        location,
        size,
        record,
        task.spec.spec_id if task.spec is not None else 0,
        task.sort_order.order_id if task.layout.order and task.sort_order is not None else None,
    )
    return describe(metadata, task.schema, dict(task.table_properties), place)


def _link_or_copy(path: Path, target: Path) -> None:
    """Give a file a second name, which costs nothing, or copy it where that crosses file systems.

    Its time becomes that of now: a package may wait for days, and old files of no snapshot are cleaned up.
    """
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)
    os.utime(target)


def local_path(location: str) -> Path | None:
    """Return the path of a file on this machine's own storage, None for any other."""
    # Not unquoted: PyIceberg takes the path of a file location as it stands.
    if location.startswith("file:"):
        return Path(location.removeprefix("file://").removeprefix("file:"))
    return None if "://" in location else Path(location)
