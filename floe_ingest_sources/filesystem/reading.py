"""One resource: which of its files are new, brought here, and read by the reader of their format."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from floe_ingest import BulkScan
from floe_ingest_sources._resources import known_types
from floe_ingest_sources.filesystem.file_columns import FILE, file_columns
from floe_ingest_sources.filesystem.incremental import Watermark, advanced, new_files
from floe_ingest_sources.filesystem.rejected import Rejects
from floe_ingest_sources.filesystem.staging import staged
from floe_ingest_sources.filesystem.text_files import TextFiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from floe_ingest import SourceRequest
    from floe_ingest_sources.filesystem.config import FilesystemConfig
    from floe_ingest_sources.filesystem.files import Listing
    from floe_ingest_sources.filesystem.listing import FoundFile
    from floe_ingest_sources.filesystem.staging import WorkFolder


def resource_of(listing: Listing, request: SourceRequest, work: WorkFolder) -> Any:
    """Return the dlt resource of a group of files.

    Arguments:
        listing: the files.
        request: what is asked for.
        work: where copies go.
    """
    import dlt

    config: FilesystemConfig = request.config
    # Of two rows with one key, the one further down (in the later file) is the newer one.
    ordered = request.write_mode == "merge"

    def rows() -> Iterator[Any]:
        files, mark = listing.files, None
        if config.incremental == "modified":
            mark = Watermark.load(dlt.current.resource_state())
            files = new_files(listing.files, mark, listing.storage.label)
        if files:
            for item in _read(
                listing, files, config, work, lambda: str(resource.table_name), ordered=ordered
            ):
                yield replace(item, ordered=ordered) if isinstance(item, BulkScan) else item
        if config.incremental == "modified":
            after = advanced(listing.files, mark, config.lookback_seconds)
            if after is not None:
                after.store(dlt.current.resource_state())

    resource = dlt.resource(rows, name=listing.name)
    return resource


def _read(
    listing: Listing,
    files: tuple[FoundFile, ...],
    config: FilesystemConfig,
    work: WorkFolder,
    table: Any,
    *,
    ordered: bool,
) -> Iterator[Any]:
    group = staged(listing, files, work)

    def folder(purpose: str) -> Path:
        return work.empty(f"{listing.name}.{purpose}")

    rejects = Rejects(table) if config.on_bad_row == "skip" else None
    if group.format == "jsonl":
        from floe_ingest_sources.filesystem.json_arrays import as_lines

        group = as_lines(group, lambda: folder("lines"))
    elif group.format == "arrow":
        from floe_ingest_sources.filesystem.arrow_ipc import as_parquet

        group = as_parquet(group, lambda: folder("arrow"))
    if group.format == "jsonl" and config.nested == "tables":
        from floe_ingest_sources.filesystem.json_lines import rows_of

        yield from rows_of(group, rejects)
        return
    columns = file_columns(listing, files, group, config)
    read = TextFiles(
        group,
        lambda: folder("kept"),
        rejects,
        columns.names if columns else (),
        FILE if columns else None,
        known_types(),
        ordered,
    )
    items = _items(read, config)
    yield from (columns.added(items) if columns else items)


def _items(read: TextFiles, config: FilesystemConfig) -> Iterator[Any]:
    if read.group.format == "csv":
        from floe_ingest_sources.filesystem.delimited import scan_csv

        yield from scan_csv(read, config.csv)
    elif read.group.format == "jsonl":
        from floe_ingest_sources.filesystem.json_lines import scan_jsonl

        yield from scan_jsonl(read, config.nested)
    else:
        from floe_ingest_sources.filesystem.parquet import scan_parquet

        yield scan_parquet(read.group, config.reader_options, read.file_column)
