"""The contract suite runs on the embedded catalog, or on each lake that ``--lake`` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lakes import Lake, served_lake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEWEST_ONLY = "nessie-minio"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that takes a lake on every one asked for."""
    if "lake" in metafunc.fixturenames:
        metafunc.parametrize("lake", metafunc.config.getoption("--lake") or ["embedded"], indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that go back in time where a catalog shows only the newest snapshot."""
    gone = {
        item for item in items if item.get_closest_marker("needs_history") and _lake_of(item) == NEWEST_ONLY
    }
    if gone:
        config.hook.pytest_deselected(items=list(gone))
        items[:] = [item for item in items if item not in gone]


def _lake_of(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("lake") if callspec is not None else None


@pytest.fixture
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lake]:
    from floe_ingest.destination.catalogs import close_catalogs

    if request.param == "embedded":
        yield Lake(tmp_path / "lake")
        close_catalogs()
        return
    with served_lake(request.param, request.getfixturevalue("services"), tmp_path / "lake") as served:
        yield served
        close_catalogs()
