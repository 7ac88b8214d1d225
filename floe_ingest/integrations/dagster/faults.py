"""Failures of loads as Dagster has them: whether trying again may help comes from the category."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster import Backoff, Failure, MetadataValue, RetryPolicy

from floe_ingest_hookspecs import ErrorCategory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from floe_ingest.config import RetryConfig
    from floe_ingest.errors import IngestionError
    from floe_ingest_hookspecs import LoadError

_ADVICE = {
    ErrorCategory.TRANSIENT: "The same load may succeed later. Nothing is lost, and nothing will be doubled.",
    ErrorCategory.PARTIAL: "Run it again: tables that hold the load are passed over.",
    ErrorCategory.PERMANENT: "Trying again does not help until what the message names has changed.",
    ErrorCategory.CONFIGURATION: "Change the configuration as the message says, and reload the definitions.",
}
_MAY_PASS = (ErrorCategory.TRANSIENT, ErrorCategory.PARTIAL)


def retry_policy(written: RetryConfig) -> RetryPolicy | None:
    """Return how a step is tried again: once, since the engine has tried as often as is configured."""
    if written.max_retries == 0:
        return None
    return RetryPolicy(max_retries=1, delay=30, backoff=Backoff.EXPONENTIAL)


def failure_of(errors: Sequence[LoadError], source: str) -> Failure:
    """Return what fails a step: each error with its category, and what to do."""
    told = "\n".join(f"{error.category}: {error.type}: {error.message}" for error in errors)
    first = errors[0]
    return _failure(f"Source {source!r} failed. {told}", first.category, first.type)


def refusal_of(error: IngestionError, source: str) -> Failure:
    """Return what fails a step whose load could not begin."""
    return _failure(f"Source {source!r} cannot be loaded. {error}", error.category, type(error).__name__)


def _failure(message: str, category: ErrorCategory, kind: str) -> Failure:
    advice = _ADVICE[category]
    return Failure(
        f"{message}\n{advice}",
        metadata={
            "category": MetadataValue.text(str(category)),
            "error_type": MetadataValue.text(kind),
            "advice": MetadataValue.text(advice),
        },
        allow_retries=category in _MAY_PASS,
    )
