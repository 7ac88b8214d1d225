"""Adds delete files to a table, as Spark and Flink do by merge-on-read. PyIceberg writes none."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestWriterV2,
)
from pyiceberg.table.update.snapshot import UpdateSnapshot
from pyiceberg.typedef import Record

if TYPE_CHECKING:
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Table

# https://iceberg.apache.org/spec/#position-delete-files
_SCHEMA = pa.schema(
    [
        pa.field("file_path", pa.string(), nullable=False, metadata={"PARQUET:field_id": "2147483546"}),
        pa.field("pos", pa.int64(), nullable=False, metadata={"PARQUET:field_id": "2147483545"}),
    ]
)


class _DeleteManifestWriter(ManifestWriterV2):
    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


def delete_positions(table: Table, positions: list[int]) -> None:
    """Delete rows of an unpartitioned table's first data file, by a position delete file.

    Arguments:
        table: freshly loaded, of format version 2.
        positions: of rows within the file, from 0.
    """
    [data_file, *_] = [task.file for task in table.scan().plan_files()]
    rows = [{"file_path": data_file.file_path, "pos": position} for position in positions]
    _add(table, pa.Table.from_pylist(rows, schema=_SCHEMA), DataFileContent.POSITION_DELETES)


def delete_equal(table: Table, column: str, values: list[Any]) -> None:
    """Delete rows by the values of a column, by an equality delete file: arguments as above."""
    field = table.schema().as_arrow().field(column)
    rows = pa.Table.from_pylist([{column: value} for value in values], schema=pa.schema([field]))
    ids = [table.schema().find_field(column).field_id]
    _add(table, rows, DataFileContent.EQUALITY_DELETES, equality_ids=ids)


def _add(table: Table, rows: pa.Table, content: DataFileContent, **extra: Any) -> None:
    location = table.location_provider().new_data_location(f"{uuid.uuid4()}-deletes.parquet")
    with table.io.new_output(location).create() as sink:
        pq.write_table(rows, sink)
    deletes = DataFile.from_args(
        content=content,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=len(rows),
        file_size_in_bytes=len(table.io.new_input(location)),
        **extra,
    )
    deletes.spec_id = table.spec().spec_id
    transaction = table.transaction()
    producer: Any = UpdateSnapshot(transaction, table.io).fast_append()
    real = producer._manifests

    def manifests() -> list[ManifestFile]:
        output = producer.new_manifest_output()
        arguments = (table.spec(), table.schema(), output, producer.snapshot_id, "deflate")
        with _DeleteManifestWriter(*arguments) as writer:
            entry = ManifestEntry.from_args(
                status=ManifestEntryStatus.ADDED, snapshot_id=producer.snapshot_id, data_file=deletes
            )
            writer.add_entry(entry)
        return [writer.to_manifest_file(), *real()]

    producer._manifests = manifests
    with producer:
        pass
    transaction.commit_transaction()
