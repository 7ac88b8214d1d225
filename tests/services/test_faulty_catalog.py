"""A REST catalog whose answers go wrong: the table holds each load once, and errors say what happened."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import dlt
import pytest
from faulty_proxy import GARBAGE, RESET, Fault, FaultyProxy, faulty_proxy
from pyiceberg.catalog import Catalog, load_catalog

import floe_ingest
from floe_ingest import ErrorCategory
from floe_ingest.destination.catalogs import close_catalogs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from services.together import Services

DISPOSITIONS: dict[str, Any] = {
    "append": "append",
    "replace": "replace",
    "upsert": {"disposition": "merge", "strategy": "upsert"},
}


@pytest.fixture
def proxy(services: Services) -> Iterator[FaultyProxy]:
    with faulty_proxy(services.rest_files.uri) as proxy:
        yield proxy
        close_catalogs()


@pytest.fixture
def namespace(tmp_path: Path) -> str:
    """A namespace of this test's own: the server is shared."""
    return re.sub(r"\W", "_", f"n{tmp_path.parent.name}_{tmp_path.name}").lower()


@pytest.fixture
def catalog(services: Services) -> Catalog:
    """The catalog without the proxy before it."""
    return load_catalog("straight", **services.rest_files.properties)


def load(
    proxy: FaultyProxy, namespace: str, work: Path, ids: range, how: str = "append", name: str = "items"
) -> None:
    rows = [{"id": i} for i in ids]
    dlt.pipeline(
        "shop",
        destination=floe_ingest.iceberg(type="rest", uri=proxy.uri),
        dataset_name=namespace,
        pipelines_dir=str(work),
    ).run(dlt.resource(rows, name=name, write_disposition=DISPOSITIONS[how], primary_key="id"))


def commits_of(proxy: FaultyProxy, table: str) -> None:
    """Let commits of a table meet the faults."""
    proxy.matching = re.compile(f"^POST .*/tables/{table}$")


def ids(catalog: Catalog, namespace: str) -> list[int]:
    """Read the table, every data file that its snapshots reference included."""
    table = catalog.load_table((namespace, "items"))
    for snapshot in table.snapshots():
        table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()
    return sorted(table.scan().to_arrow()["id"].to_pylist())


@pytest.mark.parametrize("how", DISPOSITIONS)
@pytest.mark.parametrize("first", [True, False], ids=["new table", "known table"])
@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("status", [409, 429, 500, 502, 503, 504, RESET, GARBAGE])
def test_a_commit_whose_answer_goes_wrong_lands_once(
    proxy: FaultyProxy,
    catalog: Catalog,
    namespace: str,
    tmp_path: Path,
    status: int,
    done: bool,
    first: bool,
    how: str,
) -> None:
    expected = list(range(10))
    if not first:
        load(proxy, namespace, tmp_path / "work", range(5), how)
        expected = sorted([*range(5), *expected]) if how == "append" else expected
    commits_of(proxy, "items")
    proxy.faults.append(Fault(status, done))

    load(proxy, namespace, tmp_path / "work", range(10), how)

    assert len(proxy.met) == 1
    assert ids(catalog, namespace) == expected
    assert len(catalog.load_table((namespace, "items")).snapshots()) == (1 if first else 2)


@pytest.mark.parametrize("how", DISPOSITIONS)
def test_conflicts_are_planned_again(
    proxy: FaultyProxy, catalog: Catalog, namespace: str, tmp_path: Path, how: str
) -> None:
    load(proxy, namespace, tmp_path / "work", range(5), how)
    commits_of(proxy, "items")
    proxy.faults.extend([Fault(409), Fault(409), Fault(503), Fault(409)])

    load(proxy, namespace, tmp_path / "work", range(10), how)

    assert not proxy.faults
    assert ids(catalog, namespace) == sorted([*(range(5) if how == "append" else ()), *range(10)])
    assert len(catalog.load_table((namespace, "items")).snapshots()) == 2


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "a.jsonl").write_text("".join(json.dumps({"id": i}) + "\n" for i in range(10)))
    return folder


