"""The ``filesystem`` source: Parquet, CSV and JSON lines of a folder, as bulk scans."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from floe_ingest import FoundResource, SourceCheck, SourceType, hookimpl
from floe_ingest_sources.filesystem.config import CsvOptions, FilesystemConfig, ReaderOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from floe_ingest import BulkScan, SourceRequest
    from floe_ingest_sources.filesystem.files import FileGroup

__all__ = ["CsvOptions", "FilesystemConfig", "ReaderOptions"]


@hookimpl
def floe_ingest_source_types() -> list[SourceType]:
    """Declare ``filesystem``."""
    return [
        SourceType(
            "filesystem",
            FilesystemConfig,
            "Parquet, CSV and JSON lines files of a folder",
            capabilities=("bulk", "check"),
        )
    ]


@hookimpl
def floe_ingest_build_source(request: SourceRequest) -> Any:
    """Build one resource for each group of files. The files are listed here, and read when iterated.

    Raises:
        SourceConfigurationError, SourceConnectionError, NotSupportedYetError: see ``files.groups_of``.
    """
    import dlt

    from floe_ingest_sources._resources import source_of
    from floe_ingest_sources.filesystem.files import groups_of

    config: FilesystemConfig = request.config
    # Of two rows with one key, the one further down (in the later file) is the newer one.
    ordered = request.write_mode == "merge"

    def resource(group: FileGroup) -> Any:
        def rows() -> Iterator[BulkScan]:
            if (scan := _scan(group, config)) is not None:
                yield replace(scan, ordered=ordered)

        return dlt.resource(rows, name=group.name)

    return source_of(request.name, [resource(group) for group in groups_of(request)])


@hookimpl
def floe_ingest_check_source(request: SourceRequest) -> SourceCheck:
    """Find the files, and read the Parquet footers and CSV headers.

    Raises:
        SourceConfigurationError, SourceConnectionError, NotSupportedYetError: see ``files.groups_of``; also
            for a file that cannot be read.
    """
    from floe_ingest_sources.filesystem.files import groups_of

    return SourceCheck(tuple(_found(group, request.config) for group in groups_of(request)))


def _scan(group: FileGroup, config: FilesystemConfig) -> BulkScan | None:
    from floe_ingest_sources.filesystem.delimited import scan_csv
    from floe_ingest_sources.filesystem.files import added_columns
    from floe_ingest_sources.filesystem.json_lines import scan_jsonl
    from floe_ingest_sources.filesystem.parquet import scan_parquet

    further = added_columns(group, config.reader_options)
    if group.format == "csv":
        return scan_csv(group, config.csv, config.reader_options, further)
    if group.format == "jsonl":
        return scan_jsonl(group, config.reader_options, further)
    return scan_parquet(group, config.reader_options)


def _found(group: FileGroup, config: FilesystemConfig) -> FoundResource:
    from floe_ingest_sources.filesystem.delimited import header_of
    from floe_ingest_sources.filesystem.files import readable
    from floe_ingest_sources.filesystem.parquet import columns_of

    count = len(group.files)
    detail = f"{count} {group.format} file{'s' if count != 1 else ''}"
    if group.format == "parquet":
        columns, rows = columns_of(group)
        return FoundResource(group.name, columns, rows, detail)
    if group.format == "csv":
        names = dict.fromkeys(name for file in group.files for name in header_of(file, config.csv))
        return FoundResource(group.name, tuple(names), None, detail)
    for file in group.files:
        readable(file)
    return FoundResource(group.name, (), None, detail)
