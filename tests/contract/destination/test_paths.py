"""Folders, partition values and names that DuckDB takes for something else: right files, right rows."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa
import pytest
from dlt.destinations.adapters import iceberg_adapter
from dlt.pipeline.exceptions import PipelineStepFailed
from lakes import Lake

import floe_ingest
from floe_ingest.destination.catalogs import close_catalogs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Each also matches the name beside it, as a pattern.
FOLDERS = {"a[1]b": "a1b", "a*b": "axxb", "[!z]": "a", "**": "a"}
VALUES = [
    "*",
    "a?",
    "ab",
    "[ab]",
    "a",
    "null",
    "01",
    "1",
    "2024-01-01",
    "true",
    "",
    "a/b",
    "a%2Fb",
    "{a,b}",
    None,
]


@dataclass(frozen=True)
class LakeInFolder(Lake):
    """A catalog whose data is in a folder with a name of any kind."""

    warehouse: str = ""

    @property
    def properties(self) -> dict[str, str]:
        return {**super().properties, "warehouse": f"file://{self.folder / self.warehouse}"}


@pytest.fixture(params=FOLDERS, ids=list(FOLDERS))
def odd_lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LakeInFolder]:
    yield LakeInFolder(tmp_path / "lake", request.param)
    close_catalogs()


def items(rows: pa.Table, disposition: Any, partition: list[str] | None) -> Any:
    resource = dlt.resource(rows, name="items", write_disposition=disposition, primary_key="id")
    return iceberg_adapter(resource, partition=partition) if partition else resource


@pytest.mark.parametrize("partition", [None, ["v"]], ids=["flat", "partitioned"])
def test_only_the_tables_own_files_are_read(
    odd_lake: LakeInFolder, tmp_path: Path, partition: list[str] | None
) -> None:
    pipeline = dlt.pipeline(
        "shop",
        destination=floe_ingest.iceberg(
            **odd_lake.properties, scratch_folder=str(tmp_path / f"scratch {odd_lake.warehouse}")
        ),
        dataset_name="bronze",
        pipelines_dir=str(tmp_path / f"work {odd_lake.warehouse}"),
    )
    count = len(VALUES)
    table = pa.table({"id": range(count), "v": VALUES, "n": [0] * count})
    pipeline.run(items(table, "append", partition))
    # What a pattern would find as well: the same files, a level beside.
    shutil.copytree(odd_lake.folder / odd_lake.warehouse, odd_lake.folder / FOLDERS[odd_lake.warehouse])

    for start, n in ((0, 1), (5, 2)):
        changed = pa.table({"id": range(start, count), "v": VALUES[start:], "n": [n] * (count - start)})
        pipeline.run(items(changed, {"disposition": "merge", "strategy": "upsert"}, partition))

    expected = [(i, value, 1 if i < 5 else 2) for i, value in enumerate(VALUES)]
    for rows in (odd_lake.rows("bronze.items"), _by_pyarrow(odd_lake, tmp_path)):
        assert sorted((row["id"], row["v"], row["n"]) for row in rows) == expected


@pytest.mark.parametrize("name", ["a?b", "a#b"])
def test_a_warehouse_that_pyiceberg_cuts_off_is_refused(tmp_path: Path, name: str) -> None:
    lake = LakeInFolder(tmp_path / "lake", name)
    pipeline = dlt.pipeline(
        "shop",
        destination=floe_ingest.iceberg(**lake.properties),
        dataset_name="bronze",
        pipelines_dir=str(tmp_path / "work"),
    )

    with pytest.raises(PipelineStepFailed, match=f"takes what follows [{name[1]}] for a query"):
        pipeline.run([{"id": 1}], table_name="items")


def _by_pyarrow(lake: LakeInFolder, tmp_path: Path) -> list[dict[str, Any]]:
    """Read the current data files one by one; DuckDB's reader of tables takes paths for patterns itself."""
    import pyarrow.parquet as pq

    rows = []
    for number, file in enumerate(lake.table("bronze.items").inspect.files()["file_path"].to_pylist()):
        copy = tmp_path / f"{number}.parquet"
        shutil.copy(file.removeprefix("file://"), copy)
        rows += pq.ParquetFile(copy).read().to_pylist()
    return rows


@pytest.mark.parametrize("odd_lake", ["a[1]b"], indirect=True)
@pytest.mark.parametrize("name", ["file_row_number", "FILE_ROW_NUMBER", "filename", "file_index"])
def test_columns_that_have_names_of_duckdbs_own(
    odd_lake: LakeInFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The last of several rows with one key wins, and a sorted load is cut into files, whatever names are."""
    monkeypatch.setenv("SCHEMA__NAMING", "direct")
    pipeline = dlt.pipeline(
        "shop",
        destination=floe_ingest.iceberg(**odd_lake.properties),
        dataset_name="bronze",
        pipelines_dir=str(tmp_path / "work"),
    )
    count = 300_000
    rows = pa.table({"id": [i % 200_000 for i in range(count)], name: [count - i for i in range(count)]})

    def load(disposition: Any) -> None:
        resource = dlt.resource(rows, name="items", write_disposition=disposition, primary_key="id")
        resource.apply_hints(
            additional_table_hints={
                "x-iceberg-sort": [{"column": "id", "descending": False}],
                "x-iceberg-table-properties": {"write.target-file-size-bytes": "200000"},
            }
        )
        pipeline.run(resource)

    load({"disposition": "merge", "strategy": "upsert"})
    found = odd_lake.table("bronze.items").scan().to_arrow().sort_by("id")
    assert found["id"].to_pylist() == list(range(200_000))
    last = [count - (i + 200_000 if i < 100_000 else i) for i in range(200_000)]
    assert found[name].to_pylist() == last

    load("replace")
    found = odd_lake.table("bronze.items").scan().to_arrow()
    assert found.num_rows == count
    assert sorted(found[name].to_pylist()) == list(range(1, count + 1))
    assert odd_lake.table("bronze.items").inspect.files().num_rows > 1
