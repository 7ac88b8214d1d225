"""`floe-ingest clean` removes what no snapshot references, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import floe_ingest
from floe_ingest import ConfigurationError, engine

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake


@pytest.fixture
def home(lake: Lake, tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "a.csv").write_text("id\n1\n2\n")
    object.__setattr__(lake, "folder", folder / "warehouse")
    source = {
        "name": "files",
        "source_type": "filesystem",
        "source_config": {"path": "./data"},
        "destination_table": "raw.files",
        "write_mode": "replace",
    }
    (folder / "ingest.yaml").write_text(json.dumps({"sources": [source]}))
    return folder


def data_files(home: Path) -> set[str]:
    return {path.name for path in (home / "warehouse" / "raw" / "files" / "data").rglob("*.parquet")}


def make_old(path: Path, hours: float) -> None:
    then = time.time() - hours * 3600
    os.utime(path, (then, then))


def test_only_old_files_that_no_snapshot_references_go(home: Path, lake: Lake) -> None:
    config = floe_ingest.load_config(home / "ingest.yaml")
    for _ in range(2):  # the first load's file is referenced by the first snapshot alone
        assert floe_ingest.run(config).success
    folder = home / "warehouse" / "raw" / "files" / "data"
    loaded = data_files(home)
    for file in folder.glob("*.parquet"):
        make_old(file, 100)
    for name, hours in (("old", 30), ("young", 5)):
        (folder / f"{name}.parquet").write_bytes(b"left by a load that died")
        make_old(folder / f"{name}.parquet", hours)

    would = engine.clean(config, dry_run=True)
    assert data_files(home) == loaded | {"old.parquet", "young.parquet"}
    report = engine.clean(config)

    assert [table.table for table in report.tables] == ["raw.files"]
    assert [file.rsplit("/", 1)[-1] for file in report.tables[0].files] == ["old.parquet"]
    assert would.tables == report.tables
    assert data_files(home) == loaded | {"young.parquet"}
    old_rows = lake.table("raw.files").scan(snapshot_id=lake.table("raw.files").snapshots()[0].snapshot_id)
    assert old_rows.to_arrow().num_rows == 2
    assert engine.clean(config, older_than=timedelta(hours=2)).tables[0].files[0].endswith("young.parquet")
    assert engine.clean(config, older_than=timedelta(hours=2)).tables == ()


@pytest.mark.parametrize(
    "write", [lambda path: f"file:{path}", str, lambda path: f"file://{path.parent}//{path.name}"]
)
def test_files_that_another_engine_names_otherwise_stay(home: Path, lake: Lake, write: Any) -> None:
    """Spark writes `file:/a` or, on S3, `s3a:` where PyIceberg lists `file:///a` and `s3:`."""
    import pyarrow.parquet as pq

    config = floe_ingest.load_config(home / "ingest.yaml")
    assert floe_ingest.run(config).success
    foreign = home / "warehouse" / "raw" / "files" / "data" / "of another engine.parquet"
    pq.write_table(lake.table("raw.files").scan().to_arrow(), foreign)
    lake.table("raw.files").add_files([write(foreign)])
    for file in foreign.parent.glob("*.parquet"):
        make_old(file, 100)

    assert engine.clean(config).tables == ()
    assert lake.table("raw.files").scan().to_arrow().num_rows == 4


def test_files_of_branches_tags_and_statistics_stay(home: Path, lake: Lake) -> None:
    from pyiceberg.table.statistics import StatisticsFile

    config = floe_ingest.load_config(home / "ingest.yaml")
    assert floe_ingest.run(config).success
    table = lake.table("raw.files")
    first = table.current_snapshot().snapshot_id
    table.manage_snapshots().create_branch(snapshot_id=first, branch_name="audit").commit()
    puffin = home / "warehouse" / "raw" / "files" / "data" / "statistics.puffin"
    puffin.write_bytes(b"PFA1")
    statistics = StatisticsFile(
        snapshot_id=first,
        statistics_path=puffin.as_uri(),
        file_size_in_bytes=4,
        file_footer_size_in_bytes=4,
        blob_metadata=[],
    )
    with table.update_statistics() as update:
        update.set_statistics(statistics)
    assert floe_ingest.run(config).success
    for file in puffin.parent.iterdir():
        make_old(file, 100)

    assert engine.clean(config).tables == ()
    assert puffin.exists()
    assert lake.table("raw.files").scan(snapshot_id=first).to_arrow().num_rows == 2


def test_a_file_of_a_package_that_waited_for_days_is_young(home: Path, lake: Lake) -> None:
    """The working folder's files are old; what they become in storage is about to be committed."""
    import dlt

    pipeline = dlt.pipeline(
        "shop",
        destination=floe_ingest.iceberg(**lake.properties),
        dataset_name="raw",
        pipelines_dir=str(home / "work"),
    )
    pipeline.extract(dlt.resource([{"id": 1}], name="files"))
    pipeline.normalize()
    for file in (home / "work").rglob("*.parquet"):
        make_old(file, 100)

    pipeline.load()

    young = time.time() - 3600
    assert all(path.stat().st_mtime > young for path in (home / "warehouse").rglob("*.parquet"))
    assert lake.table("raw.files").scan().to_arrow().num_rows == 1


def test_an_unsafe_age_is_refused(home: Path) -> None:
    config = floe_ingest.load_config(home / "ingest.yaml")

    with pytest.raises(ConfigurationError, match="may belong to a load on its way"):
        engine.clean(config, older_than=timedelta(minutes=5))


def test_the_command(home: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "floe_ingest.cli", *words]
        return subprocess.run(command, cwd=home, check=False, capture_output=True, text=True, timeout=60)

    assert run("clean", "ingest.yaml").stdout.strip() == "No file is left over."
    assert run("run", "ingest.yaml").returncode == 0
    left = home / "warehouse" / "raw" / "files" / "data" / "left.parquet"
    left.write_bytes(b"12345")
    make_old(left, 48)

    dry = run("clean", "ingest.yaml", "--dry-run", "--json")
    assert json.loads(dry.stdout) == {
        "removed": False,
        "tables": [{"table": "raw.files", "files": [f"file://{left}"], "bytes": 5}],
    }
    assert left.exists()
    done = run("clean", "ingest.yaml")
    assert "1 file, 5 bytes removed" in done.stdout
    assert not left.exists()
    assert run("clean", "ingest.yaml", "--older-than", "0.1").returncode == 2
