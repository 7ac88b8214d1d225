"""Fixtures that all tests share: a catalog of their own, and nothing of the user's machine."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from readers import read_by_duckdb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table


# A run in CI tries the same examples each time; elsewhere each run tries new ones.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

# A shell starts background jobs with SIGINT ignored, and children inherit that: no Ctrl-C would reach them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep dlt's global folder, its telemetry and the shell's plugin filter out of tests."""
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt-data"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.delenv("FLOE_INGEST_PLUGINS", raising=False)


@dataclass(frozen=True)
class Lake:
    """An embedded catalog in a temporary folder, read back by others than our own code."""

    folder: Path

    @property
    def properties(self) -> dict[str, str]:
        return {
            "type": "sql",
            "uri": f"sqlite:///{self.folder / 'catalog.db'}",
            "warehouse": self.folder.as_uri(),
        }

    def catalog(self) -> Catalog:
        from pyiceberg.catalog import load_catalog

        self.folder.mkdir(parents=True, exist_ok=True)
        return load_catalog("default", **self.properties)

    def table(self, name: str) -> Table:
        return self.catalog().load_table(name)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Read a table with pyiceberg."""
        return self.table(name).scan().to_arrow().to_pylist()

    def duckdb(self, name: str, select: str = "SELECT * FROM t") -> pa.Table:
        """Read a table with DuckDB's Iceberg extension; ``t`` is the table."""
        return read_by_duckdb(self.table(name).metadata_location, select)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    from floe_ingest.destination.catalogs import close_catalogs

    yield Lake(tmp_path / "lake")
    close_catalogs()
