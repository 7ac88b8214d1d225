"""Spans, metrics and events of real loads, by the OpenTelemetry SDK's in-memory exporters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from floe_core.plugins.ingestion import IngestionConfig
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from floe_ingest import DltIngestionPlugin, PipelineConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Lake
    from opentelemetry.sdk.trace import ReadableSpan

_exporter = InMemorySpanExporter()
_reader = InMemoryMetricReader()


@pytest.fixture(scope="module", autouse=True)
def _sdk() -> None:
    """The providers of this process; they can be set once."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(_exporter))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([_reader]))


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    _exporter.clear()
    yield _exporter
    _exporter.clear()


@pytest.fixture
def events() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture
def plugin(lake: Lake) -> Iterator[DltIngestionPlugin]:
    made = DltIngestionPlugin(
        {
            "catalog_config": lake.properties,
            "retry_config": {"max_retries": 1, "initial_delay_seconds": 0.01},
        }
    )
    made.startup()
    yield made
    made.shutdown()


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == f"floe.ingestion.{name}"]


def ancestors(spans: InMemorySpanExporter, span: ReadableSpan) -> list[str]:
    by_id = {other.context.span_id: other for other in spans.get_finished_spans()}
    found = []
    while span.parent is not None and span.parent.span_id in by_id:
        span = by_id[span.parent.span_id]
        found.append(span.name.removeprefix("floe.ingestion."))
    return found


def counted(name: str) -> float:
    data = _reader.get_metrics_data()
    points = [
        point
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == f"floe.ingestion.{name}"
        for point in metric.data.data_points
    ]
    return sum(getattr(point, "value", None) or getattr(point, "count", 0) for point in points)


@pytest.mark.requirement("FR-044")
@pytest.mark.requirement("FR-045")
@pytest.mark.requirement("FR-046")
@pytest.mark.requirement("FR-050")
def test_spans_of_a_load(plugin: DltIngestionPlugin, lake: Lake, spans: InMemorySpanExporter) -> None:
    pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders", "replace"))
    before = {name: counted(name) for name in ("rows", "bytes", "duration")}
    result = plugin.run(pipeline, source=[{"id": 1}, {"id": 2}])
    [run], [source], [commit] = named(spans, "run"), named(spans, "source"), named(spans, "commit")
    for step in ("extract", "normalize", "load"):
        found = named(spans, step)
        assert found, step
        assert all(ancestors(spans, span) == ["source", "run"] for span in found), step
    assert ancestors(spans, commit) == ["load", "source", "run"]
    snapshot = lake.table("bronze.orders").current_snapshot()
    assert snapshot is not None
    expected = {
        "ingestion.source_type": "rest_api",
        "ingestion.destination_table": "bronze.orders",
        "ingestion.write_mode": "replace",
        "ingestion.pipeline_name": pipeline.pipeline_name,
        "ingestion.schema_contract": "evolve",
        "ingestion.rows_loaded": 2,
        "ingestion.bytes_written": result.bytes_written,
        "ingestion.success": True,
        "ingestion.snapshot_id": snapshot.snapshot_id,
    }
    for span in (run, source):
        assert expected.items() <= dict(span.attributes or {}).items()
        assert (span.attributes or {})["ingestion.duration_seconds"] > 0
        assert span.status.status_code is not StatusCode.ERROR
    assert (commit.attributes or {})["ingestion.snapshot_id"] == snapshot.snapshot_id
    assert (commit.attributes or {})["ingestion.rows_loaded"] == 2
    assert counted("rows") - before["rows"] == 2
    assert counted("bytes") - before["bytes"] == result.bytes_written
    assert counted("duration") - before["duration"] == 1


@pytest.mark.requirement("FR-044")
def test_spans_of_everything_else(lake: Lake, spans: InMemorySpanExporter) -> None:
    plugin = DltIngestionPlugin({"catalog_config": lake.properties})
    plugin.startup()
    plugin.health_check()
    plugin.get_destination_config(dict(lake.properties))
    plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders"))
    with pytest.raises(PipelineConfigurationError):
        plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders", "upsert"))
    plugin.shutdown()
    for name in ("startup", "health_check", "get_destination_config", "shutdown"):
        assert len(named(spans, name)) == 1, name
    good, bad = named(spans, "create_pipeline")
    assert good.status.status_code is not StatusCode.ERROR
    assert bad.status.status_code is StatusCode.ERROR
    assert (bad.attributes or {})["error.type"] == "PipelineConfigurationError"
    assert (bad.attributes or {})["error.category"] == "configuration"
    assert "'upsert'" in str((bad.attributes or {})["error.message"])


