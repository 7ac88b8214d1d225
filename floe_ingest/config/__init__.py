"""The configuration: its models, how it is read and checked, and how its parts are resolved.

``DltIngestionConfig`` is the YAML file, floe's ``PluginRef.config`` and the argument of the Python API.
It holds ``source_config`` and ``catalog_config`` as they were written; ``resolve_source`` and
``resolve_catalog`` fill the environment in, so that secrets exist only in what they return.
"""

from floe_ingest.config.checks import (
    resolve_catalog,
    resolve_source,
    source_request,
    validate_config,
    written_fields,
)
from floe_ingest.config.fields import SchemaContract
from floe_ingest.config.json_schema import config_schema, options_of
from floe_ingest.config.loading import load_config, parse_config
from floe_ingest.config.models import (
    CursorOptions,
    DltIngestionConfig,
    MergeStrategy,
    PartitionsConfig,
    ResourceConfig,
    RetryConfig,
    SourceConfig,
    TableOptions,
)
from floe_ingest.config.starter import starter_yaml
from floe_ingest.config.transforms import PartitionField, SortField, parse_partition, parse_sort

__all__ = [
    "CursorOptions",
    "DltIngestionConfig",
    "MergeStrategy",
    "PartitionField",
    "PartitionsConfig",
    "ResourceConfig",
    "RetryConfig",
    "SchemaContract",
    "SortField",
    "SourceConfig",
    "TableOptions",
    "config_schema",
    "load_config",
    "options_of",
    "parse_config",
    "parse_partition",
    "parse_sort",
    "resolve_catalog",
    "resolve_source",
    "source_request",
    "starter_yaml",
    "validate_config",
    "written_fields",
]
