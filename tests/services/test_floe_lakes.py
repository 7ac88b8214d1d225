"""floe's plugin on a REST catalog and S3: by catalog_config, and by the binding that floe composes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from floe_core.plugin_metadata import HealthState
from floe_core.plugins.ingestion import IngestionConfig
from floe_core.schemas.compiled_artifacts import CatalogDeploymentBinding, StorageDeploymentBinding
from gateway import CLIENT, Gateway, gateway
from lakes import ServedLake, served_lake
from rest_support import pages, serving

from floe_ingest import DltIngestionPlugin
from floe_ingest.destination.catalogs import close_catalogs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.together import Services

PAGED = {"type": "page_number", "base_page": 1, "total_path": None, "has_more_path": "more"}


@pytest.fixture
def lake(services: Services, tmp_path: Path) -> Iterator[ServedLake]:
    with served_lake("rest-minio", services, tmp_path / "lake") as made:
        yield made
        close_catalogs()


@pytest.fixture
def door(services: Services, lake: ServedLake) -> Iterator[Gateway]:
    """The same lake behind OAuth2, with storage credentials that are lent for each table."""
    with gateway(services.rest_minio, services.minio) as running:
        yield running


def ids(lake: ServedLake, table: str = "bronze.orders") -> list[int]:
    """Read by DuckDB, which knows nothing of us."""
    return lake.duckdb(table, "SELECT id FROM t ORDER BY id")["id"].to_pylist()


@pytest.mark.requirement("FR-020")
@pytest.mark.requirement("FR-026")
@pytest.mark.requirement("FR-078")
@pytest.mark.requirement("SC-005")
def test_every_write_mode_by_catalog_config(lake: ServedLake) -> None:
    plugin = DltIngestionPlugin({"catalog_config": lake.properties})
    plugin.startup()
    for mode, rows, expected in (
        ("append", [1, 2], [1, 2]),
        ("merge", [2, 3], [1, 2, 3]),
        ("append", [4], [1, 2, 3, 4]),
        ("replace", [9], [9]),
    ):
        pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders", mode))
        result = plugin.run(pipeline, source=[{"id": row} for row in rows], primary_key="id")
        assert (result.success, result.rows_loaded, result.errors) == (True, len(rows), [])
        assert result.bytes_written > 0
        assert ids(lake) == expected
    status = plugin.health_check()
    assert status.state is HealthState.HEALTHY
    assert status.details["catalog"] == "reached, 1 namespace"
    assert status.details["response_time_ms"] < 1000  # the plan asks for an answer within a second
    plugin.shutdown()


def composed(door: Gateway, lake: ServedLake) -> tuple[StorageDeploymentBinding, CatalogDeploymentBinding]:
    """What floe's storage and catalog plugins would bring, for MinIO and a catalog with OAuth2."""
    assert lake.store is not None
    endpoint = {
        "internal_url": lake.store.endpoint,
        "external_url": lake.store.endpoint,
        "region": "us-east-1",
        "warehouse_path": lake.store.warehouse,
        "path_style_access": True,
    }
    storage = {
        "provider": "minio",
        "endpoint": endpoint,
        "warehouse": {"uri": lake.store.warehouse, "bucket": "lake"},
        "credentials": {"mode": "environment", "env_refs": {"accessKeyId": "MINIO_KEY"}},
        "runtime": {"env_refs": {}},
        "dbt": {"profile_name": "p", "target_name": "dev", "schema_name": "main"},
        "dagster": {"resource_key": "iceberg", "asset_io_manager_key": "io"},
    }
    rest = {
        "catalog_name": "book-lake",
        "uri": door.uri,
        "warehouse": "lake",
        "properties": {"header.X-Iceberg-Access-Delegation": "vended-credentials"},
        "oauth2": {
            "client_id_env": "LAKE_ID",
            "client_secret_env": "LAKE_SECRET",
            "oauth2_server_uri_env": "LAKE_TOKENS",
            "oauth2_scope_default": "PRINCIPAL_ROLE:ALL",
        },
    }
    return (
        StorageDeploymentBinding.model_validate(storage),
        CatalogDeploymentBinding.model_validate({"provider": "rest", "iceberg_rest": rest}),
    )


@pytest.mark.requirement("FR-019")
@pytest.mark.requirement("FR-026")
@pytest.mark.requirement("FR-078")
def test_a_load_through_the_composed_binding(
    door: Gateway, lake: ServedLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The catalog asks for a token and lends the storage's keys; the binding holds no secret."""
    monkeypatch.setenv("LAKE_ID", CLIENT)
    monkeypatch.setenv("LAKE_SECRET", door.secret)
    monkeypatch.setenv("LAKE_TOKENS", f"{door.uri}/v1/oauth/tokens")
    storage, catalog = composed(door, lake)
    plugin = DltIngestionPlugin()
    binding = plugin.build_deployment_binding(storage=storage, catalog=catalog)
    assert door.secret not in binding.model_dump_json()
    assert lake.store is not None
    assert lake.store.secret_key not in binding.model_dump_json()
    before = dict(os.environ)

    plugin.startup()
    config = IngestionConfig("rest_api", {}, "bronze.orders", runtime_binding=binding.dlt)
    pipeline = plugin.create_pipeline(config)
    result = plugin.run(pipeline, source=[{"id": 1}, {"id": 2}])
    assert (result.success, result.errors) == (True, [])
    assert door.lent, "no storage credentials were lent"
    assert ids(lake) == [1, 2]

    door.grants = frozenset()
    refused = plugin.run(plugin.create_pipeline(config), source=[{"id": 3}])
    assert not refused.success
    assert refused.errors[0].startswith("permanent: CatalogAccessError")
    assert door.secret not in refused.errors[0]
    assert ids(lake) == [1, 2]
    plugin.shutdown()
    assert dict(os.environ) == before


@pytest.mark.requirement("FR-027")
def test_many_runs_at_once(lake: ServedLake) -> None:
    """Threads that share the plugin and a table on S3: each row is there once."""
    plugin = DltIngestionPlugin({"catalog_config": lake.properties})
    plugin.startup()
    failures: list[Any] = []

    def work(number: int) -> None:
        pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders"))
        result = plugin.run(pipeline, source=[{"id": number}])
        failures.extend(result.errors)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    plugin.shutdown()
    assert failures == []
    assert ids(lake) == [0, 1, 2, 3]


@pytest.mark.requirement("SC-004")
def test_a_rest_api_to_iceberg_on_s3_within_half_a_minute(lake: ServedLake, tmp_path: Path) -> None:
    """The plan's own figure: the whole command, from an API of 1,000 records to a table on S3."""
    records = [{"id": number, "amount": number * 10} for number in range(1000)]
    with serving() as api:
        api.routes["/orders"] = pages(records, 100)
        source = {
            "name": "shop",
            "source_type": "rest_api",
            "source_config": {
                "client": {"base_url": api.url, "paginator": PAGED},
                "resources": [{"name": "orders", "endpoint": {"path": "orders", "data_selector": "data"}}],
            },
            "destination_table": "bronze.orders",
            "write_mode": "replace",
        }
        file = tmp_path / "ingest.yaml"
        document = {"catalog_config": lake.properties, "sources": [source]}
        file.write_text(yaml.safe_dump(document), encoding="utf-8")
        started = time.monotonic()
        command = [Path(sys.executable).with_name("floe-ingest"), "run", file]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        seconds = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    assert ids(lake) == list(range(1000))
    assert seconds < 30, f"took {seconds:.1f} s"
