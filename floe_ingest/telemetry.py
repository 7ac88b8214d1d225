"""What a run tells of itself: OpenTelemetry spans and metrics, and structlog events.

By OpenTelemetry's API alone: without an SDK, which the user brings, spans and metrics cost next to nothing.
Every text that leaves by this module has passed ``redact``.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from floe_ingest.redaction import redact
from floe_ingest_hookspecs import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.metrics import Counter, Histogram
    from opentelemetry.trace import Span

    from floe_ingest_hookspecs import LoadError, TableResult

SCOPE = "floe_ingest"
"""The name of the tracer and of the meter."""

Attributes = dict[str, str | bool | int | float]


@dataclass(frozen=True, slots=True)
class Traced:
    """A span under way."""

    span: Span

    def set(self, name: str, value: str | bool | float | Sequence[int]) -> None:
        """Set an attribute."""
        self.span.set_attribute(name, redact(value) if isinstance(value, str) else value)

    def event(self, name: str, **attributes: str | int) -> None:
        """Note that something happened at this moment."""
        told = {key: redact(value) if isinstance(value, str) else value for key, value in attributes.items()}
        self.span.add_event(name, told)

    def fail(self, kind: str, message: str, category: str | None = None) -> None:
        """Say that the work of this span failed."""
        from opentelemetry.trace import Status, StatusCode

        message = redact(message)
        self.span.set_attribute("error.type", kind)
        self.span.set_attribute("error.message", message)
        if category is not None:
            self.span.set_attribute("error.category", category)
        self.span.set_status(Status(StatusCode.ERROR, message))

    def finish(self, tables: Sequence[TableResult], errors: Sequence[LoadError], seconds: float) -> None:
        """Say how a load ended, by its tables and errors."""
        self.set("ingestion.rows_loaded", sum(table.rows_loaded for table in tables))
        self.set("ingestion.bytes_written", sum(table.bytes_written for table in tables))
        self.set("ingestion.duration_seconds", seconds)
        self.set("ingestion.success", not errors)
        snapshots = [table.snapshot_id for table in tables if table.snapshot_id is not None]
        if snapshots:
            self.set("ingestion.snapshot_id", snapshots[0] if len(snapshots) == 1 else snapshots)
        for error in errors:
            self.fail(error.type, error.message, str(error.category))


@contextmanager
def span(name: str, attributes: Mapping[str, str | bool | int | float] | None = None) -> Iterator[Traced]:
    """Open the span ``floe.ingestion.<name>`` for as long as the context lasts; an exception fails it."""
    from opentelemetry.trace import get_tracer

    given = {
        key: redact(value) if isinstance(value, str) else value for key, value in (attributes or {}).items()
    }
    # An exception's text may hold a secret, so the SDK may not record it as it stands.
    with get_tracer(SCOPE, __version__).start_as_current_span(
        f"floe.ingestion.{name}", attributes=given, record_exception=False, set_status_on_exception=False
    ) as opened:
        traced = Traced(opened)
        try:
            yield traced
        except BaseException as error:
            traced.fail(type(error).__name__, str(error) or type(error).__name__, _category(error))
            raise


def _category(error: BaseException) -> str | None:
    category = getattr(error, "category", None)
    return str(category) if category is not None else None


def current_context() -> Context:
    """Return the context of this thread, to be taken up by ``within_context`` in another."""
    from opentelemetry.context import get_current

    return get_current()


@contextmanager
def within_context(context: Context) -> Iterator[None]:
    """Take up another thread's context, so that spans opened here are children of its span."""
    from opentelemetry.context import attach, detach

    token = attach(context)
    try:
        yield
    finally:
        detach(token)


@dataclass(frozen=True, slots=True)
class Metrics:
    """The instruments of this package."""

    rows: Counter
    bytes: Counter
    duration: Histogram
    failures: Counter
    retries: Counter

    def count(
        self,
        tables: Sequence[TableResult],
        errors: Sequence[LoadError],
        seconds: float,
        attributes: Attributes,
    ) -> None:
        """Count a load that ended."""
        self.rows.add(sum(table.rows_loaded for table in tables), attributes)
        self.bytes.add(sum(table.bytes_written for table in tables), attributes)
        self.duration.record(seconds, attributes)
        for error in errors:
            self.failures.add(1, {**attributes, "error.category": str(error.category)})


@cache
def metrics() -> Metrics:
    """Return the instruments; a meter provider that is set later serves them too."""
    from opentelemetry.metrics import get_meter

    meter = get_meter(SCOPE, __version__)
    return Metrics(
        rows=meter.create_counter("floe.ingestion.rows", "{row}", "Rows committed to tables"),
        bytes=meter.create_counter("floe.ingestion.bytes", "By", "Bytes of data files committed"),
        duration=meter.create_histogram("floe.ingestion.duration", "s", "How long loading a source took"),
        failures=meter.create_counter("floe.ingestion.failures", "{failure}", "Sources that failed"),
        retries=meter.create_counter("floe.ingestion.retries", "{retry}", "Sources tried again"),
    )


class Events:
    """Logs events that say what they are about, with the ids of the span at hand.

    Arguments:
        **about: as source, pipeline and run_id; bound to each event.
    """

    def __init__(self, **about: str | None) -> None:
        self._about = {key: value for key, value in about.items() if value is not None}

    def info(self, event: str, **fields: Any) -> None:
        """Log what went as it should."""
        self._tell("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Log what somebody should look at."""
        self._tell("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Log what failed."""
        self._tell("error", event, fields)

    def _tell(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        import structlog

        told = {**self._about, **fields, **_ids()}
        clean = {key: redact(value) if isinstance(value, str) else value for key, value in told.items()}
        getattr(structlog.get_logger(SCOPE), level)(event, **clean)


def _ids() -> dict[str, str]:
    from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

    context = get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": format_trace_id(context.trace_id), "span_id": format_span_id(context.span_id)}
