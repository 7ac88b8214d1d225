"""Sample plugin: a webhook hears of runs; errors are categorised, results enriched, cron lines written."""

from __future__ import annotations

import json
import os
import urllib.request
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from floe_ingest import (
    DefinitionsRequest,
    ErrorCategory,
    RunContext,
    RunResult,
    SourceRequest,
    SourceResult,
    SourceType,
    hookimpl,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class TurnstileConfig(BaseModel, frozen=True, extra="forbid"):
    """``source_config`` of the type ``acme_turnstile``."""

    tries_file: str = Field(description="Counts how often the turnstile was asked.")
    jams: int = Field(default=0, description="How often it is jammed before it turns.")


class TurnstileJammedError(Exception):
    """Somebody stands in it; trying again helps."""


@hookimpl
def floe_ingest_source_types() -> list[SourceType]:
    return [SourceType("acme_turnstile", TurnstileConfig, "People who went through a turnstile")]


@hookimpl
def floe_ingest_build_source(request: SourceRequest) -> Any:
    import dlt

    return dlt.resource(people(request), name="people")


def people(request: SourceRequest) -> Iterator[dict[str, Any]]:
    counter = request.resolve_path(request.config.tries_file)
    tries = int(counter.read_text()) + 1 if counter.exists() else 1
    counter.write_text(str(tries))
    if tries <= request.config.jams:
        raise TurnstileJammedError("jammed")
    yield {"id": 1, "name": "Ada"}


@hookimpl
def floe_ingest_categorize_error(error: BaseException, context: RunContext) -> ErrorCategory | None:
    return ErrorCategory.TRANSIENT if isinstance(error, TurnstileJammedError) else None


@hookimpl
def floe_ingest_enrich_result(context: RunContext, result: SourceResult) -> Mapping[str, Any]:
    return {"rows_per_table": result.rows_loaded / max(len(result.tables), 1)}


@hookimpl
def floe_ingest_before_run(context: RunContext) -> None:
    _post({"event": "begins", "run_id": context.run_id, "sources": list(context.sources)})


@hookimpl
def floe_ingest_after_run(context: RunContext, result: RunResult) -> None:
    _post({"event": "ended", "run_id": context.run_id, "success": result.success})


@hookimpl
def floe_ingest_build_definitions(orchestrator: str, request: DefinitionsRequest) -> Any:
    if orchestrator != "cron":
        return None
    return [f"0 3 * * * floe-ingest run {request.config_path} --source {name}" for name in request.sources]


def _post(event: Mapping[str, Any]) -> None:
    body = json.dumps(event).encode()
    headers = {"Content-Type": "application/json"}
    call = urllib.request.Request(os.environ["ACME_WEBHOOK"], body, headers)  # noqa: S310 - the test's server
    with urllib.request.urlopen(call, timeout=5) as answer:  # noqa: S310
        answer.read()
