"""Dagster: what the definitions of many sources cost, and what a materialisation costs beyond its load."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

import floe_ingest
from floe_ingest.integrations.dagster import definitions
from floe_ingest.plugins import load_plugins

if TYPE_CHECKING:
    from pathlib import Path

_ROUNDS = 7
_DAGSTER = "import dagster, dagster_dlt"
_MANY = f"""
{_DAGSTER}
from floe_ingest.integrations.dagster import definitions
definitions("ingest.yaml")
"""


def source(number: int) -> dict[str, Any]:
    return {
        "name": f"shop_{number}",
        "source_type": "sql_database",
        "source_config": {"url": "sqlite:///shop.db", "tables": ["orders"]},
        "destination_table": f"bronze.shop_{number}_{{resource}}",
        "write_mode": "replace",
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "1")
    with sqlite3.connect("shop.db") as database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, amount INTEGER)")
        database.executemany("INSERT INTO orders VALUES (?, ?)", [(n, n) for n in range(1000)])
    database.close()
    return tmp_path


def test_definitions_of_many_sources(side_by_side: Any, process: Any, benchmark: Any, folder: Path) -> None:
    """500 sources in a new process; the target is 2 s beyond importing dagster."""
    (folder / "ingest.yaml").write_text(json.dumps({"sources": [source(number) for number in range(500)]}))
    works = {
        "definitions": process(["python", "-c", _MANY]),
        "import dagster": process(["python", "-c", _DAGSTER]),
    }
    result = side_by_side(5, 1, works)

    beyond = min(result.seconds["definitions"]) - min(result.seconds["import dagster"])
    benchmark.extra_info["beyond importing dagster (best, s)"] = round(beyond, 3)
    benchmark.extra_info["target (s)"] = 2.0
    assert beyond <= 1.6 * min(result.seconds["import dagster"])


def test_a_materialisation(side_by_side: Any, benchmark: Any, folder: Path) -> None:
    """Against the same load by ``floe_ingest.run``; the target is 0.3 s more, with its check.

    Most of what is more is Dagster's own: beside it stands an asset with a check that does nothing.
    """
    (folder / "ingest.yaml").write_text(json.dumps({"sources": [source(0)]}))
    plugins = load_plugins()
    config = floe_ingest.load_config("ingest.yaml", plugins=plugins)
    job = definitions(config, plugins=plugins).resolve_implicit_global_asset_job_def()
    nothing = idle().resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.local_temp() as instance:
        works = {
            "materialise": lambda: job.execute_in_process(instance=instance),
            "run": lambda: floe_ingest.run(config, plugins=plugins),
            "nothing": lambda: nothing.execute_in_process(instance=instance),
        }
        result = side_by_side(_ROUNDS, 2, works)

    best = {name: min(seconds) for name, seconds in result.seconds.items()}
    more = best["materialise"] - best["run"]
    benchmark.extra_info["more than run (best, s)"] = round(more, 3)
    benchmark.extra_info["of which Dagster's own (best, s)"] = round(best["nothing"], 3)
    benchmark.extra_info["target (s)"] = 0.3
    assert more <= 1.6 * best["nothing"]


def idle() -> dg.Definitions:
    """An asset that loads nothing, with a check that looks at nothing."""

    @dg.asset(check_specs=[dg.AssetCheckSpec("row_count", asset="idle")])
    def idle() -> dg.MaterializeResult:
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])

    return dg.Definitions(assets=[idle])
