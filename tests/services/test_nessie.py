"""What is particular to Nessie: it shows the newest snapshot alone, and reads commits in its own way."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import dlt
import pytest
from dlt.destinations.adapters import iceberg_adapter
from dlt.pipeline.exceptions import PipelineStepFailed
from lakes import Lake, served_lake

import floe_ingest
from floe_ingest.destination.catalogs import close_catalogs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from services.together import Services


@pytest.fixture
def lake(services: Services, tmp_path: Path) -> Iterator[Lake]:
    with served_lake("nessie-minio", services, tmp_path / "lake") as lake:
        yield lake
        close_catalogs()


def floe_ingest_command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "floe_ingest.cli", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=240, cwd=home)


def test_clean_is_refused_and_says_what_cleans_instead(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("id\n1\n2\n")
    source = {
        "name": "files",
        "source_type": "filesystem",
        "source_config": {"path": "./data"},
        "destination_table": "bronze.files",
        "write_mode": "replace",
    }
    config = {"catalog_config": dict(lake.properties), "sources": [source]}
    (tmp_path / "ingest.yaml").write_text(json.dumps(config))
    for _ in range(2):
        ran = floe_ingest_command(tmp_path, "run", "ingest.yaml", "--json")
        assert ran.returncode == 0, ran.stderr
    before = lake.stored_files("bronze.files")
    assert len(before) == 2  # the older one is needed by an older commit of the branch

    for options in ([], ["--dry-run"]):
        refused = floe_ingest_command(tmp_path, "clean", "ingest.yaml", *options)

        said = " ".join(refused.stderr.split())
        assert refused.returncode == 2, said
        assert "Nessie shows the newest snapshot of a table alone" in said
        assert "nessie-gc" in said
        assert "Traceback" not in said
    assert lake.stored_files("bronze.files") == before


def test_format_version_1_is_refused(lake: Lake, tmp_path: Path) -> None:
    """Nessie makes tables of version 2, whatever is asked for."""
    pipeline = dlt.pipeline(
        "shop",
        destination=floe_ingest.iceberg(**lake.properties),
        dataset_name="bronze",
        pipelines_dir=str(tmp_path / "work"),
    )
    resource = dlt.resource([{"id": 1}], name="items")

    with pytest.raises(PipelineStepFailed, match="format-version cannot be applied: Cannot downgrade v2"):
        pipeline.run(iceberg_adapter(resource, table_properties={"format-version": "1"}))

    assert not lake.catalog().table_exists("bronze.items")


@pytest.mark.parametrize("load_between", [False, True], ids=["at once", "after another load"])
def test_the_id_of_a_dropped_column_is_not_used_again(lake: Lake, tmp_path: Path, load_between: bool) -> None:
    """Its values would come back as those of the new column."""

    def load(rows: list[dict[str, object]], folder: str) -> None:
        dlt.pipeline(
            "shop",
            destination=floe_ingest.iceberg(**lake.properties),
            dataset_name="bronze",
            pipelines_dir=str(tmp_path / folder),
        ).run(rows, table_name="items", write_disposition="append")

    load([{"id": 1, "old": "gone"}], "1")
    last = lake.table("bronze.items").metadata.last_column_id
    for column in ("old", "_dlt_id", "_dlt_load_id"):
        with lake.table("bronze.items").update_schema(allow_incompatible_changes=True) as update:
            update.delete_column(column)
    assert lake.table("bronze.items").schema().highest_field_id < last
    if load_between:
        lake.table("bronze.items").append(lake.table("bronze.items").scan().to_arrow())

    load([{"id": 2, "new": "there"}], "2")

    table = lake.table("bronze.items")
    assert table.schema().find_field("new").field_id > last
    assert table.metadata.last_column_id >= table.schema().find_field("new").field_id
    found = {(row["id"], row["new"]) for row in lake.duckdb("bronze.items").to_pylist()}
    assert found == {(1, None), (2, "there")}
