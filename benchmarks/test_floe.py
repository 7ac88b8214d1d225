"""floe's plugin: what it costs beside what cannot be avoided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from floe_core.plugins.ingestion import IngestionConfig

from floe_ingest import DltIngestionPlugin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ROUNDS = 9
_COLD = """
import json, time
started = time.perf_counter()
import dlt
from floe_core.plugins.ingestion import IngestionConfig
from floe_ingest import DltIngestionPlugin
imported = time.perf_counter()
plugin = DltIngestionPlugin()
plugin.startup()
plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders"))
print(json.dumps({"after imports": time.perf_counter() - imported}))
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[DltIngestionPlugin]:
    uri = f"sqlite:///{tmp_path / 'lake' / 'catalog.db'}"
    made = DltIngestionPlugin(
        {"catalog_config": {"type": "sql", "uri": uri, "warehouse": (tmp_path / "lake").as_uri()}}
    )
    made.startup()
    yield made
    made.shutdown()


def test_create_pipeline(
    side_by_side: Any, process: Any, benchmark: Any, plugin: DltIngestionPlugin, tmp_path: Path
) -> None:
    """Warm, with the probe of its source; its target is at most 50 ms."""
    (tmp_path / "orders.csv").write_text("id,amount\n1,10\n", encoding="utf-8")
    config = IngestionConfig("filesystem", {"path": str(tmp_path), "format": "csv"}, "bronze.orders")
    works = {
        "create_pipeline": lambda: plugin.create_pipeline(config),
        "import dlt": process(["python", "-c", "import dlt"]),
    }
    result = side_by_side(_ROUNDS, 1, works)

    benchmark.extra_info["target (s)"] = 0.05
    assert result.ratio("create_pipeline", "import dlt") <= 0.1


def test_cold_process(side_by_side: Any, process: Any, benchmark: Any) -> None:
    """A process that imports, configures and creates a pipeline; its target is 1.35 times the imports."""
    imports = "import dlt, floe_core.plugins.ingestion"
    works = {
        "cold": process(["python", "-c", _COLD]),
        "imports alone": process(["python", "-c", imports]),
    }
    result = side_by_side(_ROUNDS, 1, works)

    benchmark.extra_info["ratio"] = round(result.ratio("cold", "imports alone"), 3)
    assert result.ratio_of_best("cold", "imports alone") <= 1.5


def test_health_check(side_by_side: Any, process: Any, benchmark: Any, plugin: DltIngestionPlugin) -> None:
    """Against a local catalog; its target is at most 100 ms."""
    plugin.run(plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.t")), source=[{"id": 1}])
    works = {
        "health_check": plugin.health_check,
        "import dlt": process(["python", "-c", "import dlt"]),
    }
    result = side_by_side(_ROUNDS, 1, works)

    benchmark.extra_info["target (s)"] = 0.1
    assert result.ratio("health_check", "import dlt") <= 0.2


def test_dispatch(side_by_side: Any, benchmark: Any, plugin: DltIngestionPlugin) -> None:
    """All hook calls of a run over a load of ten rows; its target is at most one hundredth."""
    from datetime import UTC, datetime

    from floe_ingest import RunContext, RunResult, SourceResult
    from floe_ingest.plugins import load_plugins

    plugins = load_plugins()
    pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.t"))
    rows = [{"id": number} for number in range(10)]
    context = RunContext("run", datetime.now(UTC), ("t",))
    result = SourceResult("t", success=True, duration_seconds=1.0)

    def dispatch() -> None:
        plugins.before_run(context)
        plugins.source_type("rest_api")
        plugins.require("rest_api")
        plugins.enrich_result(context, result)
        plugins.after_run(context, RunResult("run", True, (result,)))

    works = {"dispatch": dispatch, "load of ten rows": lambda: plugin.run(pipeline, source=rows)}
    measured = side_by_side(_ROUNDS, 1, works)

    benchmark.extra_info["ratio"] = round(measured.ratio("dispatch", "load of ten rows"), 5)
    assert measured.ratio("dispatch", "load of ten rows") <= 0.01
