"""Sources of one run load side by side: at once, apart from each other, and ended together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel
from sample_packages import install_module

import floe_ingest
from floe_ingest import BulkScan, DltIngestionConfig, SourceRequest, SourceType, hookimpl
from floe_ingest.dataplane.connection import share_of_memory
from floe_ingest.plugins import Plugins, load_plugins

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Lake


class MeetConfig(BaseModel, extra="forbid"):
    fail: bool = False


class Meet:
    """Sources that go on only once a number of them are under way at the same time."""

    def __init__(self, parties: int) -> None:
        self.barrier = threading.Barrier(parties, timeout=30)
        self.limits: dict[str, str] = {}

    @hookimpl
    def floe_ingest_source_types(self) -> list[SourceType]:
        return [SourceType("meet", MeetConfig, "Waits for others", capabilities=("bulk",))]

    @hookimpl
    def floe_ingest_build_source(self, request: SourceRequest) -> Any:
        import dlt

        def wait() -> Iterator[Any]:
            self.barrier.wait()
            if request.config.fail:
                raise ValueError("this one fails")
            yield BulkScan(
                "SELECT current_setting('memory_limit') AS memory_limit, ? AS source", (request.name,)
            )

        return dlt.resource(wait, name="met")


def _plugins(meet: Meet) -> Plugins:
    return load_plugins(extra={"meet": meet})


def _config(lake: Lake, *names: str, failing: str = "") -> DltIngestionConfig:
    return DltIngestionConfig(
        catalog_config={"name": "default", **lake.properties},
        sources=[
            {
                "name": name,
                "source_type": "meet",
                "source_config": {"fail": name == failing},
                "destination_table": f"raw.{name}",
            }
            for name in names
        ],
    )


def test_sources_are_under_way_at_once_and_told_in_order(lake: Lake) -> None:
    names = ("d", "a", "c", "b")
    result = floe_ingest.run(_config(lake, *names), plugins=_plugins(Meet(4)), jobs=4)
    assert result.success, result
    assert tuple(source.name for source in result.sources) == names
    for name in names:
        assert [row["source"] for row in lake.rows(f"raw.{name}")] == [name]


def test_memory_is_divided_over_the_sources_at_once(lake: Lake) -> None:
    limits = []
    for jobs in (1, 4):
        meet = Meet(jobs)
        names = tuple(f"n{jobs}_{number}" for number in range(4))
        assert floe_ingest.run(_config(lake, *names), plugins=_plugins(meet), jobs=jobs).success
        limits.append({lake.rows(f"raw.{name}")[0]["memory_limit"] for name in names})
    assert limits == [{"488.2 MiB"}, {"122.0 MiB"}]


def test_one_that_fails_stops_no_other(lake: Lake) -> None:
    result = floe_ingest.run(_config(lake, "a", "b", "c", failing="b"), plugins=_plugins(Meet(3)), jobs=3)
    assert [source.success for source in result.sources] == [True, False, True]
    assert "this one fails" in result.sources[1].errors[0].message
    assert len(lake.rows("raw.a")) == len(lake.rows("raw.c")) == 1


def test_many_sources_by_few_threads_each_keep_their_own_state(lake: Lake, tmp_path: Path) -> None:
    """Cursors, schemas and working folders of twelve pipelines do not mix, over three runs."""
    import dlt

    class Steps:
        @hookimpl
        def floe_ingest_source_types(self) -> list[SourceType]:
            return [SourceType("steps", MeetConfig, "Counts on from its cursor")]

        @hookimpl
        def floe_ingest_build_source(self, request: SourceRequest) -> Any:
            number = int(request.name[1:])

            def count(
                at: Any = dlt.sources.incremental("id", initial_value=number * 1000),
            ) -> Iterator[dict[str, Any]]:
                start = at.last_value
                yield from ({"id": start + step, f"own_{number}": number} for step in range(1, 6))

            return dlt.resource(count, name="steps")

    config = DltIngestionConfig(
        catalog_config={"name": "default", **lake.properties},
        sources=[
            {"name": f"s{number}", "source_type": "steps", "destination_table": f"raw.s{number}"}
            for number in range(12)
        ],
    )
    plugins = load_plugins(extra={"steps": Steps()})
    for _ in range(3):
        result = floe_ingest.run(config, plugins=plugins, jobs=4)
        assert result.success, result
    for number in range(12):
        rows = lake.rows(f"raw.s{number}")
        assert sorted(row["id"] for row in rows) == [number * 1000 + step for step in range(1, 16)]
        assert {name for name in rows[0] if name.startswith("own_")} == {f"own_{number}"}
        assert len(lake.table(f"raw.s{number}").snapshots()) == 3


def test_the_callers_active_pipeline_stays(lake: Lake, tmp_path: Path) -> None:
    import dlt

    mine = dlt.pipeline("mine", pipelines_dir=str(tmp_path / "mine"))
    assert floe_ingest.run(_config(lake, "a"), plugins=_plugins(Meet(1))).success
    assert dlt.pipeline().pipeline_name == mine.pipeline_name


@pytest.mark.parametrize("jobs", [0, -1])
def test_no_jobs_are_none(lake: Lake, jobs: int) -> None:
    with pytest.raises(ValueError, match=f"jobs must be at least 1, got {jobs}"):
        floe_ingest.run(_config(lake, "a"), plugins=_plugins(Meet(1)), jobs=jobs)


def test_shares_of_memory() -> None:
    assert share_of_memory("512MB", 2) == "256MB"
    assert share_of_memory("1GiB", 1) == "1073MB"
    assert share_of_memory("100MB", 50) == "64MB"
    with pytest.raises(ValueError, match=r'"512MB" or "2GiB", got \'much\''):
        share_of_memory("much", 1)


BUSY = """
import itertools
import time
from pathlib import Path
import dlt
import pyarrow as pa
from floe_ingest import BulkScan, SourceType, hookimpl
from pydantic import BaseModel

