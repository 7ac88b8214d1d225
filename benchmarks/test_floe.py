"""floe's plugin: what it costs beside what cannot be avoided."""

from __future__ import annotations

import json
import sqlite3
import statistics
import subprocess
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import scale
from bench.results import Target
from floe_core.plugins.ingestion import IngestionConfig

from floe_ingest import DltIngestionPlugin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GROUP = "floe"
_ROUNDS = 9
_COLD = """
import json, sys, time
started = time.perf_counter()
import dlt
from floe_core.plugins.ingestion import IngestionConfig
from floe_ingest import DltIngestionPlugin
imported = time.perf_counter()
plugin = DltIngestionPlugin()
plugin.startup()
plugin.create_pipeline(IngestionConfig(*json.loads(sys.argv[1]), "bronze.orders"))
print(json.dumps({"seconds": time.perf_counter() - imported}))
"""

_SERVER = """
import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
print(server.server_port, flush=True)
sys.stderr = open("/dev/null", "w")
server.serve_forever()
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


@contextmanager
def orders_of(kind: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Give the source configuration of one order, behind what kind of source it takes."""
    if kind == "filesystem":
        (folder / "orders.csv").write_text("id,amount\n1,10\n", encoding="utf-8")
        yield {"path": str(folder), "format": "csv"}
    elif kind == "sql_database":
        file = folder / "orders.db"
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, amount INTEGER)")
        yield {"url": f"sqlite:///{file}", "table": "orders"}
    else:
        (folder / "orders").write_text('[{"id": 1, "amount": 10}]', encoding="utf-8")
        words = [sys.executable, "-c", _SERVER, str(folder)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            yield {"client": {"base_url": f"http://127.0.0.1:{port}"}, "resources": ["orders"]}
            server.kill()


@pytest.mark.parametrize("kind", ["rest_api", "sql_database", "filesystem"])
def test_create_pipeline(
    kind: str, side_by_side: Any, process: Any, plugin: DltIngestionPlugin, tmp_path: Path
) -> None:
    """Warm and in a new process, with the probe of its source."""
    with orders_of(kind, tmp_path) as options:
        config = IngestionConfig(kind, options, "bronze.orders")
        result = side_by_side(
            f"Creating a pipeline: {kind}",
            {
                "warm": lambda: plugin.create_pipeline(config),
                "cold": process(["python", "-c", _COLD, json.dumps([kind, options])]),
                "import dlt": process(["python", "-c", "import dlt"]),
            },
            rounds=_ROUNDS,
            warm=1,
            targets=[Target(measure="seconds", side="warm", most=0.05)],
        )

    # The plan's own number, with a wide margin: what is measured is below a tenth of it.
    assert result.sides["warm"].median < 1.0
    scale.check_at_most(statistics.median(result.sides["cold"].alone), 1.0)
    scale.check_at_most(result.ratio("warm", "import dlt"), 0.1)


def test_cold_process(side_by_side: Any, process: Any) -> None:
    """A process that imports, configures and creates a pipeline."""
    imports = "import dlt, floe_core.plugins.ingestion"
    result = side_by_side(
        "floe: a process that creates a pipeline",
        {
            "ours": process(["python", "-c", _COLD, json.dumps(["rest_api", {}])]),
            "imports alone": process(["python", "-c", imports]),
        },
        rounds=_ROUNDS,
        warm=1,
        targets=[Target(measure="wall", most=1.35, beside="imports alone")],
    )

    assert max(result.sides["ours"].alone) > 0
    scale.check_at_most(result.ratio("ours", "imports alone", "best"), 1.5)


def test_health_check(side_by_side: Any, process: Any, plugin: DltIngestionPlugin) -> None:
    """Against a local catalog."""
    plugin.run(plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.t")), source=[{"id": 1}])
    result = side_by_side(
        "floe: health_check",
        {"ours": plugin.health_check, "import dlt": process(["python", "-c", "import dlt"])},
        rounds=_ROUNDS,
        warm=1,
        targets=[Target(measure="seconds", most=0.1)],
    )

    scale.check_at_most(result.ratio("ours", "import dlt"), 0.2)


def test_dispatch(side_by_side: Any, plugin: DltIngestionPlugin) -> None:
    """All hook calls of a run over a load of ten rows."""
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

    measured = side_by_side(
        "Dispatch: all hook calls of a run",
        {"ours": dispatch, "load of ten rows": lambda: plugin.run(pipeline, source=rows)},
        rounds=_ROUNDS,
        warm=1,
        targets=[Target(measure="wall", most=0.01, beside="load of ten rows")],
    )

    scale.check_at_most(measured.ratio("ours", "load of ten rows"), 0.01)
