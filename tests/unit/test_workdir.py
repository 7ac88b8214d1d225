"""Working folders of runs: one for each, whatever the run is called."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import floe_ingest
from floe_ingest.engine.workdir import folder_name, run_folder, run_id_of

if TYPE_CHECKING:
    from pathlib import Path

# What no file name, SQL driver or path template likes; and a date and time as orchestrators write them.
AWKWARD = [
    "2024-01-07T00:00:00+00:00",
    "a%3Ab",
    "100%",
    "../../elsewhere",
    "a/b",
    ".",
    "..",
    "=3A",
    "a+b",
    "é 日",
]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_name_is_one_folder_and_gives_the_id_back(run_id: str) -> None:
    name = folder_name(run_id)
    assert run_id_of(name) == run_id
    assert not set(name) & set("/%+\0")
    assert not name.startswith(".")


def test_two_at_once_have_the_same_id_and_folders_of_their_own(tmp_path: Path) -> None:
    with run_folder(tmp_path, "shop", "r-1", "") as one, run_folder(tmp_path, "shop", "r-1", "") as other:
        assert (one.run_id, other.run_id) == ("r-1", "r-1")
        assert one.path != other.path


def failed(home: Path, run_id: str, days_ago: float) -> Path:
    """Leave the folder of a run that failed some days ago."""
    with suppress(KeyError), run_folder(home, "shop", run_id, "") as folder:
        (folder.path / "package").write_text("rows")
        raise KeyError
    then = time.time() - days_ago * 86_400
    os.utime(folder.path / "lock", (then, then))
    return folder.path


def test_folders_that_nobody_came_back_for_are_removed(tmp_path: Path) -> None:
    """An orchestrator gives each run an id of its own: without that, each failure would stay for ever."""
    old, recent = failed(tmp_path, "r-1", 8), failed(tmp_path, "r-2", 6)
    with run_folder(tmp_path, "shop", "r-0", "") as at_work:
        then = time.time() - 30 * 86_400
        os.utime(at_work.path / "lock", (then, then))
        with run_folder(tmp_path, "shop", "r-3", ""):
            assert not old.exists()
            assert recent.exists()
            assert at_work.path.exists()


def test_a_run_that_is_tried_again_after_long_still_has_its_folder(tmp_path: Path) -> None:
    failed(tmp_path, "r-1", 30)
    with run_folder(tmp_path, "shop", "r-1", "") as again:
        assert again.resumed
        assert (again.path / "package").exists()
    assert not again.path.exists()
    path = failed(tmp_path, "r-1", 30)
    with pytest.raises(KeyError), run_folder(tmp_path, "shop", "r-1", ""):
        raise KeyError
    with run_folder(tmp_path, "shop", "r-2", ""):
        assert path.exists()


@pytest.mark.parametrize("run_id", AWKWARD)
def test_a_run_may_be_called_anything(run_id: str, tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    home.mkdir(parents=True)
    (home / "a.csv").write_text("id\n1\n")
    source = {
        "name": "files",
        "source_type": "filesystem",
        "source_config": {"path": ".", "file_glob": "*.csv"},
        "destination_table": "raw.a",
    }
    config = floe_ingest.DltIngestionConfig(sources=[source]).at(home / "ingest.yaml")
    for _ in range(2):
        result = floe_ingest.run(config, run_id=run_id)
        assert result.success, result.sources[0].errors
    assert result.run_id == run_id
    assert sorted(path.name for path in tmp_path.rglob("*.csv")) == ["a.csv"]
    assert not list((home / ".floe-ingest" / "files").iterdir())

    from pyiceberg.catalog import load_catalog

    lake = home / "warehouse"
    catalog = load_catalog("default", type="sql", uri=f"sqlite:///{lake / 'catalog.db'}")
    snapshots = catalog.load_table("raw.a").metadata.snapshots
    assert [snapshot.summary["floe-ingest.run-id"] for snapshot in snapshots] == [run_id]
    catalog.close()
