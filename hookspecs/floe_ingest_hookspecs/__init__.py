"""The contract between floe-ingest and its plugins: hooks and the types that pass through them.

This package imports pluggy, pydantic and the standard library alone, so that a plugin can be
imported, listed and validated without loading dlt, pyarrow or pyiceberg. Plugin authors write
``from floe_ingest import hookimpl, SourceType, ...``, which re-exports every name below.
"""

from floe_ingest_hookspecs.cursors import Cursor, CursorWindow
from floe_ingest_hookspecs.markers import PROJECT, hookimpl, hookspec
from floe_ingest_hookspecs.scans import Attachment, BulkScan
from floe_ingest_hookspecs.types import (
    CatalogRequest,
    DefinitionsRequest,
    ErrorCategory,
    FoundResource,
    LoadError,
    MissingPart,
    Requirement,
    RunContext,
    RunResult,
    SourceCheck,
    SourceRequest,
    SourceResult,
    SourceType,
    TableResult,
)

__version__ = "0.1.0"

__all__ = [
    "PROJECT",
    "Attachment",
    "BulkScan",
    "CatalogRequest",
    "Cursor",
    "CursorWindow",
    "DefinitionsRequest",
    "ErrorCategory",
    "FoundResource",
    "LoadError",
    "MissingPart",
    "Requirement",
    "RunContext",
    "RunResult",
    "SourceCheck",
    "SourceRequest",
    "SourceResult",
    "SourceType",
    "TableResult",
    "hookimpl",
    "hookspec",
]