@pytest.mark.requirement("FR-047")
@pytest.mark.requirement("FR-050")
def test_spans_of_a_failure_and_its_retry(
    plugin: DltIngestionPlugin, spans: InMemorySpanExporter, events: list[Any]
) -> None:
    def rows() -> Any:
        yield {"id": 1}
        raise ConnectionResetError(104, "Connection reset by peer")

    pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders"))
    failures, retries = counted("failures"), counted("retries")
    assert not plugin.run(pipeline, source=rows).success
    [retry], [run] = named(spans, "retry"), named(spans, "run")
    assert (retry.attributes or {})["ingestion.attempt"] == 2
    first, second = named(spans, "extract")
    assert ancestors(spans, first) == ["source", "run"]
    assert ancestors(spans, second) == ["retry", "source", "run"]
    for span in (run, retry, first, second, *named(spans, "source")):
        assert span.status.status_code is StatusCode.ERROR, span.name
    assert (run.attributes or {})["error.type"] == "ConnectionResetError"
    assert (run.attributes or {})["error.category"] == "transient"
    assert (run.attributes or {})["ingestion.success"] is False
    assert not any(span.events for span in (run, first)), "exceptions are not recorded as they stand"
    assert counted("failures") - failures == 1
    assert counted("retries") - retries == 1
    told = {event["event"]: event for event in events}
    assert told["source is tried again"]["log_level"] == "warning"
    assert told["source failed"]["category"] == "transient"


@pytest.mark.requirement("FR-048")
def test_events_say_what_they_are_about(
    plugin: DltIngestionPlugin, spans: InMemorySpanExporter, events: list[Any]
) -> None:
    pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders"))
    plugin.run(pipeline, source=[{"id": 1}], run_id="run-9")
    [source] = named(spans, "source")
    [done] = [event for event in events if event["event"] == "source is done"]
    assert (done["pipeline"], done["run_id"], done["rows_loaded"]) == (pipeline.pipeline_name, "run-9", 1)
    assert done["source"] == "floe"
    assert done["trace_id"] == f"{source.context.trace_id:032x}"
    assert done["span_id"] == f"{source.context.span_id:016x}"


@pytest.mark.requirement("FR-035")
def test_schema_changes_are_told(plugin: DltIngestionPlugin, events: list[Any]) -> None:
    pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders"))
    plugin.run(pipeline, source=[{"id": 1}])
    plugin.run(pipeline, source=[{"id": 2, "note": "new"}])
    [changed] = [event for event in events if event["event"] == "schema of a table has changed"]
    assert changed["log_level"] == "info"
    assert (changed["table"], changed["changes"]) == ("bronze.orders", "note: new string")
    plugin.run(pipeline, source=[{"id": 3, "late": 1}], schema_contract="freeze")
    [refused] = [event for event in events if event["event"] == "schema change is refused"]
    assert (refused["log_level"], refused["schema_contract"]) == ("error", "freeze")
    assert "late" in refused["error"]


@pytest.mark.requirement("FR-049")
@pytest.mark.requirement("FR-073")
def test_no_secret_is_told(
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
    spans: InMemorySpanExporter,
    events: list[Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A source that repeats the secrets of its own configuration, wherever it can, in every form."""
    password = "p@ss w/ord'\"9Q"
    monkeypatch.setenv("SHOP_PASSWORD", password)

    def rows() -> Any:
        yield {"id": 1}
        try:
            raise ValueError(f"login with {password} refused")
        except ValueError as inner:
            raise ConnectionError(f"postgresql://ada:{password}@db/shop {json.dumps(password)}") from inner

    caplog.set_level("DEBUG")
    plugin = DltIngestionPlugin(
        {
            "catalog_config": {**lake.properties, "credential": "${SHOP_PASSWORD}"},
            "retry_config": {"max_retries": 1, "initial_delay_seconds": 0.01},
        }
    )
    plugin.startup()
    pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders"))
    result = plugin.run(pipeline, source=rows)
    assert not result.success
    everything = [
        *result.errors,
        *(str(event) for event in events),
        *(str(span.to_json()) for span in spans.get_finished_spans()),
        *(record.getMessage() for record in caplog.records),
    ]
    assert len(everything) > 10
    forms = (password, "9Q", json.dumps(password)[1:-1], repr(password)[1:-1])
    for text in everything:
        assert not any(form in text for form in forms), text
    plugin.shutdown()
