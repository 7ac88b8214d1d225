"""``memory_limit`` of a configuration reaches every DuckDB that a load opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dlt
import pytest
from pydantic import BaseModel

import floe_ingest
from floe_ingest import BulkScan, SourceRequest, SourceType, hookimpl
from floe_ingest.plugins import load_plugins

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake


class NoConfig(BaseModel, extra="forbid"):
    pass


class Settings:
    """A source whose one row holds the memory limit under which it was read."""

    @hookimpl
    def floe_ingest_source_types(self) -> list[SourceType]:
        return [SourceType("settings", NoConfig, "DuckDB's own settings", capabilities=("bulk",))]

    @hookimpl
    def floe_ingest_build_source(self, request: SourceRequest) -> Any:
        scan = BulkScan("SELECT current_setting('memory_limit') AS memory_limit")
        return dlt.resource([scan], name="settings")


@pytest.mark.parametrize(("written", "told"), [(None, "488.2 MiB"), ("300MB", "286.1 MiB")])
def test_a_bulk_scan_runs_under_it(written: str | None, told: str, lake: Lake, tmp_path: Path) -> None:
    plugins = load_plugins(extra={"settings": Settings()})
    limit = f"memory_limit: {written}\n" if written else ""
    file = tmp_path / "ingest.yaml"
    file.write_text(
        f"catalog_config: {{uri: 'sqlite:///{lake.folder}/catalog.db', "
        f"warehouse: '{lake.folder.as_uri()}'}}\n{limit}"
        "sources:\n  - {name: s, source_type: settings, destination_table: raw.s}\n"
    )
    lake.folder.mkdir()
    result = floe_ingest.run(floe_ingest.load_config(file, plugins=plugins), plugins=plugins)

    assert result.success, result
    assert lake.rows("raw.s") == [{"memory_limit": told}]


def test_the_destination_merges_under_it(lake: Lake, tmp_path: Path) -> None:
    """A limit under which DuckDB cannot even open shows that it is the one in force."""
    destination = floe_ingest.iceberg(memory_limit="1KB", **lake.properties)
    pipeline = dlt.pipeline(
        "p", destination=destination, dataset_name="raw", pipelines_dir=str(tmp_path / "work")
    )
    with pytest.raises(Exception, match=r"Out of Memory|could not allocate"):
        pipeline.run(dlt.resource([{"id": 1}], name="t", write_disposition="merge", primary_key="id"))
