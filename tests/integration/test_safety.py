"""What a configuration and a failing load must not do: run code, or leave what others can read."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command where files are made for everybody, unless it says otherwise."""
    command = [sys.executable, "-m", "floe_ingest.cli", "run", "ingest.yaml"]
    return subprocess.run(
        command, cwd=folder, check=False, capture_output=True, text=True, timeout=120, umask=0
    )


@pytest.mark.parametrize(
    "value",
    ["!!python/object/apply:os.mkdir [made]", "!!python/name:os.mkdir", "!!python/object:os.DirEntry {}"],
)
def test_yaml_makes_no_python_objects(tmp_path: Path, value: str) -> None:
    (tmp_path / "ingest.yaml").write_text(f"sources: {value}\n", encoding="utf-8")

    done = run(tmp_path)

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "could not determine a constructor for the tag" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["ingest.yaml"]


def test_a_working_folder_is_its_owners_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("id\nx\n", encoding="utf-8")
    source = {
        "name": "files",
        "source_type": "filesystem",
        "source_config": {"path": "./data"},
        "destination_table": "raw.files",
    }
    # The warehouse is a file, so the load fails, and its working folder stays.
    (tmp_path / "lake").write_text("", encoding="utf-8")
    catalog = {
        "type": "sql",
        "uri": f"sqlite:///{tmp_path}/catalog.db",
        "warehouse": f"file://{tmp_path}/lake",
    }
    document = {"catalog_config": catalog, "sources": [source], "retry_config": {"max_retries": 0}}
    (tmp_path / "ingest.yaml").write_text(json.dumps(document), encoding="utf-8")

    assert run(tmp_path).returncode == 1

    root = tmp_path / ".floe-ingest"
    [run_folder] = (root / "files").iterdir()
    modes = [path.stat().st_mode & 0o777 for path in (root, root / "files", run_folder)]
    assert modes == [0o700] * 3
