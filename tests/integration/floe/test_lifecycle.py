"""Starting, stopping, and being well: nothing stays open, and nothing hangs."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from floe_core.plugin_metadata import HealthState
from floe_core.plugins.ingestion import IngestionConfig

from floe_ingest import DltIngestionPlugin, NotStartedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Lake


@pytest.fixture
def plugin(lake: Lake) -> Iterator[DltIngestionPlugin]:
    made = DltIngestionPlugin({"catalog_config": lake.properties})
    yield made
    made.shutdown()


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of a real server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def work(plugin: DltIngestionPlugin, *, number: int = 1) -> None:
    pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders"))
    assert plugin.run(pipeline, source=[{"id": number}]).success


@pytest.mark.requirement("FR-008")
def test_start_and_stop_any_number_of_times(plugin: DltIngestionPlugin) -> None:
    plugin.shutdown()
    for number in range(2):
        plugin.startup()
        plugin.startup()
        work(plugin, number=number)
        assert plugin.health_check().state is HealthState.HEALTHY
        plugin.shutdown()
        plugin.shutdown()
        assert plugin.health_check().state is HealthState.UNHEALTHY


@pytest.mark.requirement("FR-008")
def test_in_worker_threads(plugin: DltIngestionPlugin) -> None:
    """As floe's registry does it: each call in a thread that lives for that call alone."""
    for call in (plugin.startup, lambda: work(plugin), plugin.shutdown):
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
    with pytest.raises(NotStartedError):
        work(plugin)


def test_one_run_that_ends_does_not_stop_another(plugin: DltIngestionPlugin) -> None:
    """Orchestrator runs in threads of one process share the plugin; the last to end stops it."""
    started, may_end = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def other() -> None:
        plugin.startup()
        started.set()
        may_end.wait(30)
        try:
            work(plugin)
        except BaseException as error:  # noqa: BLE001 (told by the test's own thread)
            failures.append(error)
        plugin.shutdown()

    plugin.startup()
    thread = threading.Thread(target=other)
    thread.start()
    assert started.wait(30)
    plugin.shutdown()
    may_end.set()
    thread.join(60)
    assert failures == []
    with pytest.raises(NotStartedError):
        work(plugin)


def test_a_run_under_way_outlives_a_stop(plugin: DltIngestionPlugin, lake: Lake) -> None:
    inside, may_end = threading.Event(), threading.Event()

    def rows() -> Any:
        yield {"id": 1}
        inside.set()
        may_end.wait(30)
        yield {"id": 2}

    plugin.startup()
    pipeline = plugin.create_pipeline(IngestionConfig("rest_api", {}, "bronze.orders"))
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(plugin.run(pipeline, source=rows)))
    thread.start()
    assert inside.wait(60)
    plugin.shutdown()
    may_end.set()
    thread.join(60)
    assert results[0].rows_loaded == 2
    assert len(lake.rows("bronze.orders")) == 2
    assert not Path(pipeline.working_dir).exists()


def opened(folder: Path) -> set[str]:
    """Threads, temporary folders, sockets and files that this process holds for the plugin."""
    process = psutil.Process()
    return {
        *(thread.name for thread in threading.enumerate() if "floe" in thread.name),
        *(str(path) for path in Path(tempfile.gettempdir()).glob("floe-ingest*")),
        *(file.path for file in process.open_files() if file.path.startswith(str(folder))),
        *(str(connection.laddr) for connection in process.net_connections()),
    }


@pytest.mark.requirement("FR-008")
def test_shutdown_frees_everything(
    plugin: DltIngestionPlugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    before = opened(tmp_path)
    for number in range(2):
        plugin.startup()
        work(plugin, number=number)
        plugin.health_check()
        held = opened(tmp_path) - before
        assert any("floe-ingest-pipeline-" in name for name in held)
        assert any(name.endswith("catalog.db") for name in held)
        plugin.shutdown()
        assert opened(tmp_path) - before == set()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_threads_do_not_grow(plugin: DltIngestionPlugin) -> None:
    """What libraries keep for the whole process, as pyiceberg's pool, is there after the first run."""
    counts = []
    for number in range(4):
        plugin.startup()
        work(plugin, number=number)
        plugin.shutdown()
        counts.append(threading.active_count())
    pool = (os.cpu_count() or 1) + 4
    assert counts[-1] <= counts[0] + pool
    assert len({thread.name for thread in threading.enumerate() if "floe" in thread.name}) == 0


# -- health


@pytest.mark.requirement("FR-007")
@pytest.mark.parametrize("timeout", [0, 0.05, 10.1, -1, 60])
def test_a_timeout_out_of_range(plugin: DltIngestionPlugin, timeout: float) -> None:
    with pytest.raises(ValueError, match=r"between 0\.1 and 10"):
        plugin.health_check(timeout)


@pytest.mark.requirement("FR-007")
@pytest.mark.requirement("FR-079")
@pytest.mark.requirement("SC-002")
def test_health_tells_each_part(plugin: DltIngestionPlugin) -> None:
    assert plugin.health_check(0.1).details["reason"] == "not_started"
    plugin.startup()
    work(plugin)
    status = plugin.health_check(10.0)
    assert status.state is HealthState.HEALTHY
    assert status.details["catalog"] == "reached, 1 namespace"
    assert status.details["dlt"].startswith("1.")
    assert {"source_type.rest_api", "source_type.sql_database", "source_type.filesystem"} <= set(
        status.details
    )
    assert status.details["checked_at"].tzinfo is not None
    assert status.details["response_time_ms"] >= 0


@pytest.mark.requirement("FR-007")
def test_a_catalog_that_refuses(lake: Lake) -> None:
    plugin = DltIngestionPlugin({"catalog_config": {"type": "rest", "uri": "http://127.0.0.1:1"}})
    plugin.startup()
    status = plugin.health_check()
    assert status.state is HealthState.UNHEALTHY
    assert "catalog" in status.message
    plugin.shutdown()


@pytest.mark.requirement("FR-007")
@pytest.mark.requirement("FR-079")
@pytest.mark.requirement("SC-002")
def test_a_catalog_that_hangs(deaf: str, lake: Lake) -> None:
    """The check ends, costs one thread however often it is asked, and holds up no other catalog."""
    plugin = DltIngestionPlugin({"catalog_config": {"type": "rest", "uri": deaf}})
    plugin.startup()
    started = time.monotonic()
    for _ in range(4):
        status = plugin.health_check(0.3)
        assert status.state is HealthState.UNHEALTHY
        assert "not answered in time" in status.details["catalog"]
    assert time.monotonic() - started < 30  # it would never end
    assert sum(thread.name == "floe-ingest-probe" for thread in threading.enumerate()) == 1
    well = DltIngestionPlugin({"catalog_config": lake.properties})
    well.startup()
    work(well)
    assert well.health_check().state is HealthState.HEALTHY
    well.shutdown()
    plugin.shutdown()
