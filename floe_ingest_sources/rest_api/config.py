"""What a user writes about a REST API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

_PUBLIC = frozenset({"type", "name", "location", "access_token_url", "default_token_expiration"})
"""Keys of ``auth`` whose values are no secrets."""

_SECRET_HEADER = re.compile(r"auth|key|token|secret|cookie|session|credential|signature|pass", re.IGNORECASE)

Nested = Literal["tables", "native"]


class RestApiConfig(BaseModel):
    """dlt's ``RESTAPIConfig``, and what dlt has no words for.

    What is inside ``client``, ``resource_defaults`` and ``resources`` is checked by dlt's own rules before
    the first request. Texts below ``auth``, and of headers that tell who asks, are kept as ``SecretStr``.

    Example:
        >>> RestApiConfig(client={"base_url": "https://api.example.com/"}, resources=["posts"]).nested
        'tables'
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
    nested: Nested | dict[str, Nested] = Field(
        default="tables",
        description=(
            "What becomes of nested objects and lists: columns and tables of their own (tables), or nested "
            "columns, many times faster (native). Also by resource."
        ),
        examples=["native", {"orders": "native"}],
    )
    timestamps: tuple[str, ...] = Field(
        default=(),
        description="With nested: native: top-level text columns that hold ISO 8601 times.",
        examples=[["created_at", "updated_at"]],
    )
    max_pages: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description=(
            "How many pages of a resource one run reads at most. An incremental resource goes on from its "
            "cursor in the next run."
        ),
        examples=[100],
    )
    requests_per_second: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        default=None,
        description="How many requests are made in a second at most, by all resources together.",
        examples=[5],
    )
    parallel_requests: int = Field(
        default=1,
        ge=1,
        le=64,
        description=(
            "How many requests are under way at once: those of a resource that is read for each record of "
            "another one."
        ),
        examples=[4],
    )
    timeout_seconds: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="How long to wait for a connection, and between two pieces of an answer.",
        examples=[30],
    )
    max_retries: int = Field(
        default=4,
        ge=0,
        le=20,
        description=(
            "How often a request is tried again after a timeout, a broken connection, or status 408, 425, "
            "429 or 5xx."
        ),
        examples=[4],
    )
    max_retry_after_seconds: float = Field(
        default=300.0,
        ge=0,
        le=86_400,
        description="The longest pause that the API may ask for by Retry-After; a longer one ends the load.",
        examples=[300],
    )

    @field_validator("client", "resource_defaults", mode="after")
    @classmethod
    def _guard(cls, value: Any) -> Any:
        return guarded(value)

    @field_validator("resources", mode="after")
    @classmethod
    def _guard_each(cls, value: list[Any]) -> list[Any]:
        return [guarded(item) for item in value]


def guarded(node: Any, *, below: str = "") -> Any:
    """Return a structure with ``SecretStr`` for texts below ``auth``, and for headers that tell who asks.

    Arguments:
        node: any part of a configuration.
        below: ``auth`` or ``headers``, where the part stands below one.
    """
    if isinstance(node, Mapping):
        return {
            key: value if _is_public(key, below) else guarded(value, below=_holder(key) or below)
            for key, value in node.items()
        }
    if isinstance(node, list | tuple):
        return [guarded(item, below=below) for item in node]
    return SecretStr(node) if below and isinstance(node, str) else node


def _is_public(key: Any, below: str) -> bool:
    if below == "headers":
        return not _SECRET_HEADER.search(str(key))
    return below == "auth" and key in _PUBLIC


def _holder(key: Any) -> str:
    return key if key in ("auth", "headers") else ""


def plain(node: Any) -> Any:
    """Return a copy of a structure with its secrets' texts; objects of Python callers stay themselves."""
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [plain(item) for item in node]
    return node.get_secret_value() if isinstance(node, SecretStr) else node


def secrets_of(node: Any) -> set[str]:
    """Return the texts of all secrets of a structure: no message may hold one."""
    if isinstance(node, Mapping):
        return {text for value in node.values() for text in secrets_of(value)}
    if isinstance(node, list | tuple):
        return {text for item in node for text in secrets_of(item)}
    return {node.get_secret_value()} if isinstance(node, SecretStr) and len(node) > 2 else set()
