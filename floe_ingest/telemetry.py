"""OpenTelemetry spans, by the API alone: without an SDK, which the user brings, they cost nothing."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from floe_ingest_hookspecs import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from opentelemetry.trace import Span

    from floe_ingest_hookspecs import LoadError


@dataclass(frozen=True, slots=True)
class Traced:
    """A span under way."""

    span: Span

    def finish(self, errors: Sequence[LoadError], *, rows: int) -> None:
        """Say how the work of this span ended.

        Arguments:
            errors: what failed, without secrets; the span's status is an error if there is any.
            rows: rows loaded.
        """
        from opentelemetry.trace import Status, StatusCode

        self.span.set_attribute("ingestion.rows_loaded", rows)
        self.span.set_attribute("ingestion.success", not errors)
        for error in errors:
            self.span.set_attribute("error.type", error.type)
            self.span.set_attribute("error.message", error.message)
            self.span.set_status(Status(StatusCode.ERROR, error.message))


@contextmanager
def span(name: str, attributes: Mapping[str, str]) -> Iterator[Traced]:
    """Open the span ``floe.ingestion.<name>`` for as long as the context lasts."""
    from opentelemetry.trace import get_tracer

    tracer = get_tracer("floe_ingest", __version__)
    # An exception's text may hold a secret, so it is not recorded as it stands: see ``Traced.finish``.
    with tracer.start_as_current_span(
        f"floe.ingestion.{name}", attributes=dict(attributes), record_exception=False
    ) as opened:
        yield Traced(opened)
