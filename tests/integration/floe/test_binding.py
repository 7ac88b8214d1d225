"""What floe composes at compile time, and what becomes of it at run time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from floe_core.composition.models import CapabilitySet, PluginCapabilities
from floe_core.composition.resolver import CompositionResolver
from floe_core.plugins.ingestion import IngestionConfig
from floe_core.schemas.compiled_artifacts import CatalogDeploymentBinding, StorageDeploymentBinding

import floe_ingest
from floe_ingest import DltIngestionPlugin, PipelineConfigurationError
from floe_ingest.integrations.floe.binding import bound_catalog

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake


def storage(**more: Any) -> StorageDeploymentBinding:
    return StorageDeploymentBinding.model_validate(
        {
            "provider": "minio",
            "endpoint": {
                "internal_url": "http://minio:9000",
                "external_url": "http://localhost:9000",
                "region": "us-east-1",
                "warehouse_path": "s3://lake/wh",
                "path_style_access": True,
            },
            "warehouse": {"uri": "s3://lake/wh", "bucket": "lake"},
            "credentials": {"mode": "environment", "env_refs": {"accessKeyId": "MINIO_KEY"}},
            "runtime": {"env_refs": {"accessKeyId": "MINIO_KEY", "secretAccessKey": "MINIO_SECRET"}},
            "dbt": {"profile_name": "p", "target_name": "dev", "schema_name": "main"},
            "dagster": {"resource_key": "iceberg", "asset_io_manager_key": "io"},
            **more,
        }
    )


def catalog(**rest: Any) -> CatalogDeploymentBinding:
    return CatalogDeploymentBinding.model_validate(
        {
            "provider": "rest",
            "iceberg_rest": {
                "catalog_name": "book-lake",
                "uri": "http://polaris:8181/api/catalog",
                "warehouse": "lake",
                "properties": {"header.X-Iceberg-Access-Delegation": "vended-credentials"},
                **rest,
            },
        }
    )


@pytest.mark.requirement("FR-019")
def test_composition() -> None:
    """floe's own resolver accepts what fits, and refuses what does not."""
    requirements = DltIngestionPlugin().get_composition_requirements()
    fits = [
        PluginCapabilities(
            plugin_type="storage",
            plugin_name="minio",
            capabilities=CapabilitySet(protocols=["s3-compatible"], credential_modes=["environment"]),
        ),
        PluginCapabilities(
            plugin_type="catalog",
            plugin_name="polaris",
            capabilities=CapabilitySet(catalog_providers=["iceberg-rest"], table_formats=["iceberg"]),
        ),
    ]
    assert CompositionResolver().validate(fits, [requirements]).valid
    assert not CompositionResolver().validate(fits[:1], [requirements]).valid


@pytest.mark.requirement("FR-019")
@pytest.mark.requirement("FR-020")
@pytest.mark.requirement("FR-070")
def test_the_binding_comes_back_as_catalog_properties(tmp_path: Path) -> None:
    """Built before startup, without a secret; read with those of the environment filled in."""
    oauth2 = {
        "client_id_env": "LAKE_ID",
        "client_secret_env": "LAKE_SECRET",
        "oauth2_server_uri_env": "LAKE_TOKENS",
        "oauth2_scope_default": "PRINCIPAL_ROLE:ALL",
    }
    binding = DltIngestionPlugin().build_deployment_binding(storage=storage(), catalog=catalog(oauth2=oauth2))
    assert binding.dlt.source_filesystem["endpoint_url"] == "http://minio:9000"
    environ = {
        "LAKE_ID": "root",
        "LAKE_SECRET": "s3cr3t",
        "LAKE_TOKENS": "http://polaris:8181/tokens",
        "MINIO_KEY": "admin",
        "MINIO_SECRET": "password123",
    }
    assert not any(value in binding.model_dump_json() for value in ("s3cr3t", "password123"))
    for form in (binding.dlt, binding.dlt.model_dump(mode="python"), binding.model_dump(mode="json")):
        found = bound_catalog(form, tmp_path, environ)
        assert (found.name, found.type) == ("book-lake", "rest")
        expected = {
            "uri": "http://polaris:8181/api/catalog",
            "warehouse": "lake",
            "header.x-iceberg-access-delegation": "vended-credentials",
            "credential": "root:s3cr3t",
            "scope": "PRINCIPAL_ROLE:ALL",
            "oauth2-server-uri": "http://polaris:8181/tokens",
            "s3.endpoint": "http://minio:9000",
            "s3.region": "us-east-1",
            "s3.access-key-id": "admin",
            "s3.secret-access-key": "password123",
        }
        assert expected.items() <= dict(found.properties).items()