def run(
    proxy: FaultyProxy, namespace: str, home: Path, *, retries: int = 0, **properties: str
) -> floe_ingest.RunResult:
    """Run a configuration through the proxy."""
    source = {
        "name": "files",
        "source_type": "filesystem",
        "source_config": {"path": "./data"},
        "destination_table": f"{namespace}.items",
    }
    config = {
        "catalog_config": {"type": "rest", "uri": proxy.uri, **properties},
        "sources": [source],
        "retry_config": {"max_retries": retries, "initial_delay_seconds": 0.05},
    }
    (home / "ingest.yaml").write_text(json.dumps(config))
    return floe_ingest.run(floe_ingest.load_config(home / "ingest.yaml"))


@pytest.mark.parametrize(
    ("status", "category"),
    [(400, ErrorCategory.CONFIGURATION), (401, ErrorCategory.PERMANENT), (403, ErrorCategory.PERMANENT)],
)
def test_a_refused_commit_is_told_and_leaves_nothing(
    proxy: FaultyProxy, catalog: Catalog, namespace: str, home: Path, status: int, category: ErrorCategory
) -> None:
    assert run(proxy, namespace, home).success
    commits_of(proxy, "items")
    proxy.faults.extend([Fault(status)] * 2)  # a 401 is asked once more, with a fresh token

    result = run(proxy, namespace, home)

    [error] = result.sources[0].errors
    assert error.category is category
    assert "injected" in error.message
    assert ids(catalog, namespace) == list(range(10))
    proxy.faults.clear()
    assert run(proxy, namespace, home).success
    assert ids(catalog, namespace) == sorted([*range(10), *range(10)])
    assert len(catalog.load_table((namespace, "items")).snapshots()) == 2


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
def test_a_commit_that_hangs_is_looked_for(
    proxy: FaultyProxy, catalog: Catalog, namespace: str, home: Path, done: bool
) -> None:
    """Without a time limit of ours, the run would wait as long as the catalog is silent."""
    assert run(proxy, namespace, home).success
    commits_of(proxy, "items")
    proxy.faults.append(Fault(504, done=done, delay_seconds=10))
    limits = {"rest.client.socket-timeout-ms": "3000"}  # more than any other answer takes

    result = run(proxy, namespace, home, **limits)

    assert result.success, result.sources[0].errors
    assert ids(catalog, namespace) == sorted([*range(10), *range(10)])
    assert len(catalog.load_table((namespace, "items")).snapshots()) == 2


def test_a_catalog_that_goes_in_the_middle_and_comes_back(
    proxy: FaultyProxy, catalog: Catalog, namespace: str, home: Path
) -> None:
    assert run(proxy, namespace, home).success
    commits_of(proxy, "items")
    proxy.faults.append(Fault(504, done=True, then_gone=True))

    result = run(proxy, namespace, home)

    [error] = result.sources[0].errors
    assert error.category is ErrorCategory.TRANSIENT
    proxy.is_gone.clear()
    assert run(proxy, namespace, home).success
    # The commit was done when the catalog went: the run that goes on finds it.
    assert ids(catalog, namespace) == sorted([*range(10), *range(10)])
    assert len(catalog.load_table((namespace, "items")).snapshots()) == 2


def test_a_catalog_that_comes_back_while_the_run_tries_again(
    proxy: FaultyProxy, catalog: Catalog, namespace: str, home: Path
) -> None:
    assert run(proxy, namespace, home).success
    proxy.matching = re.compile("/tables/items")
    proxy.faults.extend([Fault(503), Fault(RESET), Fault(503)])

    assert run(proxy, namespace, home, retries=5).success

    assert not proxy.faults
    assert ids(catalog, namespace) == sorted([*range(10), *range(10)])
    assert len(catalog.load_table((namespace, "items")).snapshots()) == 2


def test_a_slow_catalog_is_waited_for(
    proxy: FaultyProxy, catalog: Catalog, namespace: str, home: Path
) -> None:
    commits_of(proxy, "items")
    proxy.faults.append(Fault(504, done=True, delay_seconds=3.0))

    assert run(proxy, namespace, home).success

    assert ids(catalog, namespace) == list(range(10))
    assert len(catalog.load_table((namespace, "items")).snapshots()) == 1
