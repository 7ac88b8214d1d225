"""Takes Parquet files of unknown origin in as they are: the table's field ids go into a copy's footer."""

from __future__ import annotations

import io
import json
import shutil
import uuid
from pathlib import PurePath
from typing import TYPE_CHECKING

from floe_ingest.destination.adopt import Place, describe, fits
from floe_ingest.destination.footer import MAGIC, Footer, FooterError, NamePath, closed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyiceberg.schema import Schema
    from pyiceberg.types import IcebergType, NestedField

_LIST = "floe-ingest.files"
LANDING = "landing"
"""The folder below the destination's ``scratch_folder`` in which files wait for their load package."""


def take_in(path: Path, schema: Schema, folder: Path) -> tuple[Path, int] | None:
    """Copy a Parquet file, with field ids in its footer; no page is decoded.

    A copy, since a file that others own may change, and a data file never may.

    Arguments:
        path: a local file.
        schema: the table's schema, with its field ids.
        folder: gets the copy; made if missing.

    Returns:
        The copy and its number of rows; None for a file that would not read right as a data file of the
        table: it has to be rewritten.

    Raises:
        OSError: the file cannot be read, or the folder cannot be written.
    """
    before = path.stat()
    try:
        footer = Footer.read(path)
        changed = closed(footer.with_field_ids(dict(_paths(schema))))
    except FooterError:
        return None
    metadata = _readable(changed)
    if metadata is None or not fits(metadata, schema) or not _is_whole(metadata, footer.start):
        return None
    if not _can_be_described(metadata, schema):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / f"{uuid.uuid4()}.parquet"
    shutil.copyfile(path, copy)
    with copy.open("r+b") as end:
        end.truncate(footer.start)
        end.seek(footer.start)
        end.write(changed)
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        copy.unlink()
        return None
    return copy, int(metadata.num_rows)


def write_list(folder: Path, files: Sequence[Path], columns: pa.Schema) -> Path:
    """Write a Parquet file without rows that stands for other files of its folder; return its path.

    dlt looks into each Parquet file and writes those anew whose columns are not exactly those that it
    expects, in order and in whether they may be NULL. A list has these columns, so dlt lets it pass.

    Arguments:
        folder: a landing folder, which keeps the files until they are committed.
        files: in the order of the load.
        columns: of the table, as dlt knows them.
    """
    import pyarrow.parquet as pq

    path = folder / f"{uuid.uuid4()}.parquet"
    names = json.dumps([file.name for file in files])
    pq.write_table(columns.empty_table().replace_schema_metadata({_LIST: names}), path)
    return path


def listed(path: Path, folder: Path | None) -> list[Path]:
    """Return the files that a list stands for; for any other Parquet file, that file alone.

    Arguments:
        path: a file of a load.
        folder: the landing folder; None where there is none, and so no list.
    """
    import pyarrow.parquet as pq

    if folder is None:
        return [path]
    metadata = pq.read_metadata(path)
    names = (metadata.metadata or {}).get(_LIST.encode())
    if metadata.num_rows or names is None:
        return [path]
    # By its last part alone: metadata that came from elsewhere cannot name files of other folders.
    return [folder / PurePath(name).name for name in json.loads(names)]


def _paths(schema: Schema) -> Iterator[tuple[NamePath, int]]:
    """Yield the field ids of all columns, by the names under which Iceberg has them in Parquet."""
    for field in schema.fields:
        yield from _below((field.name,), field)


def _below(path: NamePath, field: NestedField) -> Iterator[tuple[NamePath, int]]:
    from pyiceberg.types import ListType, MapType, StructType

    yield path, field.field_id
    kind: IcebergType = field.field_type
    if isinstance(kind, StructType):
        for child in kind.fields:
            yield from _below((*path, child.name), child)
    elif isinstance(kind, ListType):
        yield from _below((*path, "list", "element"), kind.element_field)
    elif isinstance(kind, MapType):
        yield from _below((*path, "key_value", "key"), kind.key_field)
        yield from _below((*path, "key_value", "value"), kind.value_field)


def _readable(footer: bytes) -> pq.FileMetaData | None:
    """Return a footer as pyarrow reads it, from a file that has nothing else."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(io.BytesIO(MAGIC + footer))
    except (pa.ArrowException, OSError):
        return None


def _is_whole(metadata: pq.FileMetaData, end: int) -> bool:
    """Return whether all pages lie before ``end``, the offset of the footer."""
    for group in range(metadata.num_row_groups):
        for position in range(metadata.num_columns):
            column = metadata.row_group(group).column(position)
            starts = [column.data_page_offset]
            if column.has_dictionary_page and column.dictionary_page_offset:
                starts.append(column.dictionary_page_offset)
            if min(starts) < len(MAGIC) or min(starts) + column.total_compressed_size > end:
                return False
    return True


def _can_be_described(metadata: pq.FileMetaData, schema: Schema) -> bool:
    """Return whether the statistics are of the kinds that pyiceberg expects for the schema's types.

    Dates and timestamps must have some, by which those are found that Iceberg's readers cannot show.
    """
    from pyiceberg.typedef import Record

    for group in range(metadata.num_row_groups):
        for position in range(metadata.num_columns):
            statistics = metadata.row_group(group).column(position).statistics
            if metadata.schema.column(position).logical_type.type in ("DATE", "TIMESTAMP") and (
                statistics is None or not (statistics.has_min_max or statistics.null_count)
            ):
                return False
    try:
        describe(metadata, schema, {}, Place("", 0, Record()))
    except (ValueError, TypeError, OverflowError):  # a text cut in the middle of a character is a ValueError
        return False
    return True
