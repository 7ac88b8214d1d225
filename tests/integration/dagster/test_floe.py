"""The functions that an orchestrator of floe calls, on compiled artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
from dagster_shop import key
from floe_core.schemas.compiled_artifacts import CompiledArtifacts
from floe_product import SOURCES, artifacts
from lakes import Lake

from floe_ingest import InvalidConfigError, PipelineConfigurationError
from floe_ingest.integrations.dagster import (
    create_ingestion_assets,
    create_ingestion_resources,
    try_create_ingestion_resources,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CompiledArtifacts:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BOOK_LAKE_URI", f"sqlite:///{tmp_path / 'lake' / 'catalog.db'}")
    (tmp_path / "lake").mkdir()
    (tmp_path / "data" / "orders").mkdir(parents=True)
    (tmp_path / "data" / "orders" / "1.jsonl").write_text('{"id": 1, "n": 5}\n{"id": 2, "n": 6}\n')
    return CompiledArtifacts.model_validate_json(artifacts(SOURCES[:1], tmp_path / "lake"))


@pytest.mark.requirement("FR-059")
@pytest.mark.requirement("FR-060")
@pytest.mark.requirement("FR-062")
def test_a_product_is_loaded_into_the_catalog_of_its_deployment(
    product: CompiledArtifacts, tmp_path: Path
) -> None:
    resources = try_create_ingestion_resources(product.plugins)
    assert list(resources) == ["dlt"]
    plugin = resources["dlt"]
    try:
        assets = create_ingestion_assets(product, plugin)
        result = dg.materialize(assets)
    finally:
        plugin.shutdown()
    assert result.success
    assert {asset for found in assets for asset in found.keys} == {key("orders__orders")}
    from pyiceberg.catalog import load_catalog

    catalog = load_catalog("book-lake", **Lake(tmp_path / "lake").properties)
    rows = catalog.load_table("bronze.orders").scan().to_arrow().to_pylist()
    assert sorted((row["id"], row["n"]) for row in rows) == [(1, 5), (2, 6)]


@pytest.mark.requirement("FR-063")
def test_another_plugin_is_none_of_ours(product: CompiledArtifacts) -> None:
    assert product.plugins is not None
    assert product.plugins.ingestion is not None
    assert try_create_ingestion_resources(None) == {}
    without = product.plugins.model_copy(update={"ingestion": None})
    assert try_create_ingestion_resources(without) == {}
    other = product.plugins.ingestion.model_copy(update={"type": "airbyte"})
    changed = product.plugins.model_copy(update={"ingestion": other})
    assert try_create_ingestion_resources(changed) == {}
    with pytest.raises(PipelineConfigurationError, match="airbyte"):
        create_ingestion_resources(other)


def test_a_plugin_that_cannot_work_is_not_passed_over(product: CompiledArtifacts) -> None:
    assert product.plugins is not None
    assert product.plugins.ingestion is not None
    wrong: dict[str, Any] = {"sources": [{**SOURCES[0], "source_type": "filesistem"}]}
    broken = product.plugins.ingestion.model_copy(update={"config": wrong})
    plugins = product.plugins.model_copy(update={"ingestion": broken})
    with pytest.raises(InvalidConfigError, match="filesystem"):
        try_create_ingestion_resources(plugins)
