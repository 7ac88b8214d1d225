"""Finds the rows of a table from a value of one column on, and gives them to DuckDB."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from floe_ingest.dataplane.old_files import OldFiles, RowsFrom
from floe_ingest.destination.adopt import reads_by_name
from floe_ingest.destination.layout import table_columns
from floe_ingest.destination.local_files import fetch, has_equality_deletes
from floe_ingest.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import DataScan, FileScanTask, Table
    from pyiceberg.types import NestedField


@dataclass(frozen=True, slots=True)
class TableRange:
    """Rows from a value of one column on.

    Arguments: see ``RowsFrom``; ``column`` is the column's name.
    """

    column: str
    start: Any
    greater: bool
    nulls: bool

    def read(self, table: Table, columns: Sequence[str], folder: Path) -> RowsFrom | None:
        """Return these rows of a table, as far as it has the columns; None where no file has such rows.

        Data files are read by DuckDB where they are, or copied. What it would read wrongly (files with
        deletes, without field ids, with columns that were renamed since) is read by PyIceberg, file by file.

        Arguments:
            table: freshly loaded.
            columns: what is read of each row.
            folder: where copies go.

        Raises:
            SchemaError: the table has equality deletes.
        """
        from pyiceberg.schema import Schema

        if has_equality_deletes(table):
            raise SchemaError(
                f"Table {'.'.join(table.name())} has equality deletes, so that its rows at the last value of "
                f"{self.column!r} cannot be told. Compact it first, for example by Spark's "
                f"rewrite_data_files."
            )
        names = {*columns, self.column}
        fields = [field for field in table.schema().fields if field.name in names]
        scan = table.scan(row_filter=self._filter(), selected_fields=tuple(field.name for field in fields))
        paths = [path for task in scan.plan_files() if (path := _readable(table, scan, task, fields, folder))]
        if not paths:
            return None
        by_name = {column.name: column for column in table_columns(Schema(*fields))}
        wanted = tuple(column for name, column in by_name.items() if name in set(columns))
        own = by_name[self.column]
        return RowsFrom(OldFiles(tuple(paths)), wanted, own, self.start, self.greater, self.nulls)

    def _filter(self) -> BooleanExpression:
        from pyiceberg.expressions import AlwaysFalse, GreaterThanOrEqual, IsNull, LessThanOrEqual, Or

        wanted: BooleanExpression = AlwaysFalse()
        if self.start is not None:
            beyond = GreaterThanOrEqual if self.greater else LessThanOrEqual
            wanted = beyond(term=self.column, value=self.start)
        return Or(wanted, IsNull(term=self.column)) if self.nulls else wanted


def _readable(
    table: Table, scan: DataScan, task: FileScanTask, fields: Sequence[NestedField], folder: Path
) -> Path | None:
    """Return a local file with a data file's rows under the table's names; None where it has none."""
    import pyarrow.parquet as pq
    from pyiceberg.manifest import FileFormat

    if not task.delete_files and task.file.file_format == FileFormat.PARQUET:
        path = fetch(table, task.file, folder)
        in_partition = {term.source_id for term in table.specs()[task.file.spec_id].fields}
        if reads_by_name(pq.read_metadata(path), fields, in_partition):
            return path
    return _copied(table, scan, task, folder)


def _copied(table: Table, scan: DataScan, task: FileScanTask, folder: Path) -> Path | None:
    import pyarrow.parquet as pq
    from pyiceberg.io.pyarrow import ArrowScan

    reader = ArrowScan(table.metadata, table.io, scan.projection(), scan.row_filter)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid.uuid4().hex}.parquet"
    writer: pq.ParquetWriter | None = None
    try:
        for batch in reader.to_record_batches([task]):
            writer = writer or pq.ParquetWriter(path, batch.schema)
            writer.write_batch(batch)
    finally:
        if writer is not None:
            writer.close()
    return path if writer is not None else None
