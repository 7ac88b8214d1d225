"""Arrow IPC files (of both forms, file and stream) as Parquet, which then is read like any other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from floe_ingest import SourceConfigurationError
from floe_ingest_sources.filesystem.files import unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from floe_ingest_sources.filesystem.files import FileGroup

_MAGIC = b"ARROW1"


def as_parquet(group: FileGroup, work: Callable[[], Path]) -> FileGroup:
    """Return a group of Parquet files with the same rows.

    Arguments:
        group: Arrow IPC files.
        work: gives an empty folder for them.

    Raises:
        SourceConfigurationError: a file is no whole Arrow file, or has a type that Parquet has not.
        SourceConnectionError: a file cannot be read.
    """
    folder = work()
    names: dict[Path, str] = {}
    for number, file in enumerate(group.files):
        copy = folder / f"{number:06d}.parquet"
        _rewrite(file, group.shown(file), copy)
        names[copy] = group.shown(file)
    return replace(group, format="parquet", files=tuple(names), names=names)


def schema_of(stream: Any) -> pa.Schema:
    """Return the schema of an Arrow file that is open at its beginning."""
    from pyarrow import ipc

    begin = stream.read(len(_MAGIC))
    stream.seek(0)
    return (ipc.open_file if begin == _MAGIC else ipc.open_stream)(stream).schema


def _rewrite(file: Path, shown: str, copy: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with pa.memory_map(str(file)) as stream:
            schema, batches = _open(stream)
            for field in schema:
                _has_room(field, shown)
            with parquet.ParquetWriter(copy, schema, compression="zstd", compression_level=1) as writer:
                for batch in batches:
                    writer.write_batch(batch)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SourceConfigurationError(
            f"{shown} is not a whole Arrow file that Parquet can hold: {error}"
        ) from error
    except OSError as error:
        if error.errno is None:  # Arrow's own: the file ends early
            raise SourceConfigurationError(f"{shown} is not a whole Arrow file: {error}") from error
        raise unreadable(shown, error) from error


def _open(stream: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    from pyarrow import ipc

    begin = stream.read(len(_MAGIC))
    stream.seek(0)
    if begin != _MAGIC:
        reader = ipc.open_stream(stream)
        return reader.schema, iter(reader)
    file = ipc.open_file(stream)
    return file.schema, (file.get_batch(number) for number in range(file.num_record_batches))


def _has_room(field: pa.Field, shown: str) -> None:
    from pyarrow import types

    kind = field.type
    if types.is_duration(kind) or (types.is_decimal(kind) and kind.precision > 38):
        raise SourceConfigurationError(
            f"Column {field.name!r} of {shown} is {kind}, which no Iceberg column holds exactly; write it as "
            f"text or as a number"
        )
