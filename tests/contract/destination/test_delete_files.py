"""Tables that other engines have put delete files into: appended to, replaced, never merged wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dlt
import pytest
from delete_files import delete_equal, delete_positions
from dlt.pipeline.exceptions import PipelineStepFailed

import floe_ingest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake


@pytest.fixture
def pipeline(lake: Lake, tmp_path: Path) -> dlt.Pipeline:
    """A pipeline whose table has ten rows, two of which were deleted by position."""
    pipeline = dlt.pipeline(
        "shop",
        destination=floe_ingest.iceberg(**lake.properties),
        dataset_name="bronze",
        pipelines_dir=str(tmp_path / "work"),
    )
    load(pipeline, range(10), "append")
    delete_positions(lake.table("bronze.items"), [0, 4])
    assert ids(lake) == [1, 2, 3, 5, 6, 7, 8, 9]
    return pipeline


def load(pipeline: dlt.Pipeline, keys: range, disposition: Any) -> None:
    rows = [{"id": i} for i in keys]
    pipeline.run(dlt.resource(rows, name="items", write_disposition=disposition, primary_key="id"))


def ids(lake: Lake) -> list[int]:
    """Read the table by two readers that apply position deletes."""
    by_duckdb = sorted(lake.duckdb("bronze.items", "SELECT id FROM t")["id"].to_pylist())
    assert by_duckdb == sorted(row["id"] for row in lake.rows("bronze.items"))
    return by_duckdb


def test_an_append_leaves_deleted_rows_deleted(lake: Lake, pipeline: dlt.Pipeline) -> None:
    load(pipeline, range(20, 22), "append")

    assert ids(lake) == [1, 2, 3, 5, 6, 7, 8, 9, 20, 21]


def test_a_replace_takes_deletes_along(lake: Lake, pipeline: dlt.Pipeline) -> None:
    load(pipeline, range(3), "replace")

    assert ids(lake) == [0, 1, 2]
    load(pipeline, range(4, 6), {"disposition": "merge", "strategy": "upsert"})
    assert ids(lake) == [0, 1, 2, 4, 5]


@pytest.mark.parametrize("strategy", ["upsert", "delete-insert", "insert-only", "scd2"])
def test_a_merge_that_meets_deletes_is_refused(lake: Lake, pipeline: dlt.Pipeline, strategy: str) -> None:
    before = lake.table("bronze.items").metadata_location

    with pytest.raises(PipelineStepFailed) as failure:
        load(pipeline, range(3, 6), {"disposition": "merge", "strategy": strategy})

    assert "Table bronze.items has delete files, which cannot be merged yet. Compact it" in str(failure.value)
    assert lake.table("bronze.items").metadata_location == before


def test_a_merge_of_other_keys_goes_on(lake: Lake, pipeline: dlt.Pipeline) -> None:
    load(pipeline, range(30, 32), {"disposition": "merge", "strategy": "upsert"})

    assert ids(lake) == [1, 2, 3, 5, 6, 7, 8, 9, 30, 31]


def test_a_merge_that_meets_equality_deletes_is_refused(lake: Lake, pipeline: dlt.Pipeline) -> None:
    delete_equal(lake.table("bronze.items"), "id", [7])

    with pytest.raises(PipelineStepFailed, match=r"Table bronze\.items has equality deletes"):
        load(pipeline, range(3, 6), {"disposition": "merge", "strategy": "upsert"})
    pipeline.drop_pending_packages()
    load(pipeline, range(3), "replace")

    assert lake.duckdb("bronze.items", "SELECT id FROM t ORDER BY id")["id"].to_pylist() == [0, 1, 2]
