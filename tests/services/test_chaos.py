"""Loads while networks, servers and loaders break: no row is lost or doubled.

The faults are the same in each run. ``make chaos`` draws others, and lasts longer.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest
from chaos.faults import DISK_FULL, LOADER_KILLED, SERVER_KILLED, Fault
from chaos.feeds import Feed
from chaos.leftovers import clean
from chaos.loads import Loads
from chaos.parallel import Parallel
from chaos.world import World, world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.servers("MariaDB", "PostgreSQL", "REST catalog on MinIO", "Toxiproxy")


SEED = 1
# A test is up to twenty loads, one after the other, each in a process of its own.
pytestmark = [pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def broken() -> Iterator[World]:
    """Servers of these tests alone, since they are killed."""
    with world() as servers:
        yield servers


@pytest.fixture
def loads(broken: World, tmp_path: Path) -> Loads:
    return Loads(broken, tmp_path / "loads", SEED, print, kinds=())


# A feed that needs the server, and a fault that ends its load: it lasts for longer than the load tries.
ENDING = {
    "REST catalog, refused": ("rest", "files_append", Fault("refused", "rest")),
    "REST catalog, blackhole": ("rest", "files_merge", Fault("blackhole", "rest")),
    "REST catalog, killed": ("rest", "postgres_append", Fault(SERVER_KILLED, "rest")),
    "SQL catalog, refused": ("sql", "files_append", Fault("refused", "postgres")),
    "SQL catalog, killed": ("sql", "files_merge", Fault(SERVER_KILLED, "postgres")),
    "MinIO, refused": ("rest", "files_replace", Fault("refused", "minio")),
    "MinIO, full": ("rest", "files_append", Fault(DISK_FULL, "minio", amount=100)),
    "PostgreSQL as source, cut": (
        "rest",
        "postgres_merge",
        Fault("cut in the middle", "postgres", amount=3000),
    ),
    "MariaDB as source, reset": ("rest", "mariadb_append", Fault("reset", "mariadb")),
    "MariaDB as source, killed": ("sql", "mariadb_merge", Fault(SERVER_KILLED, "mariadb")),
}


# What is silent for as long as a load runs is given up after this time. A cold server may take longer.
LIMITS = {"rest.client.socket-timeout-ms": "3000"}


@pytest.mark.parametrize("case", ENDING)
def test_a_load_that_fails_says_why_and_lands_when_it_is_run_again(
    broken: World, loads: Loads, tmp_path: Path, case: str
) -> None:
    lake, kind, fault = ENDING[case]
    name = f"t{secrets.token_hex(4)}"
    feed = Feed(broken, lake, kind, tmp_path / name, name)
    loads.feeds.append(feed)
    loads.calm()
    feed.limits = LIMITS if fault.kind == "blackhole" else {}

    loads.disturbed(1, fault, feed)

    assert loads.tally.wrong == []
    assert loads.tally.failed[fault.kind] == 1


def test_random_faults_lose_and_double_nothing(broken: World, tmp_path: Path) -> None:
    kinds = ("postgres_append", "mariadb_merge", "files_append")
    loads = Loads(broken, tmp_path / "loads", SEED, print, kinds=kinds)
    loads.calm()
    for number in range(6):
        loads.disturbed(number)
    loads.disturbed(7, Fault(LOADER_KILLED, "loader", at=0.8))

    left = clean(broken, "rest", loads.feeds[0].folder / "ingest.yaml")
    loads.compare_all("after clean")

    assert loads.tally.wrong == []
    assert (loads.tally.lost, loads.tally.doubled, left.remaining) == (0, 0, 0)


def test_processes_that_die_beside_each_other_lose_and_double_nothing(broken: World, tmp_path: Path) -> None:
    parallel = Parallel(broken, "sql", tmp_path / "parallel", SEED, 3, print)

    tally = parallel.run(25)

    assert tally.wrong == []
    assert (tally.lost, tally.doubled) == (0, 0)
    assert tally.loads >= 3
    assert tally.rows > 0
