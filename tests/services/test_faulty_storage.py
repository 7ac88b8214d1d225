"""Object storage that is slow, that says 503, or that breaks off: a right table, a clear error, a re-run."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from faulty_proxy import AS_IT_IS, CUT, RESET, Fault, FaultyProxy, faulty_proxy
from pyiceberg.catalog import load_catalog

import floe_ingest
from floe_ingest import ErrorCategory
from floe_ingest.destination.catalogs import close_catalogs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyiceberg.table import Table
    from services.together import Services

DATA = {"write": "^(PUT|POST) .*/data/.*parquet", "read": "^GET .*/data/.*parquet"}
METADATA = {"write": "^(PUT|POST) .*/metadata/", "read": "^GET .*/metadata/"}
# Requests that the S3 client tries again by itself, more often than it does.
FOR_GOOD = 200


@pytest.fixture
def proxy(services: Services) -> Iterator[FaultyProxy]:
    with faulty_proxy(services.minio.endpoint) as proxy:
        yield proxy
        close_catalogs()


class Home:
    """A configuration that merges one file into a table on storage behind the proxy."""

    def __init__(self, folder: Path, proxy: FaultyProxy, services: Services) -> None:
        self._folder = folder
        (folder / "data").mkdir(parents=True)
        self._straight = {
            "type": "sql",
            "uri": f"sqlite:///{folder / 'catalog.db'}",
            "warehouse": f"{services.minio.warehouse}/{folder.parent.name}",
            **services.minio.properties,
        }
        self._behind = {**self._straight, "s3.endpoint": proxy.uri}

    def run(self, keys: range, version: int, mode: str, *, retries: int = 0) -> floe_ingest.RunResult:
        """Load rows with these keys."""
        pq.write_table(
            pa.table({"id": pa.array(keys), "v": [version] * len(keys)}),
            self._folder / "data" / "items.parquet",
        )
        source: dict[str, Any] = {
            "name": "files",
            "source_type": "filesystem",
            "source_config": {"path": "./data"},
            "destination_table": "raw.items",
            "write_mode": mode,
        }
        if mode == "merge":
            source["primary_key"] = "id"
        config = {
            "catalog_config": self._behind,
            "sources": [source],
            "retry_config": {"max_retries": retries, "initial_delay_seconds": 0.05},
        }
        (self._folder / "ingest.yaml").write_text(json.dumps(config))
        return floe_ingest.run(floe_ingest.load_config(self._folder / "ingest.yaml"))

    def table(self) -> Table:
        """The table, without the proxy before its storage."""
        return load_catalog("default", **self._straight).load_table("raw.items")

    def rows(self) -> list[tuple[int, int]]:
        """All rows; every snapshot can be read."""
        table = self.table()
        for snapshot in table.snapshots():
            table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()
        return sorted((row["id"], row["v"]) for row in table.scan().to_arrow().to_pylist())


@pytest.fixture
def home(tmp_path: Path, proxy: FaultyProxy, services: Services) -> Home:
    return Home(tmp_path / "home", proxy, services)


OLD = [(i, 0) for i in range(10)]
NEW = {
    "append": sorted([*OLD, *((i, 1) for i in range(5, 15))]),
    "replace": [(i, 1) for i in range(5, 15)],
    "merge": [*OLD[:5], *((i, 1) for i in range(5, 15))],
}


@pytest.mark.parametrize("mode", NEW)
@pytest.mark.parametrize("status", [503, 500, RESET])
def test_storage_that_falters_is_tried_again(proxy: FaultyProxy, home: Home, mode: str, status: int) -> None:
    assert home.run(range(10), 0, mode).success
    proxy.matching = re.compile(f"{DATA['write']}|{METADATA['write']}")
    proxy.faults.extend([Fault(status)] * 2)

    result = home.run(range(5, 15), 1, mode, retries=3)

    assert result.success, result.sources[0].errors
    assert len(proxy.met) == 2
    assert home.rows() == NEW[mode]
    assert len(home.table().snapshots()) == 2


@pytest.mark.parametrize("mode", NEW)
@pytest.mark.parametrize("where", [DATA["write"], METADATA["write"]], ids=["data files", "metadata"])
def test_storage_that_takes_no_writes_for_a_while(
    proxy: FaultyProxy, home: Home, mode: str, where: str
) -> None:
    assert home.run(range(10), 0, mode).success
    proxy.matching = re.compile(where)
    proxy.faults.extend([Fault(503)] * FOR_GOOD)

    result = home.run(range(5, 15), 1, mode)

    [error] = result.sources[0].errors
    assert error.category is ErrorCategory.TRANSIENT
    assert "AWS Error SERVICE_UNAVAILABLE" in error.message
    assert home.rows() == OLD
    proxy.faults.clear()
    assert home.run(range(5, 15), 1, mode).success
    assert home.rows() == NEW[mode]
    assert len(home.table().snapshots()) == 2


@pytest.mark.parametrize("fault", [Fault(503), Fault(RESET), Fault(CUT)], ids=["503", "reset", "cut"])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for a while"])
def test_a_merge_that_cannot_read_what_is_there(
    proxy: FaultyProxy, home: Home, fault: Fault, lasting: bool
) -> None:
    assert home.run(range(10), 0, "merge").success
    proxy.matching = re.compile(DATA["read"])
    proxy.faults.extend([fault] * (FOR_GOOD if lasting else 1))

    result = home.run(range(5, 15), 1, "merge", retries=0 if lasting else 3)

    assert proxy.met
    assert result.success is not lasting
    if lasting:
        [error] = result.sources[0].errors
        assert error.category is ErrorCategory.TRANSIENT, error
        assert home.rows() == OLD
        proxy.faults.clear()
        assert home.run(range(5, 15), 1, "merge").success
    assert home.rows() == NEW["merge"]
    assert len(home.table().snapshots()) == 2


@pytest.mark.parametrize("mode", NEW)
def test_slow_storage_is_waited_for(proxy: FaultyProxy, home: Home, mode: str) -> None:
    assert home.run(range(10), 0, mode).success
    proxy.matching = re.compile("/raw/items/")
    proxy.faults.extend([Fault(AS_IT_IS, delay_seconds=0.5)] * 6)

    assert home.run(range(5, 15), 1, mode).success

    assert not proxy.faults
    assert home.rows() == NEW[mode]
    assert len(home.table().snapshots()) == 2


def test_storage_that_is_gone_and_comes_back(proxy: FaultyProxy, home: Home) -> None:
    assert home.run(range(10), 0, "append").success
    proxy.is_gone.set()

    [error] = home.run(range(5, 15), 1, "append").sources[0].errors
    assert error.category is ErrorCategory.TRANSIENT
    assert home.rows() == OLD

    proxy.is_gone.clear()
    assert home.run(range(5, 15), 1, "append").success
    assert home.rows() == NEW["append"]
    assert len(home.table().snapshots()) == 2
