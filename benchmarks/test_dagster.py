"""Dagster: what the definitions of many sources cost, and what a materialisation costs beyond its load."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
import scale
from bench.results import Target

import floe_ingest
from floe_ingest.integrations.dagster import definitions
from floe_ingest.plugins import load_plugins

if TYPE_CHECKING:
    from pathlib import Path

GROUP = "Dagster"
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


def test_definitions_of_many_sources(side_by_side: Any, process: Any, folder: Path) -> None:
    """500 sources in a new process."""
    (folder / "ingest.yaml").write_text(json.dumps({"sources": [source(number) for number in range(500)]}))
    result = side_by_side(
        "Dagster: definitions of 500 sources",
        {
            "ours": process(["python", "-c", _MANY]),
            "import dagster": process(["python", "-c", _DAGSTER]),
        },
        rounds=5,
        warm=1,
        targets=[Target(measure="seconds more", most=2.0, beside="import dagster")],
    )

    scale.check_at_most(result.ratio("ours", "import dagster", "best"), 2.6)


def test_a_materialisation(side_by_side: Any, folder: Path) -> None:
    """Beside the same load by ``floe_ingest.run``, with its check.

    Most of what is more is Dagster's own: beside it stands an asset with a check that does nothing.
    """
    (folder / "ingest.yaml").write_text(json.dumps({"sources": [source(0)]}))
    plugins = load_plugins()
    config = floe_ingest.load_config("ingest.yaml", plugins=plugins)
    job = definitions(config, plugins=plugins).resolve_implicit_global_asset_job_def()
    nothing = idle().resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.local_temp() as instance:
        works = {
            "ours": lambda: job.execute_in_process(instance=instance),
            "the load alone": lambda: floe_ingest.run(config, plugins=plugins),
            "an idle asset": lambda: nothing.execute_in_process(instance=instance),
        }
        result = side_by_side(
            "Dagster: a materialisation of 1,000 rows",
            works,
            rounds=7,
            warm=2,
            targets=[Target(measure="seconds more", most=0.3, beside="the load alone")],
        )

    best = {name: min(side.seconds) for name, side in result.sides.items()}
    scale.check_at_most((best["ours"] - best["the load alone"]) / best["an idle asset"], 1.6)


def idle() -> dg.Definitions:
    """An asset that loads nothing, with a check that looks at nothing."""

    @dg.asset(check_specs=[dg.AssetCheckSpec("row_count", asset="idle")])
    def idle() -> dg.MaterializeResult:
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])

    return dg.Definitions(assets=[idle])
