"""Dagster: an asset for each table that a configuration loads.

Importing this package does not import dagster; the names below do, on first use. They need the extra
``dagster``.

Example:
    >>> from floe_ingest.integrations.dagster import definitions
    >>> defs = definitions("ingest.yaml")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from floe_ingest.integrations.dagster.entry import definitions
    from floe_ingest.integrations.dagster.floe import (
        create_ingestion_assets,
        create_ingestion_resources,
        try_create_ingestion_resources,
    )
    from floe_ingest.integrations.dagster.translator import FloeIngestionTranslator, IngestionResourceData

_HOME = {
    "definitions": "entry",
    "FloeIngestionTranslator": "translator",
    "IngestionResourceData": "translator",
    "create_ingestion_assets": "floe",
    "create_ingestion_resources": "floe",
    "try_create_ingestion_resources": "floe",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


__all__ = [
    "FloeIngestionTranslator",
    "IngestionResourceData",
    "create_ingestion_assets",
    "create_ingestion_resources",
    "definitions",
    "try_create_ingestion_resources",
]
