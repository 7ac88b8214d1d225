"""The ``rest_api`` source: dlt's declarative REST configuration, as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from floe_ingest import SourceCheck, SourceType, hookimpl

if TYPE_CHECKING:
    from floe_ingest import SourceRequest


class RestApiConfig(BaseModel):
    """dlt's ``RESTAPIConfig``. What is inside is checked by dlt's own rules before the first request.

    Any part may hold credentials, so the repr shows none.

    Example:
        >>> RestApiConfig(client={"base_url": "https://api.example.com/"}, resources=["posts"])
        RestApiConfig()
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True
    )

    client: dict[str, Any] = Field(
        repr=False,
        description="How to speak to the API: base_url, headers, auth, paginator.",
        examples=[{"base_url": "https://api.example.com/v1/", "paginator": "json_link"}],
    )
    resource_defaults: dict[str, Any] | None = Field(
        default=None,
        repr=False,
        description="What all resources have in common.",
        examples=[{"primary_key": "id", "endpoint": {"params": {"per_page": 100}}}],
    )
    resources: list[Any] = Field(
        min_length=1,
        repr=False,
        description="The resources: a path, or a mapping with name, endpoint and hints.",
        examples=[
            ["posts", {"name": "open_issues", "endpoint": {"path": "issues", "params": {"state": "open"}}}]
        ],
    )


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
