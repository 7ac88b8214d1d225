"""Run with the Python of an environment that has floe-orchestrator-dagster: a product, compiled and run.

Arguments: a folder for the product, and the folder of its lake. Prints one JSON document.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PRODUCT = "bookshop"


def artifacts(sources: list[dict[str, Any]], lake: Path) -> str:
    """Compiled artifacts whose ``plugins.ingestion`` is ours, as floe writes them."""
    from floe_core.schemas.compiled_artifacts import CompiledArtifacts

    catalog = {
        "ICEBERG_CATALOG__ICEBERG_CATALOG_NAME": "book-lake",
        "PYICEBERG_CATALOG__BOOK_LAKE__TYPE": "sql",
        "PYICEBERG_CATALOG__BOOK_LAKE__WAREHOUSE": lake.as_uri(),
    }
    document = {
        "metadata": {
            "compiled_at": datetime.now(UTC).isoformat(),
            "floe_version": "0.1.0",
            "source_hash": "sha256:" + "0" * 64,
            "product_name": PRODUCT,
            "product_version": "1.0.0",
        },
        "identity": {"product_id": f"sales.{PRODUCT}", "domain": "sales", "repository": "example"},
        "observability": {
            "telemetry": {
                "enabled": False,
                "resource_attributes": {
                    "service_name": PRODUCT,
                    "service_version": "1.0.0",
                    "deployment_environment": "dev",
                    "floe_namespace": "sales",
                    "floe_product_name": PRODUCT,
                    "floe_product_version": "1.0.0",
                    "floe_mode": "dev",
                },
            },
            "lineage_namespace": "sales",
        },
        "plugins": {
            "compute": {"type": "duckdb", "version": "1.0.0"},
            "orchestrator": {"type": "dagster", "version": "1.0.0"},
            "ingestion": {"type": "dlt", "version": "0.1.0", "config": {"sources": sources}},
        },
        "deployment": {
            "ingestion": {
                "provider": "dlt",
                "dlt": {
                    "plugin_name": "dlt",
                    "destination": "filesystem",
                    "table_format": "iceberg",
                    "iceberg_catalog_env": catalog,
                    "env_refs": {"PYICEBERG_CATALOG__BOOK_LAKE__URI": "BOOK_LAKE_URI"},
                },
            }
        },
    }
    return CompiledArtifacts.model_validate(document).model_dump_json()


SOURCES: list[dict[str, Any]] = [
    {
        "name": "orders",
        "source_type": "filesystem",
        "source_config": {"path": "data/orders", "format": "jsonl", "file_glob": "*.jsonl"},
        "destination_table": "bronze.orders",
        "write_mode": "merge",
        "primary_key": "id",
        "partition_by": ["bucket[2](id)"],
    },
    {
        "name": "customers",
        "source_type": "filesystem",
        "source_config": {
            "path": "data/customers.csv",
            "format": "csv",
            "reader_options": {"sep": ";", "chunksize": 1000},
        },
        "destination_table": "bronze.customers",
        "write_mode": "replace",
    },
    {
        "name": "broken",
        "source_type": "filesystem",
        "source_config": {"path": "data/broken", "format": "jsonl"},
        "destination_table": "bronze.customers_frozen",
        "schema_contract": "freeze",
    },
]


def write_product(folder: Path, lake: Path) -> None:
    (folder / "target").mkdir(parents=True)
    (folder / "data" / "orders").mkdir(parents=True)
    (folder / "data" / "broken").mkdir()
    (folder / "compiled_artifacts.json").write_text(artifacts(SOURCES, lake), encoding="utf-8")
    empty = ("nodes", "sources", "exposures", "metrics", "semantic_models", "saved_queries", "unit_tests")
    manifest: dict[str, Any] = {key: {} for key in (*empty, "child_map", "parent_map", "groups", "macros")}
    manifest["metadata"] = {"adapter_type": "duckdb", "project_name": PRODUCT}
    (folder / "target" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "data" / "orders" / "1.jsonl").write_text('{"id": 1, "n": 5}\n{"id": 2, "n": 6}\n')
    (folder / "data" / "customers.csv").write_text("id;name\n1;Ada\n2;Bob\n3;Cid\n")
    (folder / "data" / "broken" / "1.jsonl").write_text('{"id": 1}\n')


def definitions(folder: Path) -> Any:
    """The product's definitions, by the file that the orchestrator generates."""
    from floe_orchestrator_dagster import DagsterOrchestratorPlugin

    file = DagsterOrchestratorPlugin().generate_entry_point_code(PRODUCT, str(folder))
    spec = importlib.util.spec_from_file_location("product_definitions", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.defs


def main() -> None:
    folder, lake = Path(sys.argv[1]), Path(sys.argv[2])
    os.environ["BOOK_LAKE_URI"] = f"sqlite:///{lake / 'catalog.db'}"
    from dagster import AssetKey, DagsterInstance

    lake.mkdir(parents=True)
    write_product(folder, lake)
    loaded = definitions(folder)
    job = loaded.resolve_implicit_global_asset_job_def()
    told: dict[str, Any] = {
        "assets": sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys)
    }
    before = dict(os.environ)

    def materialize(name: str) -> Any:
        key = AssetKey(name)
        with DagsterInstance.local_temp() as instance:
            result = job.execute_in_process(asset_selection=[key], instance=instance, raise_on_error=False)
            if not result.success:
                failure = next(event for event in result.all_events if event.is_step_failure)
                return str(failure.event_specific_data.error)
            value = result.asset_value(key)
            return {"rows": value.rows_loaded, "success": value.success, "bytes": value.bytes_written}

    told["orders"] = materialize("run_ingestion_orders")
    told["customers"] = materialize("run_ingestion_customers")
    (folder / "data" / "orders" / "1.jsonl").write_text('{"id": 2, "n": 60}\n{"id": 3, "n": 7}\n')
    told["orders again"] = materialize("run_ingestion_orders")
    told["broken"] = materialize("run_ingestion_broken")
    (folder / "data" / "broken" / "1.jsonl").write_text('{"id": 1, "late": true}\n')
    told["broken again"] = materialize("run_ingestion_broken")
    told["environment"] = sorted(
        key for key in {*before, *os.environ} if before.get(key) != os.environ.get(key)
    )
    print(json.dumps(told))


if __name__ == "__main__":
    main()
