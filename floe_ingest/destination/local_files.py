"""Brings the data files of a table to where DuckDB reads them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from floe_ingest.destination.write import local_path

if TYPE_CHECKING:
    from pathlib import Path

    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

_COPY_CHUNK = 8 * 1024 * 1024


def has_equality_deletes(table: Table) -> bool:
    """Return whether a table has deletes that pyiceberg cannot tell the files of."""
    from pyiceberg.manifest import DataFileContent, ManifestContent

    snapshot = table.current_snapshot()
    return snapshot is not None and any(
        entry.data_file.content == DataFileContent.EQUALITY_DELETES
        for manifest in snapshot.manifests(table.io)
        if manifest.content == ManifestContent.DELETES
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    )


def fetch(table: Table, data_file: DataFile, scratch: Path) -> Path:
    """Return a local path of a data file; one in object storage is copied."""
    path = local_path(data_file.file_path)
    if path is not None:
        return path
    scratch.mkdir(parents=True, exist_ok=True)
    copy = scratch / f"{uuid.uuid4().hex}.parquet"
    with table.io.new_input(data_file.file_path).open() as source, copy.open("wb") as sink:
        while chunk := source.read(_COPY_CHUNK):
            sink.write(chunk)
    return copy
