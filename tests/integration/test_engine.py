"""Runs of whole configurations, read back by other readers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from pydantic import BaseModel

import floe_ingest
from floe_ingest import (
    BulkScan,
    ConfigurationError,
    ErrorCategory,
    InvalidConfigError,
    RunContext,
    RunResult,
    SourceRequest,
    SourceResult,
    SourceType,
    hookimpl,
)
from floe_ingest.plugins import Plugins, load_plugins

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from conftest import Lake


class NumbersConfig(BaseModel, extra="forbid"):
    count: int = 10
    fail_times: int = 0
    error: str = "ConnectionError"
    resources: list[str] = ["numbers"]


class Numbers:
    """A source package as third parties write it, with failures on demand."""

    def __init__(self) -> None:
        self.failures = 0
        self.events: list[str] = []

    @hookimpl
    def floe_ingest_source_types(self) -> list[SourceType]:
        return [
            SourceType("numbers", NumbersConfig, "Counts"),
            SourceType("bulk_numbers", NumbersConfig, "Counts by DuckDB", capabilities=("bulk",)),
        ]

    @hookimpl
    def floe_ingest_build_source(self, request: SourceRequest) -> Any:
        import dlt

        config: NumbersConfig = request.config
        if request.source_type == "bulk_numbers":
            return dlt.resource(self._scan(config.count), name="numbers")
        return [dlt.resource(self._count(config), name=name) for name in config.resources]

    def _scan(self, count: int) -> Iterator[BulkScan]:
        yield BulkScan(
            "SELECT i AS id, (i / 4)::DECIMAL(12, 2) AS price, "
            "TIMESTAMP '2024-01-01' + i * INTERVAL 1 DAY AS at, "
            'i::UTINYINT AS "Small One", uuid() AS u FROM range(?) t(i)',
            (count,),
        )

    def _count(self, config: NumbersConfig) -> Iterator[dict[str, int]]:
        yield {"id": 0}
        if self.failures < config.fail_times:
            self.failures += 1
            raise {"ConnectionError": ConnectionError, "ValueError": ValueError}[config.error](
                "refused password=hunter2"
            )
        for i in range(1, config.count):
            yield {"id": i}

    @hookimpl
    def floe_ingest_before_run(self, context: RunContext) -> None:
        self.events.append(f"before {','.join(context.sources)}")

    @hookimpl
    def floe_ingest_after_run(self, context: RunContext, result: RunResult) -> None:
        self.events.append(f"after {result.success}")

    @hookimpl
    def floe_ingest_enrich_result(self, context: RunContext, result: SourceResult) -> Mapping[str, Any]:
        return {"rows_twice": result.rows_loaded * 2}

    @hookimpl
    def floe_ingest_categorize_error(self, error: BaseException, context: RunContext) -> ErrorCategory | None:
        return ErrorCategory.TRANSIENT if "retry me" in getattr(error, "__notes__", ()) else None


@pytest.fixture
def numbers() -> Numbers:
    return Numbers()


@pytest.fixture
def plugins(numbers: Numbers) -> Plugins:
    return load_plugins(extra={"numbers": numbers})


def make(folder: Path, *sources: dict[str, Any], plugins: Plugins, retries: int = 2) -> Any:
    document = {
        "retry_config": {"max_retries": retries, "initial_delay_seconds": 0.01},
        "sources": [
            {"source_type": "numbers", "destination_table": f"raw.{source['name']}", **source}
            for source in sources
        ],
    }
    folder.mkdir(exist_ok=True)
    (folder / "ingest.yaml").write_text(json.dumps(document))  # JSON is YAML
    return floe_ingest.load_config(folder / "ingest.yaml", plugins=plugins)


@pytest.fixture
def home(lake: Lake, tmp_path: Path) -> Path:
    """A folder whose embedded catalog is where ``lake`` looks."""
    folder = tmp_path / "home"
    (folder / "warehouse").mkdir(parents=True)
    object.__setattr__(lake, "folder", folder / "warehouse")
    return folder


def ids(lake: Lake, table: str) -> list[int]:
    return sorted(row["id"] for row in lake.duckdb(table, "SELECT id FROM t").to_pylist())


def test_rows_land_and_the_result_says_so(home: Path, lake: Lake, plugins: Plugins, numbers: Numbers) -> None:
    config = make(home, {"name": "a"}, plugins=plugins)

    result = floe_ingest.run(config, plugins=plugins, run_id="monday")

    [source] = result.sources
    [table] = source.tables
    snapshot = lake.table("raw.a").current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert (table.table, table.rows_loaded, table.snapshot_id, table.committed) == (
        "raw.a",
        10,
        snapshot.snapshot_id,
        True,
    )
    assert table.bytes_written == int(snapshot.summary["added-files-size"] or 0)
    assert snapshot.summary["floe-ingest.run-id"] == "monday"
    assert ids(lake, "raw.a") == list(range(10))
    assert source.extra == {"rows_twice": 20}
    assert numbers.events == ["before a", "after True"]
    assert json.loads(json.dumps(result.as_dict()))["sources"][0]["tables"][0]["rows_loaded"] == 10


def test_a_bulk_scan_keeps_types_and_names(home: Path, lake: Lake, plugins: Plugins) -> None:
    config = make(home, {"name": "a", "source_type": "bulk_numbers", "primary_key": "id"}, plugins=plugins)

    for _ in range(2):
        assert floe_ingest.run(config, plugins=plugins).success

    schema = lake.table("raw.a").schema()
    assert {field.name: str(field.field_type) for field in schema.fields} == {
        "id": "long",
        "price": "decimal(12, 2)",
        "at": "timestamp",
        "small_one": "int",
        "u": "string",
    }
    assert lake.duckdb(
        "raw.a", 'SELECT count(*) n, sum(price)::VARCHAR AS p, max("at")::VARCHAR AS a FROM t'
    ).to_pylist() == [{"n": 20, "p": "22.50", "a": "2024-01-10 00:00:00"}]


def test_an_empty_bulk_scan_makes_the_table(home: Path, lake: Lake, plugins: Plugins) -> None:
    config = make(
        home, {"name": "a", "source_type": "bulk_numbers", "source_config": {"count": 0}}, plugins=plugins
    )

    result = floe_ingest.run(config, plugins=plugins)

    assert result.success
    assert lake.rows("raw.a") == []
    assert [field.name for field in lake.table("raw.a").schema().fields][:2] == ["id", "price"]


def test_a_failing_source_stops_no_other(home: Path, lake: Lake, plugins: Plugins) -> None:
    config = make(
        home,
        {"name": "bad", "source_config": {"fail_times": 99, "error": "ValueError"}},
        {"name": "good"},
        plugins=plugins,
    )

    result = floe_ingest.run(config, plugins=plugins)

    bad, good = result.sources
    assert (result.success, bad.success, good.success) == (False, False, True)
    assert bad.errors[0].category is ErrorCategory.PERMANENT
    assert "hunter2" not in bad.errors[0].message
    assert [(table.table, table.committed) for table in bad.tables] == [("raw.bad", False)]
    assert [name for _, name in lake.catalog().list_tables("raw") if not name.startswith("_")] == ["good"]


def test_a_transient_failure_is_tried_again_and_lands_once(
    home: Path, lake: Lake, plugins: Plugins, numbers: Numbers
) -> None:
    config = make(home, {"name": "a", "source_config": {"fail_times": 2}}, plugins=plugins)

    result = floe_ingest.run(config, plugins=plugins)

    assert result.success
    assert numbers.failures == 2
    assert ids(lake, "raw.a") == list(range(10))


def test_retries_have_an_end(home: Path, plugins: Plugins, numbers: Numbers) -> None:
    config = make(home, {"name": "a", "source_config": {"fail_times": 99}}, plugins=plugins, retries=1)

    result = floe_ingest.run(config, plugins=plugins)

    assert result.sources[0].errors[0].category is ErrorCategory.TRANSIENT
    assert numbers.failures == 2


def test_a_permanent_failure_is_not_tried_again(home: Path, plugins: Plugins, numbers: Numbers) -> None:
    config = make(
        home, {"name": "a", "source_config": {"fail_times": 99, "error": "ValueError"}}, plugins=plugins
    )

    floe_ingest.run(config, plugins=plugins)

    assert numbers.failures == 1


def test_a_run_repeated_under_its_id_loads_nothing_twice(home: Path, lake: Lake, plugins: Plugins) -> None:
    config = make(
        home,
        {"name": "a", "destination_table": "raw.{resource}", "source_config": {"resources": ["x", "y"]}},
        plugins=plugins,
    )

    first = floe_ingest.run(config, plugins=plugins, run_id="monday")
    again = floe_ingest.run(config, plugins=plugins, run_id="monday")
    other = floe_ingest.run(config, plugins=plugins, run_id="tuesday")

    assert first.success
    assert again.sources[0].tables == first.sources[0].tables
    assert other.success
    for table in ("raw.x", "raw.y"):
        assert len(lake.table(table).snapshots()) == 2
        assert len(ids(lake, table)) == 20


def test_a_failed_run_is_gone_on_with_under_its_id(
    home: Path, lake: Lake, plugins: Plugins, numbers: Numbers
) -> None:
    config = make(
        home, {"name": "a", "source_config": {"fail_times": 1, "error": "ValueError"}}, plugins=plugins
    )

    failed = floe_ingest.run(config, plugins=plugins)
    resumed = floe_ingest.run(config, plugins=plugins)

    assert not failed.success
    assert resumed.success
    assert resumed.sources[0].extra["resumed_run_id"] == failed.run_id
    summary = lake.table("raw.a").snapshots()[0].summary
    assert summary is not None
    assert summary["floe-ingest.run-id"] == failed.run_id
    assert ids(lake, "raw.a") == list(range(10))
    assert not list((home / ".floe-ingest" / "a").iterdir())


def test_full_refresh_replaces_and_forgets(home: Path, lake: Lake, plugins: Plugins) -> None:
    config = make(home, {"name": "a"}, plugins=plugins)

    for _ in range(2):
        floe_ingest.run(config, plugins=plugins)
    assert len(ids(lake, "raw.a")) == 20
    result = floe_ingest.run(config, plugins=plugins, full_refresh=True)

    assert result.success
    assert ids(lake, "raw.a") == list(range(10))
    assert len(lake.table("raw.a").snapshots()) == 3


@pytest.mark.parametrize("source_type", ["numbers", "bulk_numbers"])
def test_merge_mode_updates_by_key(home: Path, lake: Lake, plugins: Plugins, source_type: str) -> None:
    def load(count: int) -> RunResult:
        config = make(
            home,
            {
                "name": "a",
                "source_type": source_type,
                "source_config": {"count": count},
                "write_mode": "merge",
                "primary_key": "id",
            },
            plugins=plugins,
        )
        return floe_ingest.run(config, plugins=plugins)

    assert load(5).success
    result = load(8)

    assert result.sources[0].tables[0].rows_loaded == 8
    assert ids(lake, "raw.a") == list(range(8))
    assert len(lake.table("raw.a").snapshots()) == 2


def test_layout_options_reach_the_table(home: Path, lake: Lake, plugins: Plugins) -> None:
    config = make(
        home,
        {
            "name": "a",
            "source_type": "bulk_numbers",
            "partition_by": ["month(at)", "bucket[2](small_one)"],
            "sort_by": ["price desc"],
            "table_properties": {"write.parquet.compression-codec": "gzip"},
        },
        plugins=plugins,
    )

    result = floe_ingest.run(config, plugins=plugins)

    assert result.success, result.sources[0].errors
    table = lake.table("raw.a")
    assert [str(field.transform) for field in table.spec().fields] == ["month", "bucket[2]"]
    assert [field.direction.name for field in table.sort_order().fields] == ["DESC"]
    assert table.properties["write.parquet.compression-codec"] == "gzip"
    assert ids(lake, "raw.a") == list(range(10))


class Shape(BaseModel, extra="forbid"):
    """Says which columns a source has."""

    select: str
    bulk: bool = True


class Shapes:
    """A source whose columns are as the configuration says."""

    @hookimpl
    def floe_ingest_source_types(self) -> list[SourceType]:
        return [
            SourceType("scan", Shape, "By a bulk scan", capabilities=("bulk",)),
            SourceType("rows", Shape, "By rows"),
        ]

    @hookimpl
    def floe_ingest_build_source(self, request: SourceRequest) -> Any:
        import dlt

        select = request.config.select
        if request.source_type == "scan":
            return dlt.resource([BulkScan(select)], name="shape")
        return dlt.resource(duckdb.sql(select).to_arrow_table().to_pylist(), name="shape")


def shape(home: Path, kind: str, select: str, contract: str) -> SourceResult:
    plugins = load_plugins(extra={"shapes": Shapes()})
    source = {
        "name": "a",
        "source_type": kind,
        "source_config": {"select": select},
        "schema_contract": contract,
    }
    return floe_ingest.run(make(home, source, plugins=plugins), plugins=plugins).sources[0]


@pytest.mark.parametrize("kind", ["scan", "rows"])
@pytest.mark.parametrize("change", ["SELECT 2 AS id, 'n' AS v, 1 AS added", "SELECT 'text' AS id, 'n' AS v"])
def test_a_frozen_table_refuses_other_columns(home: Path, lake: Lake, kind: str, change: str) -> None:
    assert shape(home, kind, "SELECT 1 AS id, 'o' AS v", "freeze").success
    before = lake.table("raw.a").metadata_location

    refused = shape(home, kind, change, "freeze")

    assert not refused.success
    assert refused.errors[0].type == "SchemaError"
    assert "frozen" in refused.errors[0].message
    assert ("added" if "added" in change else "id") in refused.errors[0].message
    assert lake.table("raw.a").metadata_location == before
    assert not list(home.glob(".floe-ingest/**/*.parquet"))
    assert shape(home, kind, "SELECT 3 AS id, 'n' AS v", "freeze").success
    assert ids(lake, "raw.a") == [1, 3]


@pytest.mark.parametrize("kind", ["scan", "rows"])
def test_discard_value_keeps_the_row(home: Path, lake: Lake, kind: str) -> None:
    assert shape(home, kind, "SELECT 1 AS id, 10 AS v", "discard_value").success
    assert shape(home, kind, "SELECT 2 AS id, 'no number' AS v, 1 AS added", "discard_value").success
    assert shape(home, kind, "SELECT 3 AS id, 30 AS v", "discard_value").success

    rows = lake.duckdb("raw.a", "SELECT id, v FROM t ORDER BY id").to_pylist()
    assert [(row["id"], row["v"]) for row in rows] == [(1, 10), (2, None), (3, 30)]
    assert "added" not in [field.name for field in lake.table("raw.a").schema().fields]


def test_two_columns_of_one_name_are_refused(home: Path) -> None:
    result = shape(home, "scan", 'SELECT 1 AS "Some Id", 2 AS some_id', "evolve")

    assert "are both 'some_id' in the table" in result.errors[0].message


def test_the_last_row_of_a_bulk_scan_wins_a_merge(home: Path, lake: Lake) -> None:
    """Threads must not lose the order in which a scan gives its rows."""
    plugins = load_plugins(extra={"shapes": Shapes()})
    select = "SELECT i % 1000 AS id, i AS v FROM range(3000000) t(i)"
    source = {"name": "a", "source_type": "scan", "source_config": {"select": select}}
    config = make(home, source | {"write_mode": "merge", "primary_key": "id"}, plugins=plugins)

    assert floe_ingest.run(config, plugins=plugins).success

    found = lake.duckdb("raw.a", "SELECT count(*) AS n, min(v) AS least FROM t").to_pylist()
    assert found == [{"n": 1000, "least": 2_999_000}]


def test_merge_without_a_key_is_refused(home: Path, plugins: Plugins) -> None:
    config = make(home, {"name": "a", "write_mode": "merge"}, plugins=plugins)

    [source] = floe_ingest.run(config, plugins=plugins).sources

    assert not source.success
    assert "primary_key" in source.errors[0].message


def test_a_merge_strategy_needs_a_merge(home: Path, plugins: Plugins) -> None:
    config = make(home, {"name": "a", "write_mode": "append", "merge_strategy": "scd2"}, plugins=plugins)

    [source] = floe_ingest.run(config, plugins=plugins).sources

    assert source.errors[0].category is ErrorCategory.CONFIGURATION
    assert "write_mode: merge" in source.errors[0].message


def test_several_resources_need_a_pattern(home: Path, plugins: Plugins) -> None:
    config = make(home, {"name": "a", "source_config": {"resources": ["x", "y"]}}, plugins=plugins)

    [source] = floe_ingest.run(config, plugins=plugins).sources

    assert source.errors[0].category is ErrorCategory.CONFIGURATION
    assert "raw.a_{resource}" in source.errors[0].message


def test_a_source_that_is_not_there_is_named(home: Path, plugins: Plugins) -> None:
    config = make(home, {"name": "orders"}, plugins=plugins)

    with pytest.raises(InvalidConfigError, match=r"no source 'order'\. Did you mean 'orders'"):
        floe_ingest.run(config, plugins=plugins, sources=["order"])


def test_a_missing_file_is_found_before_anything_moves(home: Path, lake: Lake, plugins: Plugins) -> None:
    config = make(
        home,
        {"name": "good"},
        {"name": "files", "source_type": "filesystem", "source_config": {"path": "./nowhere"}},
        plugins=plugins,
    )

    with pytest.raises(ConfigurationError, match="nowhere"):
        floe_ingest.run(config, plugins=plugins)

    assert not (home / "warehouse" / "catalog.db").exists()


CLI = [sys.executable, "-m", "floe_ingest.cli"]


def csv_home(home: Path, rows: int) -> None:
    (home / "data").mkdir()
    duckdb.sql(
        f"COPY (SELECT i AS id, md5(i::VARCHAR) AS text FROM range({rows}) t(i)) TO '{home}/data/a.csv'"
    )
    source = {
        "name": "files",
        "source_type": "filesystem",
        "source_config": {"path": "./data", "file_glob": "*.csv"},
        "destination_table": "raw.files",
    }
    (home / "ingest.yaml").write_text(json.dumps({"sources": [source]}))


def start(home: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*CLI, "run", "ingest.yaml", "--json", *arguments],
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )


def wait_for(found: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT", "SIGTERM"])
def test_stopped_in_the_middle_and_run_again(home: Path, lake: Lake, name: str) -> None:
    csv_home(home, 3_000_000)
    process = start(home)
    wait_for(lambda: list(home.glob(".floe-ingest/files/*/scratch/landing/*/*.parquet")))

    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=60)

    assert process.returncode == (-9 if name == "SIGKILL" else 130), err
    assert "Traceback" not in err
    again = start(home)
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert json.loads(out)["sources"][0]["tables"][0]["rows_loaded"] == 3_000_000
    assert lake.duckdb("raw.files", "SELECT count(*) n, count(DISTINCT id) d FROM t").to_pylist() == [
        {"n": 3_000_000, "d": 3_000_000}
    ]
    assert not list((home / ".floe-ingest" / "files").iterdir())


def test_two_runs_at_once_both_end_well(home: Path, lake: Lake) -> None:
    csv_home(home, 200_000)

    processes = [start(home), start(home)]
    results = [process.communicate(timeout=120) for process in processes]

    assert [process.returncode for process in processes] == [0, 0], results
    assert len({json.loads(out)["run_id"] for out, _ in results}) == 2
    assert lake.duckdb("raw.files", "SELECT count(*) n, count(DISTINCT id) d FROM t").to_pylist() == [
        {"n": 400_000, "d": 200_000}
    ]


def test_a_crash_between_two_tables_of_a_run_doubles_nothing(home: Path, lake: Lake) -> None:
    """Tables of one load commit one by one; the re-run skips those that hold the run."""
    (home / "data").mkdir()
    for name in ("a", "b", "c"):
        (home / "data" / f"{name}.csv").write_text("id\n" + "\n".join(map(str, range(100))))
    source = {
        "name": "files",
        "source_type": "filesystem",
        "source_config": {"path": "./data", "tables": {name: f"{name}.csv" for name in "abc"}},
        "destination_table": "raw.{resource}",
    }
    (home / "ingest.yaml").write_text(json.dumps({"sources": [source]}))
    script = textwrap.dedent(
        """
        import os, signal, sys
        from floe_ingest.destination.commit import TableCommit
        from floe_ingest.cli import main

        real = TableCommit.run
        commits = []

        def run(self):
            real(self)
            commits.append(self)
            if len(commits) == 2:
                os.kill(os.getpid(), signal.SIGKILL)

        TableCommit.run = run
        main(["run", "ingest.yaml"])
        """
    )
    killed = subprocess.run([sys.executable, "-c", script], cwd=home, check=False, timeout=60, env=os.environ)
    assert killed.returncode == -signal.SIGKILL

    again = subprocess.run(
        [*CLI, "run", "ingest.yaml"], cwd=home, check=False, capture_output=True, text=True, timeout=60
    )

    assert again.returncode == 0, again.stderr
    for name in ("a", "b", "c"):
        assert ids(lake, f"raw.{name}") == list(range(100))
