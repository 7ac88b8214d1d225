"""Names and values that would be paths out of a folder, were they ever used as ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from ways_in import load_query

import floe_ingest
from floe_ingest.config import parse_config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Lake

PATHS = [
    "../../out",
    "../" * 12 + "tmp/out",
    "/out",
    "..",
    "a/../../../out",
    "..\\..\\out",
    "%2e%2e%2fout",
    "file:///out",
    "~/out",
    "out\n../out",
    "c" * 200,
]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """The folder of a configuration, deep in another one, in which nothing else appears."""
    home = tmp_path / "outside" / "around" / "home"
    (home / "data").mkdir(parents=True)
    yield home
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["around"]
    assert [path.name for path in (tmp_path / "outside" / "around").iterdir()] == ["home"]
    assert {path.name for path in home.iterdir()} <= {"data", "ingest.yaml", "lake", ".floe-ingest"}


@pytest.fixture
def inner(home: Path) -> Lake:
    from conftest import Lake

    return Lake(home / "lake")


def files(lake: Lake, **options: Any) -> floe_ingest.RunResult:
    source = {
        "name": "files",
        "source_type": "filesystem",
        "source_config": {"path": "data"},
        "destination_table": "raw.files",
    }
    document = {"catalog_config": lake.properties, "retry_config": {"max_retries": 0}}
    run_id = options.pop("run_id", None)
    config = parse_config(document | {"sources": [source | options]}, path=lake.folder.parent / "ingest.yaml")
    return floe_ingest.run(config, run_id=run_id)


def loads_or_says(lake: Lake, word: str, **options: Any) -> bool:
    """Return whether files load with these options, or are refused by an error with this word in it."""
    try:
        return files(lake, **options).success
    except floe_ingest.ConfigurationError as refused:
        return word in str(refused)


@pytest.mark.parametrize("value", PATHS)
def test_a_value_that_partitions_a_table(home: Path, inner: Lake, value: str) -> None:
    (home / "data" / "a.jsonl").write_text(json.dumps({"id": 1, "part": value}) + "\n")

    assert files(inner, partition_by=["part"]).success

    assert [row["part"] for row in inner.duckdb("raw.files").to_pylist()] == [value]
    table = inner.table("raw.files")
    location = table.location().removeprefix("file://")
    for task in table.scan().plan_files():
        path = task.file.file_path.removeprefix("file://")
        assert path.startswith(f"{location}/")
        assert ".." not in path.split("/")


@pytest.mark.parametrize("name", [path for path in PATHS if "/" not in path])
def test_the_name_of_a_file(home: Path, inner: Lake, name: str) -> None:
    # Files and folders whose names begin with a dot are left out.
    (home / "data" / f"n{name}.csv").write_text("id\n1\n")
    (home / "data" / f"part={name}").mkdir()
    (home / "data" / f"part={name}" / "b.csv").write_text("id\n2\n")

    assert files(inner, source_config={"path": "data", "file_glob": "**/*.csv"}).success

    assert sorted(row["id"] for row in inner.duckdb("raw.files").to_pylist()) == [1, 2]


@pytest.mark.parametrize("name", PATHS)
def test_the_name_of_a_source_or_a_run(home: Path, inner: Lake, name: str) -> None:
    (home / "data" / "a.csv").write_text("id\n1\n")

    with pytest.raises(floe_ingest.ConfigurationError, match="name"):
        files(inner, name=name)
    for run_id in (name, f"{name}/{name}"):
        assert loads_or_says(inner, "run id", run_id=run_id)


@pytest.mark.parametrize("name", PATHS)
def test_the_name_of_a_table(home: Path, inner: Lake, name: str) -> None:
    (home / "data" / "a.csv").write_text("id\n1\n")

    for table in (f"raw.{name}", f"{name}.files"):
        assert loads_or_says(inner, "destination_table", destination_table=table)
    for namespace in inner.catalog().list_namespaces():
        for identifier in inner.catalog().list_tables(namespace):
            location = inner.catalog().load_table(identifier).location()
            assert location.startswith(f"{inner.properties['warehouse']}/")


@pytest.mark.parametrize("table", ["raw.{}", "{}.files", "raw.{}_{{resource}}"])
def test_the_longest_name_of_a_table(home: Path, inner: Lake, table: str) -> None:
    (home / "data" / "a.csv").write_text("id\n1\n")
    longest = table.format("t" * (160 - len(table.format(""))))

    assert files(inner, name="s" * 64, destination_table=longest).success
    with pytest.raises(
        floe_ingest.ConfigurationError, match="destination_table: should have at most 160 characters, not 161"
    ):
        files(inner, destination_table=longest.replace("t", "tt", 1))


@pytest.mark.parametrize("name", [name for name in PATHS if "\n" not in name])
@pytest.mark.parametrize("way", ["scan", "rows"])
def test_the_name_of_a_column(home: Path, inner: Lake, name: str, way: str) -> None:
    result = load_query(inner, home, f"SELECT 1 AS id, 'x' AS \"{name}\"", way, partition_by=[name])

    assert result.success, result.errors
