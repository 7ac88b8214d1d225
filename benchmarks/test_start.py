"""What it costs to begin: imports, the command line, plugins and large configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from floe_ingest import load_config
from floe_ingest.plugins import load_plugins

if TYPE_CHECKING:
    from pathlib import Path

_ROUNDS = 9


def test_import(side_by_side: Any, process: Any, benchmark: Any) -> None:
    """``import floe_ingest`` over bare Python; its target is at most 0.1 s."""
    works = {
        "import floe_ingest": process(["python", "-c", "import floe_ingest"]),
        "bare": process(["python", "-c", "pass"]),
        "import dlt": process(["python", "-c", "import dlt"]),
    }
    result = side_by_side(_ROUNDS, 1, works)

    over = result.median("import floe_ingest") - result.median("bare")
    dlt = result.median("import dlt") - result.median("bare")
    benchmark.extra_info["over bare Python (s)"] = round(over, 4)
    benchmark.extra_info["ratio"] = round(over / dlt, 3)
    assert over <= dlt / 4


def test_help(side_by_side: Any, process: Any, benchmark: Any) -> None:
    """``floe-ingest --help``; its target is at most a third of ``import dlt``."""
    works = {
        "help": process(["floe-ingest", "--help"]),
        "import dlt": process(["python", "-c", "import dlt"]),
    }
    result = side_by_side(_ROUNDS, 1, works)

    benchmark.extra_info["ratio"] = round(result.ratio("help", "import dlt"), 3)
    assert result.ratio("help", "import dlt") <= 0.5


def test_plugin_discovery(side_by_side: Any, process: Any, benchmark: Any) -> None:
    """Finding, importing and checking all plugins of this environment, in a warm process."""
    works = {"load_plugins": load_plugins, "import dlt": process(["python", "-c", "import dlt"])}
    result = side_by_side(_ROUNDS, 1, works)

    benchmark.extra_info["ratio"] = round(result.ratio("load_plugins", "import dlt"), 4)
    assert result.ratio("load_plugins", "import dlt") <= 0.1


def test_config_of_500_sources(side_by_side: Any, benchmark: Any, tmp_path: Path) -> None:
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

    def plain() -> None:
        yaml.safe_load(file.read_text(encoding="utf-8"))

    result = side_by_side(_ROUNDS, 1, {"load_config": lambda: load_config(file), "yaml": plain})

    assert len(load_config(file).sources) == 500
    benchmark.extra_info["ratio"] = round(result.ratio("load_config", "yaml"), 3)
    assert result.ratio("load_config", "yaml") <= 5


def test_whole_run(side_by_side: Any, process: Any, benchmark: Any, tmp_path: Path) -> None:
    """``floe-ingest run`` of ten rows beside a process that only imports; the target is 1.3."""
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
    works = {
        "run": process(["floe-ingest", "run", "ingest.yaml"]),
        "imports": process(["python", "-c", "import dlt, pyiceberg.catalog.sql, pyiceberg.io.pyarrow"]),
    }
    result = side_by_side(_ROUNDS, 1, works)

    benchmark.extra_info["ratio"] = round(result.ratio("run", "imports"), 3)
    assert result.ratio_of_cpu("run", "imports") <= 1.4