def test_what_cannot_be_bound() -> None:
    plugin = DltIngestionPlugin()
    with pytest.raises(PipelineConfigurationError, match="warehouse"):
        plugin.build_deployment_binding(storage=storage(warehouse=None), catalog=catalog())
    with pytest.raises(PipelineConfigurationError, match="REST"):
        plugin.build_deployment_binding(
            storage=storage(), catalog=CatalogDeploymentBinding(provider="hadoop")
        )


@pytest.mark.requirement("FR-019")
@pytest.mark.requirement("FR-070")
def test_a_run_through_a_binding(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """``catalog_config`` goes first; without it the binding says where; the environment stays as it is."""
    monkeypatch.setenv("LAKE_URI", lake.properties["uri"])
    binding = {
        "iceberg_catalog_env": {
            "PYICEBERG_CATALOG__DEFAULT__TYPE": "sql",
            "PYICEBERG_CATALOG__DEFAULT__WAREHOUSE": lake.properties["warehouse"],
        },
        "env_refs": {"PYICEBERG_CATALOG__DEFAULT__URI": "LAKE_URI", "AWS_ACCESS_KEY_ID": "NOT_SET"},
    }
    lake.catalog()
    before = dict(os.environ)
    plugin = DltIngestionPlugin()
    plugin.startup()
    pipeline = plugin.create_pipeline(
        IngestionConfig("rest_api", {}, "bronze.orders", runtime_binding=binding)
    )
    assert plugin.run(pipeline, source=[{"id": 1}]).rows_loaded == 1
    assert plugin.health_check().details["catalog"] == "reached, 1 namespace"
    plugin.shutdown()
    assert dict(os.environ) == before
    assert [row["id"] for row in lake.rows("bronze.orders")] == [1]
    plugin.startup()
    with pytest.raises(PipelineConfigurationError, match="names no catalog"):
        plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders", runtime_binding={}))
    plugin.shutdown()


@pytest.mark.requirement("FR-020")
def test_destination_config(lake: Lake) -> None:
    """What it returns are the arguments of our dlt destination, also under floe's names for S3 and MinIO."""
    plugin = DltIngestionPlugin()
    config = plugin.get_destination_config(
        {
            "type": "rest",
            "uri": "http://polaris:8181/api/catalog",
            "warehouse": "lake",
            "s3_endpoint": "http://minio:9000",
            "s3_access_key": "admin",
            "s3_secret_key": "password123",
            "s3_region": "us-east-1",
        }
    )
    assert config == {
        "catalog_name": "default",
        "type": "rest",
        "uri": "http://polaris:8181/api/catalog",
        "warehouse": "lake",
        "s3.endpoint": "http://minio:9000",
        "s3.access-key-id": "admin",
        "s3.secret-access-key": "password123",
        "s3.region": "us-east-1",
    }
    local = plugin.get_destination_config(dict(lake.properties))
    import dlt

    pipeline = dlt.pipeline("x", destination=floe_ingest.iceberg(**local), dataset_name="bronze")
    pipeline.run([{"id": 1}], table_name="orders")
    assert len(lake.rows("bronze.orders")) == 1
    with pytest.raises(PipelineConfigurationError, match="no-such-type"):
        plugin.get_destination_config({"type": "no-such-type"})
