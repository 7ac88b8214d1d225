"""Kills real processes in the middle of a load, runs them again, and compares with the source."""

from __future__ import annotations

import json
import signal
import textwrap
import time
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Lake
from prefork import run_script

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.requirement("FR-027"),
    pytest.mark.requirement("FR-041"),
    pytest.mark.requirement("FR-057"),
]

# The kill stands at an edge: around a real function of ours, which runs or not as told.
LOADER = textwrap.dedent(
    """
    import json, os, signal, sys, threading
    import dlt, floe_ingest
    from floe_ingest.destination import chains, client, commit, orphans

    properties, work, point, run_id = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4] or None
    disposition = json.loads(sys.argv[5])
    if point == "after-an-hour":
        orphans.SAFE_AGE_SECONDS = -1

    def die(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGKILL)

    def around(owner, name, before=None, after=None, when=lambda *a: True):
        real = getattr(owner, name)
        def wrapped(*args, **kwargs):
            if before and when(*args):
                before()
            result = real(*args, **kwargs)
            if after and when(*args):
                after()
            return result
        setattr(owner, name, wrapped)

    of_root = lambda commit, *rest: commit._load.identifier[-1] == "orders"
    if point == "before-write":
        around(chains, "write_data_files", before=die)
    elif point == "after-write":
        around(chains, "write_data_files", after=die)
        around(chains, "merge_data_files", after=die)
    elif point == "between-tables":
        around(commit.TableCommit, "run", before=die, when=of_root)
    elif point == "after-commit":
        around(commit.TableCommit, "run", after=die, when=of_root)
    elif point == "between-roots":
        one_is_done = threading.Event()
        around(commit.TableCommit, "run", after=one_is_done.set, when=of_root)
        around(
            commit.TableCommit,
            "run",
            before=lambda: one_is_done.wait(60) and die(),
            when=lambda commit: commit._load.identifier[-1] == "others",
        )
    elif point == "before-done":
        around(client.IcebergClient, "complete_load", before=die)

    @dlt.resource(name="orders", write_disposition=disposition, primary_key="id")
    def orders(after=dlt.sources.incremental("id", initial_value=0)):
        for i in range(1, 51):
            if i > after.last_value:
                yield {"id": i, "lines": [{"n": i * 10 + j} for j in range(3)]}
                if point == "extract" and i == 25:
                    die()

    @dlt.resource(name="others", write_disposition="append")
    def others(after=dlt.sources.incremental("id", initial_value=0)):
        yield from ({"id": i} for i in range(1, 21) if i > after.last_value)

    pipeline = dlt.pipeline(
        "shop",
        destination=floe_ingest.iceberg(**properties, run_id=run_id),
        dataset_name="bronze",
        pipelines_dir=work,
    )
    pipeline.run([orders(), others()])
    """
)


DISPOSITIONS: dict[str, Any] = {
    "append": "append",
    "replace": "replace",
    "upsert": {"disposition": "merge", "strategy": "upsert"},
    "delete-insert": {"disposition": "merge", "strategy": "delete-insert"},
    "insert-only": {"disposition": "merge", "strategy": "insert-only"},
    "scd2": {"disposition": "merge", "strategy": "scd2"},
}


def load(
    lake: Lake,
    work: Path,
    point: str = "",
    run_id: str = "",
    disposition: str = "append",
    seconds: float | None = None,
) -> int:
    """Load in a process of its own, killed after ``seconds`` if they are given; return how it ended."""
    work.parent.mkdir(parents=True, exist_ok=True)
    script = work.parent / "loader.py"
    script.write_text(LOADER)
    words = [json.dumps(lake.properties), str(work), point, run_id, json.dumps(DISPOSITIONS[disposition])]
    return run_script(script, *words, seconds=seconds or 240, kill=seconds is not None)


@pytest.mark.parametrize(
    "point",
    [
        "extract",
        "before-write",
        "after-write",
        "between-tables",
        "between-roots",
        "after-commit",
        "before-done",
    ],
)
def test_killed_and_run_again_in_the_same_folder(lake: Lake, tmp_path: Path, point: str) -> None:
    assert load(lake, tmp_path / "work", point) == -signal.SIGKILL
    assert load(lake, tmp_path / "work") == 0

    assert_equal_to_source(lake)


@pytest.mark.dealt(all_on="nessie-minio")
@pytest.mark.parametrize("disposition", ["replace", "upsert", "delete-insert", "insert-only", "scd2"])
@pytest.mark.parametrize("point", ["after-write", "between-tables", "after-commit"])
@pytest.mark.parametrize("folder", ["work", "elsewhere"])
def test_merges_and_replaces_killed_and_run_again(
    lake: Lake, tmp_path: Path, disposition: str, point: str, folder: str
) -> None:
    assert load(lake, tmp_path / "work", point, "monday", disposition) == -signal.SIGKILL
    assert load(lake, tmp_path / folder, "", "monday", disposition) == 0

    assert_equal_to_source(lake)


@pytest.mark.parametrize("disposition", ["append", "delete-insert", "insert-only", "scd2"])
def test_rows_of_a_load_that_died_long_ago_go(lake: Lake, tmp_path: Path, disposition: str) -> None:
    assert load(lake, tmp_path / "one", "between-tables", disposition=disposition) == -signal.SIGKILL
    assert load(lake, tmp_path / "two", "after-an-hour", disposition=disposition) == 0

    assert_equal_to_source(lake)


@pytest.mark.parametrize(
    ("point", "run_id"),
    [
        ("extract", ""),
        ("before-write", ""),
        ("after-write", ""),
        ("between-roots", ""),
        ("after-commit", ""),
        ("before-done", ""),
        ("after-write", "monday"),
        ("between-roots", "monday"),
        ("between-tables", "monday"),
        ("after-commit", "monday"),
    ],
)
def test_killed_and_run_again_on_a_new_machine(lake: Lake, tmp_path: Path, point: str, run_id: str) -> None:
    assert load(lake, tmp_path / "one" / "work", point, run_id) == -signal.SIGKILL
    assert load(lake, tmp_path / "two" / "work", run_id=run_id) == 0

    assert_equal_to_source(lake)


@pytest.mark.parametrize("disposition", ["append", "upsert"])
def test_killed_at_any_instant(tmp_path: Path, disposition: str) -> None:
    started = time.monotonic()
    assert load(Lake(tmp_path / "measured"), tmp_path / "measuring" / "work", disposition=disposition) == 0
    whole = time.monotonic() - started
    for number, share in enumerate((0.2, 0.4, 0.6, 0.8)):
        elsewhere = Lake(tmp_path / f"lake{number}")
        work = tmp_path / f"at{number}" / "work"
        load(elsewhere, work, disposition=disposition, seconds=whole * share)

        assert load(elsewhere, work, disposition=disposition) == 0

        assert_equal_to_source(elsewhere)


def assert_equal_to_source(lake: Lake) -> None:
    others = lake.duckdb("bronze.others", "SELECT id FROM t ORDER BY id")["id"].to_pylist()
    assert others == list(range(1, 21))
    orders = lake.duckdb("bronze.orders", "SELECT id, _dlt_id FROM t").to_pylist()
    lines = lake.duckdb("bronze.orders__lines", "SELECT n, _dlt_parent_id FROM t").to_pylist()
    assert sorted(row["id"] for row in orders) == list(range(1, 51))
    assert sorted(row["n"] for row in lines) == sorted(i * 10 + j for i in range(1, 51) for j in range(3))
    assert {row["_dlt_parent_id"] for row in lines} == {row["_dlt_id"] for row in orders}