BATCH = pa.record_batch({"n": [1]})

class Busy(BaseModel, extra="forbid"):
    way: str

@hookimpl
def floe_ingest_source_types():
    return [SourceType("busy", Busy, "Never ends", capabilities=("bulk",))]

def work(name, way):
    Path(name + ".started").touch()
    if way == "query":
        yield BulkScan("SELECT sum(a.i * b.i) AS s FROM range(100000000) a(i), range(100000000) b(i)")
    elif way == "batches":
        yield BulkScan.of_batches(lambda: itertools.repeat(BATCH), BATCH.schema, origin="batches")
    elif way == "asleep":
        time.sleep(600)
    elif way == "failing":
        raise ConnectionError("not now")
    else:
        number = 0
        while True:
            number += 1
            yield {"n": number}

@hookimpl
def floe_ingest_build_source(request):
    return dlt.resource(work(request.name, request.config.way), name="busy")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "ways", [("query", "rows"), ("failing", "query"), ("asleep", "rows"), ("batches", "query")]
)
def test_an_interrupt_ends_all(ways: tuple[str, ...], number: signal.Signals, tmp_path: Path) -> None:
    install_module("busyplugin", BUSY, tmp_path)
    sources = "".join(
        f"  - {{name: s{way}, source_type: busy, destination_table: raw.{way}, "
        f"source_config: {{way: {way}}}}}\n"
        for way in ways
    )
    retry = "retry_config: {max_retries: 5, initial_delay_seconds: 200}\n"
    (tmp_path / "ingest.yaml").write_text(f"{retry}sources:\n{sources}", encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "floe_ingest.cli", "run", "ingest.yaml", "--jobs", "2"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not all((tmp_path / f"s{way}.started").exists() for way in ways):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-1].startswith("Interrupted. Tables are as they were")
    assert "Traceback" not in err


def test_libraries_are_imported_before_there_are_threads(tmp_path: Path) -> None:
    """Two threads that import pyarrow at the same time may be given half of it."""
    script = tmp_path / "cold.py"
    script.write_text(
        """
import sys
import threading
from pathlib import Path

from pydantic import BaseModel

import floe_ingest
from floe_ingest.plugins import load_plugins

WANTED = {"dlt", "duckdb", "pyarrow.parquet", "pyarrow.compute", "pyiceberg.io.pyarrow", "sqlalchemy"}
missing = []


class Empty(BaseModel):
    pass


class Plugin:
    @floe_ingest.hookimpl
    def floe_ingest_source_types(self):
        return [floe_ingest.SourceType("looks", Empty, "Looks at what is imported")]

    @floe_ingest.hookimpl
    def floe_ingest_check_source(self, request):
        missing.append(WANTED - set(sys.modules))
        return floe_ingest.SourceCheck()

    @floe_ingest.hookimpl
    def floe_ingest_build_source(self, request):
        import dlt

        missing.append(WANTED - set(sys.modules))
        return dlt.resource([{"id": 1}], name="rows")


sources = [
    {"name": name, "source_type": "looks", "destination_table": f"raw.{name}"} for name in ("one", "two")
]
config = floe_ingest.DltIngestionConfig(sources=sources).at(Path(sys.argv[1]) / "ingest.yaml")
result = floe_ingest.run(config, plugins=load_plugins(extra={"looks": Plugin()}))
assert result.success, result
assert missing == [set()] * 4, missing
"""
    )
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
