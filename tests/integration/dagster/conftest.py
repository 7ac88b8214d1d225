"""A shop whose tables are read back from beside its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from dagster_shop import Shop, new_shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import dagster as dg


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return new_shop(tmp_path)


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "1")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    import dagster as dg

    with dg.DagsterInstance.local_temp() as made:
        yield made
