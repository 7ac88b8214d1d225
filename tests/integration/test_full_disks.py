"""Disks that are full or take no writes: clear errors, tables as they were, and runs that go on."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from small_disk import small_disk

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake

MODES: dict[str, Any] = {
    "append": {},
    "replace": {"write_mode": "replace"},
    "merge": {"write_mode": "merge", "primary_key": "id"},
}


@pytest.fixture
def home(lake: Lake, tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    (folder / "data").mkdir(parents=True)
    object.__setattr__(lake, "folder", folder / "warehouse")
    return folder


def write(home: Path, rows: int, mode: str = "append") -> None:
    """Write the configuration, and a file of rows that do not compress."""
    source = {
        "name": "files",
        "source_type": "filesystem",
        "source_config": {"path": "./data"},
        "destination_table": "raw.files",
        **MODES[mode],
    }
    retries = {"max_retries": 1, "initial_delay_seconds": 0.01}
    (home / "ingest.yaml").write_text(json.dumps({"sources": [source], "retry_config": retries}))
    lines = (f"{i},{os.urandom(40).hex()}" for i in range(rows))
    (home / "data" / "a.csv").write_text("\n".join(["id,v", *lines]))


def run(home: Path, **options: Any) -> tuple[int, dict[str, Any]]:
    """Run the command; return its exit code and document. It never shows a traceback."""
    command = [sys.executable, "-m", "floe_ingest.cli", "run", "ingest.yaml", "--json"]
    done = subprocess.run(
        command, cwd=home, check=False, capture_output=True, text=True, timeout=120, **options
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def the_error(result: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    code, document = result
    assert code == 1
    errors = document["errors"] if "errors" in document else document["sources"][0]["errors"]
    assert len(errors) == 1
    found: dict[str, Any] = errors[0]
    return found


def count(lake: Lake) -> int:
    return int(lake.duckdb("raw.files", "SELECT count(*) AS n FROM t")["n"][0].as_py())


@pytest.mark.parametrize("mode", MODES)
def test_a_full_warehouse(home: Path, lake: Lake, mode: str) -> None:
    with small_disk(home / "warehouse", "800k") as disk:
        write(home, 10, mode)
        assert run(home)[0] == 0
        write(home, 20_000, mode)

        error = the_error(run(home))

        assert (error["category"], error["type"]) == ("permanent", "StorageError")
        assert "No space is left at " in error["message"]
        assert count(lake) == 10
        disk.remount("size=100m")
        assert run(home)[0] == 0
        assert count(lake) == 20_000 + (10 if mode == "append" else 0)
        assert len(lake.table("raw.files").snapshots()) == 2


def test_a_disk_that_is_full_when_the_commit_writes_its_metadata(home: Path, lake: Lake) -> None:
    # The data file is small, and what it leaves is too little for manifests and metadata.
    with small_disk(home / "warehouse", "8m") as disk:
        write(home, 10)
        assert run(home)[0] == 0
        disk.fill(leave=12 * 1024)

        error = the_error(run(home))

        assert (error["category"], error["type"]) == ("permanent", "StorageError")
        assert "No space is left" in error["message"]
        assert count(lake) == 10
        disk.free()
        assert run(home)[0] == 0
        assert count(lake) == 20


def test_a_full_working_folder(home: Path, lake: Lake) -> None:
    with small_disk(home / ".floe-ingest", "600k") as disk:
        write(home, 20_000)

        error = the_error(run(home))

        assert error["category"] == "permanent"
        assert "No space left on device" in error["message"]
        disk.remount("size=100m")
        assert run(home)[0] == 0
        assert count(lake) == 20_000


def test_a_warehouse_that_takes_no_writes(home: Path, lake: Lake) -> None:
    with small_disk(home / "warehouse", "20m") as disk:
        write(home, 10)
        assert run(home)[0] == 0
        disk.remount("ro")

        error = the_error(run(home))

        assert (error["category"], error["type"]) == ("permanent", "StorageError")
        assert "Nothing can be written at " in error["message"]
        disk.remount("rw")
        assert count(lake) == 10
        assert run(home)[0] == 0
        assert count(lake) == 20


@pytest.mark.parametrize("first", [True, False], ids=["new folder", "known folder"])
def test_a_working_folder_that_takes_no_writes(home: Path, lake: Lake, first: bool) -> None:
    write(home, 10)
    with small_disk(home / ".floe-ingest", "20m") as disk:
        if not first:
            assert run(home)[0] == 0
        disk.remount("ro")

        error = the_error(run(home))

        assert (error["category"], error["type"]) == ("permanent", "StorageError")
        assert "Nothing can be written at " in error["message"]
        disk.remount("rw")
        assert run(home)[0] == 0
        assert count(lake) == (10 if first else 20)


def test_a_limit_on_the_size_of_files(home: Path, lake: Lake) -> None:
    """A quota of one user's: the kernel refuses the write, and no mount is needed for it."""
    write(home, 10)
    assert run(home)[0] == 0
    write(home, 20_000)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))

    error = the_error(run(home, preexec_fn=limit))

    assert error["category"] == "permanent"
    assert "File too large" in error["message"]
    assert count(lake) == 10
    assert run(home)[0] == 0
    assert count(lake) == 20_010
