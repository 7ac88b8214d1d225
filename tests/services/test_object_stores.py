"""Tables on Google Cloud Storage and Azure Blob Storage: each kind of load, and a crash's re-run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dlt
import pytest
from dlt.destinations.adapters import iceberg_adapter
from pyiceberg.catalog import load_catalog

import floe_ingest
from floe_ingest.destination import cleaning
from floe_ingest.destination.catalogs import close_catalogs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from services.together import Services


@pytest.fixture(params=["gcs", "azurite"])
def properties(
    request: pytest.FixtureRequest, services: Services, tmp_path: Path
) -> Iterator[dict[str, str]]:
    store = getattr(services, request.param)
    yield {
        "type": "sql",
        "uri": f"sqlite:///{tmp_path / 'catalog.db'}",
        "warehouse": f"{store.warehouse}/{tmp_path.name}",
        **store.properties,
    }
    close_catalogs()


def load(properties: dict[str, str], folder: Path, rows: Any, disposition: Any, **options: Any) -> None:
    partition = options.pop("partition", None)
    resource = dlt.resource(rows, name="items", write_disposition=disposition, primary_key="id")
    dlt.pipeline(
        "shop",
        destination=floe_ingest.iceberg(**properties, **options),
        dataset_name="bronze",
        pipelines_dir=str(folder),
    ).run(iceberg_adapter(resource, partition=partition) if partition else resource)


def rows(properties: dict[str, str]) -> list[tuple[int, str]]:
    table = load_catalog("default", **properties).load_table("bronze.items")
    return sorted((row["id"], row["v"]) for row in table.scan().to_arrow().to_pylist())


def test_append_merge_replace_and_run_again(properties: dict[str, str], tmp_path: Path) -> None:
    work = tmp_path / "work"
    load(properties, work, [{"id": i, "v": "a"} for i in range(4)], "append", partition="v")
    load(properties, work, [{"id": i, "v": "b"} for i in range(4, 6)], "append")
    assert rows(properties) == [*((i, "a") for i in range(4)), *((i, "b") for i in range(4, 6))]

    load(properties, work, [{"id": i, "v": "c"} for i in range(3, 8)], "merge")
    assert rows(properties) == [*((i, "a") for i in range(3)), *((i, "c") for i in range(3, 8))]

    for folder in ("one", "two"):
        load(properties, tmp_path / folder, [{"id": 9, "v": "d"}], "append", run_id="monday")
    assert rows(properties)[-1] == (9, "d")
    assert len(rows(properties)) == 9

    load(properties, work, [{"id": 1, "v": "e"}], "replace")
    assert rows(properties) == [(1, "e")]
    table = load_catalog("default", **properties).load_table("bronze.items")
    assert len(table.snapshots()) == 5


def test_files_that_no_snapshot_references_are_found(properties: dict[str, str], tmp_path: Path) -> None:
    from datetime import UTC, datetime, timedelta

    load(properties, tmp_path / "work", [{"id": 1, "v": "a"}], "append")
    table = load_catalog("default", **properties).load_table("bronze.items")
    with table.io.new_output(f"{table.location()}/data/left.parquet").create() as file:
        file.write(b"left by a load that died")

    soon = datetime.now(UTC) + timedelta(minutes=1)
    left = cleaning.left_files(table, soon)
    assert [file.location for file in left] == [f"{table.location()}/data/left.parquet"]
    cleaning.remove(table, left)
    assert cleaning.left_files(table, soon) == []
    assert rows(properties) == [(1, "a")]
