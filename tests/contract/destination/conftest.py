"""The contract suite runs on the embedded catalog, or on each lake that ``--lake`` names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lakes import Lake, dealt_to, served_lake

if TYPE_CHECKING:
    from collections.abc import Iterator

NESSIE = "nessie-minio"
NEEDS = ("needs_history", "needs_versions")
"""Marks of what a test needs and Nessie does not have."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that takes a lake on every one asked for."""
    if "lake" in metafunc.fixturenames:
        metafunc.parametrize("lake", metafunc.config.getoption("--lake") or ["embedded"], indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a lake cannot show, and what another lake of the same run shows as well."""
    lakes = config.getoption("--lake") or []
    gone = {item for item in items if _is_of_here(item) and _is_out_of_place(item, lakes)}
    gone |= _dealt_to_others(items, lakes)
    if gone:
        config.hook.pytest_deselected(items=list(gone))
        items[:] = [item for item in items if item not in gone]


def _is_of_here(item: pytest.Item) -> bool:
    return Path(__file__).parent in item.path.parents


def _is_out_of_place(item: pytest.Item, lakes: list[str]) -> bool:
    """Whether a test needs what its lake does not show, or needs no lake where lakes are asked for."""
    lake = _lake_of(item)
    if lake is None:
        return bool(lakes)
    return lake == NESSIE and any(item.get_closest_marker(mark) for mark in NEEDS)


def _dealt_to_others(items: list[pytest.Item], lakes: list[str]) -> set[pytest.Item]:
    """Return the cases that are another lake's: of each test marked ``dealt``, every case is one lake's."""
    cases: dict[str, list[str]] = {}
    gone = set()
    for item in items:
        mark, lake = item.get_closest_marker("dealt"), _lake_of(item)
        if mark is None or lake is None or lake == mark.kwargs.get("all_on"):
            continue
        test, _, case = item.nodeid.partition("[")
        case = case.removeprefix(lake)
        known = cases.setdefault(test, [])
        if case not in known:
            known.append(case)
        among = [other for other in lakes if other != mark.kwargs.get("all_on")]
        if among and dealt_to(known.index(case), among) != lake:
            gone.add(item)
    return gone


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
