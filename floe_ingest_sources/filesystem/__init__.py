"""The ``filesystem`` source: files of a folder, local or remote, as bulk scans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from floe_ingest import SourceCheck, SourceType, hookimpl
from floe_ingest_sources.filesystem.config import CsvOptions, FilesystemConfig, ReaderOptions

if TYPE_CHECKING:
    from floe_ingest import SourceRequest

__all__ = ["CsvOptions", "FilesystemConfig", "ReaderOptions"]


@hookimpl
def floe_ingest_source_types() -> list[SourceType]:
    """Declare ``filesystem``."""
    return [
        SourceType(
            "filesystem",
            FilesystemConfig,
            "Parquet, CSV, JSON and Arrow files of a folder, local or remote",
            capabilities=("bulk", "incremental", "check"),
        )
    ]


@hookimpl
def floe_ingest_build_source(request: SourceRequest) -> Any:
    """Build one resource for each group of files. The files are listed here, and read when iterated.

    Raises:
        SourceConfigurationError, SourceConnectionError, MissingPackageError: see ``files.listings_of``.
    """
    from floe_ingest_sources._resources import source_of
    from floe_ingest_sources.filesystem.files import listings_of
    from floe_ingest_sources.filesystem.reading import resource_of
    from floe_ingest_sources.filesystem.staging import WorkFolder

    work = WorkFolder(request)
    return source_of(request.name, [resource_of(listing, request, work) for listing in listings_of(request)])


@hookimpl
def floe_ingest_check_source(request: SourceRequest) -> SourceCheck:
    """List the files, and read the beginnings of some of them.

    Raises:
        SourceConfigurationError, SourceConnectionError, MissingPackageError: see ``files.listings_of``; also
            for a file that cannot be read.
    """
    from floe_ingest_sources.filesystem.files import listings_of
    from floe_ingest_sources.filesystem.probing import found_in

    return SourceCheck(tuple(found_in(listing, request.config) for listing in listings_of(request)))
