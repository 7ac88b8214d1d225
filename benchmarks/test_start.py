"""What it costs to begin: imports, the command line, plugins, large configurations, and making a pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import scale
import yaml
from bench.results import Target
from workloads import ManyTypes

from floe_ingest import load_config
from floe_ingest.plugins import load_plugins

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick
GROUP = "Start"
_ROUNDS = 9
_DLT = ["python", "-c", "import dlt"]


def test_import(side_by_side: Any, process: Any) -> None:
    """``import floe_ingest`` over bare Python."""
    result = side_by_side(
        "import floe_ingest",
        {
            "ours": process(["python", "-c", "import floe_ingest"]),
            "bare Python": process(["python", "-c", "pass"]),
            "import dlt": process(_DLT),
        },
        rounds=_ROUNDS,
        warm=1,
        targets=[Target(measure="seconds more", most=0.1, beside="bare Python")],
    )

    bare = result.sides["bare Python"].median
    over = {name: side.median - bare for name, side in result.sides.items()}
    scale.check_at_most(over["ours"] / over["import dlt"], 0.25)


def test_help(side_by_side: Any, process: Any) -> None:
    """The command line's start."""
    result = side_by_side(
        "floe-ingest --help",
        {"ours": process(["floe-ingest", "--help"]), "import dlt": process(_DLT)},
        rounds=_ROUNDS,
        warm=1,
        targets=[Target(measure="wall", most=0.333, beside="import dlt")],
    )

    scale.check_at_most(result.ratio("ours", "import dlt"), 0.5)


@pytest.mark.parametrize("types", [1, 50, 500])
def test_plugin_discovery(types: int, side_by_side: Any, process: Any) -> None:
    """Finding, importing and checking all plugins of this environment, and a package of many source types."""
    extra = {"many": ManyTypes(types)}
    assert f"made_{types - 1}" in load_plugins(extra=extra).source_types()

    result = side_by_side(
        f"Plugin discovery with {types} more source types",
        {"ours": lambda: load_plugins(extra=extra), "import dlt": process(_DLT)},
        rounds=_ROUNDS,
        warm=1,
    )

    scale.check_at_most(result.ratio("ours", "import dlt"), 0.1)


def test_config_of_500_sources(side_by_side: Any, tmp_path: Path) -> None:
    """Reading and checking a file of 500 sources, beside PyYAML's reading alone."""
    file = tmp_path / "ingest.yaml"
    sources = [
        {
            "name": f"files_{number}",
            "source_type": "filesystem",
            "source_config": {"path": f"data/{number}", "file_glob": "*.parquet"},
            "destination_table": f"bronze.files_{number}",
            "write_mode": "append",
        }
        for number in range(500)
    ]
    file.write_text(yaml.safe_dump({"sources": sources}), encoding="utf-8")

    result = side_by_side(
        "A configuration of 500 sources",
        {
            "ours": lambda: load_config(file),
            "yaml.safe_load": lambda: yaml.safe_load(file.read_text(encoding="utf-8")),
        },
        rounds=_ROUNDS,
        warm=1,
    )

    assert len(load_config(file).sources) == 500
    scale.check_at_most(result.ratio("ours", "yaml.safe_load"), 5)


def test_whole_run(side_by_side: Any, process: Any, tmp_path: Path) -> None:
    """``floe-ingest run`` of ten rows beside a process that only imports."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"id": range(10)}), tmp_path / "data" / "ten.parquet")
    source = {
        "name": "ten",
        "source_type": "filesystem",
        "source_config": {"path": "data"},
        "destination_table": "bronze.ten",
    }
    (tmp_path / "ingest.yaml").write_text(yaml.safe_dump({"sources": [source]}), encoding="utf-8")
    result = side_by_side(
        "floe-ingest run of ten rows, whole process",
        {
            "ours": process(["floe-ingest", "run", "ingest.yaml"]),
            "imports": process(["python", "-c", "import dlt, pyiceberg.catalog.sql, pyiceberg.io.pyarrow"]),
        },
        rounds=_ROUNDS,
        warm=1,
        targets=[Target(measure="wall", most=1.3, beside="imports")],
    )

    scale.check_at_most(result.ratio("ours", "imports", "CPU"), 1.4)
