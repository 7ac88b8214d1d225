"""Load REST APIs, SQL databases and files into Apache Iceberg tables.

Public names are resolved on first use, so that importing this package loads neither dlt, pyarrow,
pyiceberg nor an orchestrator.

Example:
    >>> import floe_ingest
    >>> config = floe_ingest.load_config("ingest.yaml")  # doctest: +SKIP
    >>> floe_ingest.run(config).success  # doctest: +SKIP
    True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from floe_ingest.config import DltIngestionConfig, load_config
    from floe_ingest.dataplane.scan import scan_batches
    from floe_ingest.destination.factory import iceberg
    from floe_ingest.engine import cursor_window, run
    from floe_ingest.errors import (
        CatalogAccessError,
        CatalogConfigurationError,
        CatalogConnectionError,
        CertificateError,
        CommitConflictError,
        ConfigurationError,
        IngestionError,
        InvalidConfigError,
        MergeKeyError,
        MissingPackageError,
        NotStartedError,
        NotSupportedYetError,
        PipelineConfigurationError,
        PluginConflictError,
        PluginError,
        PluginHookError,
        PluginLoadError,
        SchemaError,
        SourceAccessError,
        SourceConfigurationError,
        SourceConnectionError,
        StorageError,
    )
    from floe_ingest.integrations.floe import DltIngestionPlugin
    from floe_ingest_hookspecs import (
        Attachment,
        BulkScan,
        CatalogRequest,
        Cursor,
        CursorWindow,
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
        hookimpl,
    )
    from floe_ingest_hookspecs import __version__ as __version__

_CONTRACT = (
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
    "__version__",
    "hookimpl",
)
_ERRORS = (
    "CatalogConfigurationError",
    "CatalogAccessError",
    "CatalogConnectionError",
    "CertificateError",
    "CommitConflictError",
    "ConfigurationError",
    "IngestionError",
    "InvalidConfigError",
    "MergeKeyError",
    "MissingPackageError",
    "NotStartedError",
    "NotSupportedYetError",
    "PipelineConfigurationError",
    "PluginConflictError",
    "PluginError",
    "PluginHookError",
    "PluginLoadError",
    "SchemaError",
    "SourceAccessError",
    "SourceConfigurationError",
    "SourceConnectionError",
    "StorageError",
)
_HOME = {
    **dict.fromkeys(_CONTRACT, "floe_ingest_hookspecs"),
    **dict.fromkeys(_ERRORS, "floe_ingest.errors"),
    "DltIngestionConfig": "floe_ingest.config",
    "load_config": "floe_ingest.config",
    "cursor_window": "floe_ingest.engine",
    "run": "floe_ingest.engine",
    "iceberg": "floe_ingest.destination.factory",
    "scan_batches": "floe_ingest.dataplane.scan",
    "DltIngestionPlugin": "floe_ingest.integrations.floe",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])


__all__ = [
    "Attachment",
    "BulkScan",
    "CatalogAccessError",
    "CatalogConfigurationError",
    "CatalogConnectionError",
    "CatalogRequest",
    "CertificateError",
    "CommitConflictError",
    "ConfigurationError",
    "Cursor",
    "CursorWindow",
    "DefinitionsRequest",
    "DltIngestionConfig",
    "DltIngestionPlugin",
    "ErrorCategory",
    "FoundResource",
    "IngestionError",
    "InvalidConfigError",
    "LoadError",
    "MergeKeyError",
    "MissingPackageError",
    "MissingPart",
    "NotStartedError",
    "NotSupportedYetError",
    "PipelineConfigurationError",
    "PluginConflictError",
    "PluginError",
    "PluginHookError",
    "PluginLoadError",
    "Requirement",
    "RunContext",
    "RunResult",
    "SchemaError",
    "SourceAccessError",
    "SourceCheck",
    "SourceConfigurationError",
    "SourceConnectionError",
    "SourceRequest",
    "SourceResult",
    "SourceType",
    "StorageError",
    "TableResult",
    "__version__",
    "cursor_window",
    "hookimpl",
    "iceberg",
    "load_config",
    "run",
    "scan_batches",
]
