"""File loads that are killed at their worst moments, with a cursor or by modification time, and run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake

MANY = 600_000
FEW = 5_000

SCRIPT = """
import os, signal
from floe_ingest.cli import main
from floe_ingest.destination.commit import TableCommit

real = TableCommit.run

def run(self):
    if {moment!r} == "before the commit":
        os.kill(os.getpid(), signal.SIGKILL)
    real(self)
    os.kill(os.getpid(), signal.SIGKILL)

TableCommit.run = run
main(["run", "ingest.yaml"])
"""

WAYS: dict[str, dict[str, Any]] = {
    "by a cursor": {"cursor_field": "at"},
    "by a cursor, merged": {"cursor_field": "at", "write_mode": "merge", "primary_key": "id"},
    "by modification time": {},
}


@pytest.fixture(params=WAYS)
def home(request: pytest.FixtureRequest, lake: Lake, tmp_path: Path) -> Path:
    """A folder with a configuration and a file that is loaded already."""
    settings: dict[str, Any] = {"path": "in", "file_glob": "*.parquet", "file_columns": ["_file_name"]}
    options = WAYS[request.param]
    if not options:
        settings["incremental"] = "modified"
    source = {"name": "src", "source_type": "filesystem", "source_config": settings}
    source |= {"destination_table": "raw.src", **options}
    document = {"catalog_config": {"name": "default", **lake.properties}, "sources": [source]}
    (tmp_path / "ingest.yaml").write_text(json.dumps(document))
    (tmp_path / "in").mkdir()
    put(tmp_path, "a", 0, FEW)
    assert again(tmp_path).returncode == 0
    return tmp_path


def put(home: Path, name: str, start: int, rows: int) -> None:
    # Ten rows share each moment, so that the last moment of a load is not all of it.
    ids = pa.array(range(start, start + rows), pa.int64())
    moments = pa.array([number // 10 for number in range(start, start + rows)], pa.int64())
    pq.write_table(pa.table({"id": ids, "at": moments}), home / "in" / f"{name}.parquet")


def again(home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "floe_ingest.cli", "run", "ingest.yaml"]
    return subprocess.run(command, cwd=home, check=False, capture_output=True, text=True, timeout=300)


def check(home: Path, lake: Lake, rows: int) -> None:
    """Run again, twice, and find every row once."""
    for _ in range(2):
        done = again(home)
        assert done.returncode == 0, done.stderr
    counts = "SELECT count(*) AS rows, count(DISTINCT id) AS ids, min(id) AS first, max(id) AS last FROM t"
    [found] = lake.duckdb("raw.src", counts).to_pylist()
    assert found == {"rows": rows, "ids": rows, "first": 0, "last": rows - 1}


@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
def test_killed_around_the_commit(home: Path, lake: Lake, moment: str) -> None:
    put(home, "b", FEW, FEW)
    script = textwrap.dedent(SCRIPT.format(moment=moment))
    killed = subprocess.run([sys.executable, "-c", script], cwd=home, check=False, timeout=300)
    assert killed.returncode == -signal.SIGKILL
    put(home, "c", 2 * FEW, FEW)
    check(home, lake, 3 * FEW)


def test_killed_while_files_are_written(home: Path, lake: Lake) -> None:
    put(home, "b", FEW, MANY)
    command = [sys.executable, "-m", "floe_ingest.cli", "run", "ingest.yaml"]
    with subprocess.Popen(command, cwd=home, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        end = time.monotonic() + 120
        while not any(_is_begun(home)) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(timeout=60) == -signal.SIGKILL
    [found] = lake.duckdb("raw.src", "SELECT count(*) AS rows FROM t").to_pylist()
    assert found == {"rows": FEW}
    check(home, lake, FEW + MANY)


def _is_begun(home: Path) -> list[Path]:
    return list(home.glob(".floe-ingest/**/landing/*/*.parquet"))
