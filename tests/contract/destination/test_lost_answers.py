"""Commits whose answer is lost, refused or wrong: the table holds the load once, and no file too many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed
from flaky import Flaky

import floe_ingest
from floe_ingest.destination import commit

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from conftest import Lake

DISPOSITIONS: dict[str, Any] = {
    "append": "append",
    "replace": "replace",
    "upsert": {"disposition": "merge", "strategy": "upsert"},
}


@pytest.fixture
def pipeline(lake: Lake, tmp_path: Path) -> dlt.Pipeline:
    Flaky.faults.clear()
    Flaky.commits.clear()
    properties = {key: value for key, value in lake.properties.items() if key != "type"}
    properties["py-catalog-impl"] = lake.flaky
    return dlt.pipeline(
        "shop",
        destination=floe_ingest.iceberg(**properties),
        dataset_name="bronze",
        pipelines_dir=str(tmp_path / "work"),
    )


def load(pipeline: dlt.Pipeline, ids: range, disposition: str) -> None:
    how = DISPOSITIONS[disposition]
    pipeline.run(
        dlt.resource([{"id": i} for i in ids], name="items", write_disposition=how, primary_key="id")
    )


@pytest.mark.dealt(all_on="nessie-minio")
@pytest.mark.parametrize("disposition", DISPOSITIONS)
@pytest.mark.parametrize("first", [True, False], ids=["new table", "known table"])
@pytest.mark.parametrize(
    "faults",
    [
        ["lost"],
        ["unknown"],
        ["reset"],
        ["busy"],
        ["conflict", "conflict"],
        ["repeated"],
        ["conflict", "repeated"],
        ["unknown", "conflict", "lost"],
        ["conflict", "unknown", "reset"],
    ],
    ids="+".join,
)
def test_a_load_lands_once(
    lake: Lake, pipeline: dlt.Pipeline, disposition: str, first: bool, faults: list[str]
) -> None:
    expected = list(range(10))
    before: set[str] = set()
    if not first:
        load(pipeline, range(5), disposition)
        before = lake.stored_files("bronze.items")  # older snapshots need them, shown or not
        expected = sorted([*range(5), *expected]) if disposition == "append" else expected
    Flaky.faults.extend(faults)

    load(pipeline, range(10), disposition)

    assert sorted(row["id"] for row in lake.duckdb("bronze.items").to_pylist()) == expected
    assert lake.snapshots("bronze.items") == (1 if first else 2)
    assert not Flaky.faults
    if not {"lost", "unknown", "reset", "busy"} & set(faults):  # with these, files may be left
        assert_no_file_too_many(lake, before)


def files_of(lake: Lake) -> list[str]:
    return lake.table("bronze.items").inspect.all_files()["file_path"].to_pylist()


def assert_no_file_too_many(lake: Lake, before: Collection[str] = ()) -> None:
    known = {file.removeprefix("file:").lstrip("/") for file in (*files_of(lake), *before)}
    there = {file.removeprefix("file:").lstrip("/") for file in lake.stored_files("bronze.items")}
    assert there == known


def test_a_table_that_never_stands_still_ends_in_a_clear_error(
    lake: Lake, pipeline: dlt.Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(pipeline, range(5), "append")
    monkeypatch.setattr(commit, "ATTEMPTS", 3)
    Flaky.faults.extend(["conflict"] * 3)

    with pytest.raises(PipelineStepFailed, match="could not be committed in 3 attempts: refused"):
        load(pipeline, range(5, 10), "append")

    assert sorted(row["id"] for row in lake.rows("bronze.items")) == list(range(5))
    assert_no_file_too_many(lake)
    load(pipeline, range(5, 10), "append")  # takes up the package that was left
    assert sorted(row["id"] for row in lake.rows("bronze.items")) == list(range(10))
