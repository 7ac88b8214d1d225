"""floe's Dagster orchestrator, 0.1.0a1, loads and runs a product whose ingestion plugin is ours.

It needs an older pyarrow than our development environment, so it gets an environment of its own below
``build/``, which is kept: the first time takes a minute or two, later ones seconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyiceberg.catalog import load_catalog
from readers import read_by_duckdb

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

pytestmark = pytest.mark.servers("floe's orchestrator")

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ["floe-orchestrator-dagster==0.1.0a1", "dagster-dlt>=0.29,<0.30", "pandas>=2.2,<4"]


@pytest.fixture(scope="module")
def python() -> Path:
    """The Python of an environment with the orchestrator and this checkout."""
    folder = ROOT / "build" / "floe-orchestrator"
    program = folder / "bin" / "python"
    made_of = hashlib.sha256("\n".join([(ROOT / "pyproject.toml").read_text(), *PACKAGES]).encode())
    stamp = folder / "made-of"
    if not stamp.exists() or stamp.read_text() != made_of.hexdigest():
        if not program.exists():
            venv.create(folder, with_pip=True, symlinks=True)
        install = [program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--editable", f"{ROOT}[floe]", *PACKAGES], check=True, timeout=900)
        stamp.write_text(made_of.hexdigest())
    return program


@pytest.fixture(scope="module")
def told(python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the product said of itself, and where its lake is."""
    folder = tmp_path_factory.mktemp("floe")
    environment = {
        **os.environ,
        "DLT_DATA_DIR": str(folder / "dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    program = Path(__file__).with_name("floe_product.py")
    run = subprocess.run(
        [python, program, folder / "product", folder / "lake"],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        cwd=folder,  # not the product's own folder, as little as in a cluster
        env=environment,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    return {**json.loads(run.stdout.splitlines()[-1]), "lake": folder / "lake"}


def lake(told: dict[str, Any]) -> Catalog:
    folder: Path = told["lake"]
    return load_catalog(
        "book-lake", type="sql", uri=f"sqlite:///{folder / 'catalog.db'}", warehouse=folder.as_uri()
    )


@pytest.mark.timeout(1200)
@pytest.mark.requirement("FR-059")
@pytest.mark.requirement("FR-060")
@pytest.mark.requirement("FR-062")
def test_the_orchestrator_finds_configures_and_runs_it(told: dict[str, Any]) -> None:
    """The value of each asset came back through Dagster's own storage, so it pickles."""
    assert told["assets"] == [
        "run_ingestion_broken",
        "run_ingestion_customers",
        "run_ingestion_orders",
    ]
    assert told["orders"]["success"] is True
    assert told["orders"]["rows"] == 2
    assert told["orders"]["bytes"] > 0
    assert told["customers"]["rows"] == 3
    assert told["orders again"]["rows"] == 2


@pytest.mark.timeout(1200)
def test_the_tables_are_in_the_catalog_of_the_runtime_binding(told: dict[str, Any]) -> None:
    """Merged by the configured key; partitioned as configured, which the orchestrator cannot say."""
    catalog = lake(told)
    orders = catalog.load_table("bronze.orders")
    assert {row["id"]: row["n"] for row in orders.scan().to_arrow().to_pylist()} == {1: 5, 2: 60, 3: 7}
    assert str(orders.spec().fields[0].transform) == "bucket[2]"
    customers = catalog.load_table("bronze.customers")
    names = read_by_duckdb(customers.metadata_location, "SELECT name FROM t ORDER BY name")
    assert names.to_pydict() == {"name": ["Ada", "Bob", "Cid"]}


@pytest.mark.timeout(1200)
def test_a_failed_load_fails_its_asset(told: dict[str, Any]) -> None:
    assert told["broken"]["rows"] == 1
    assert "late" in told["broken again"]
    assert "frozen" in told["broken again"]
    assert lake(told).load_table("bronze.customers_frozen").scan().to_arrow().num_rows == 1


@pytest.mark.timeout(1200)
def test_the_process_environment_is_as_before(told: dict[str, Any]) -> None:
    assert told["environment"] == []
