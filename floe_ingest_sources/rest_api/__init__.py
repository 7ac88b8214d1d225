"""The ``rest_api`` source: dlt's declarative REST configuration, and options of our own beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from floe_ingest import SourceCheck, SourceType, hookimpl
from floe_ingest_sources.rest_api.config import RestApiConfig

if TYPE_CHECKING:
    from floe_ingest import SourceRequest

__all__ = ["RestApiConfig"]


@hookimpl
def floe_ingest_source_types() -> list[SourceType]:
    """Declare ``rest_api``."""
    return [
        SourceType(
            "rest_api",
            RestApiConfig,
            "A REST API, in dlt's declarative configuration",
            capabilities=("incremental", "check"),
        )
    ]


@hookimpl
def floe_ingest_build_source(request: SourceRequest) -> Any:
    """Build dlt's REST source. Nothing is requested.

    Raises:
        SourceConfigurationError: the configuration is not dlt's; names each path and the nearest word.
    """
    from floe_ingest_sources.rest_api.validation import build

    return build(request.config, request.name)


@hookimpl
def floe_ingest_check_source(request: SourceRequest) -> SourceCheck:
    """Get the first page of each resource that needs no other one, within 8 seconds in all.

    Raises:
        SourceConfigurationError: see ``floe_ingest_build_source``.
        SourceConnectionError: a page cannot be had; with status and URL, without its query.
    """
    from floe_ingest_sources.rest_api.probe import probe

    return probe(request.config, request.name)
