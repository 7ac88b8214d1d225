"""What a run tells while it goes on: phases, rows and bytes of each resource, by real loads."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel

from floe_ingest import SourceRequest, SourceType, hookimpl
from floe_ingest.config import parse_config
from floe_ingest.engine.progress import Silent
from floe_ingest.engine.runner import run
from floe_ingest.plugins import load_plugins

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Lake

    from floe_ingest.engine.progress import Phase, Sizes


class NoConfig(BaseModel, extra="forbid"):
    """Nothing to choose."""


class Two:
    """A source of two resources of rows."""

    @hookimpl
    def floe_ingest_source_types(self) -> list[SourceType]:
        return [SourceType("two", NoConfig, "Two resources")]

    @hookimpl
    def floe_ingest_build_source(self, request: SourceRequest) -> Any:
        def some(rows: int) -> Iterator[Any]:
            yield [{"id": number, "text": f"row {number}"} for number in range(rows)]

        return [dlt.resource(some(6_000), name="many"), dlt.resource(some(10), name="few")]


class Listener(Silent):
    """Keeps what it is told; bytes as they are when a phase begins."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self.bytes: dict[str, dict[str, int]] = {}
        self._sizes: Sizes = dict

    def measured(self, source: str, sizes: Sizes) -> None:
        self._sizes = sizes

    def phase(self, source: str, phase: Phase) -> None:
        self.bytes[phase] = dict(self._sizes())

    def rows(self, source: str, resource: str, count: int) -> None:
        self.counted[resource] += count


def load(lake: Lake, source: dict[str, Any], folder: Path) -> Listener:
    plugins = load_plugins(extra={"two": Two()})
    document = {"catalog_config": lake.properties, "sources": [{"name": "src", **source}]}
    listener = Listener()
    config = parse_config(document, path=folder / "ingest.yaml", plugins=plugins)
    assert run(config, plugins=plugins, progress=listener).success
    return listener


def test_rows_and_bytes_of_each_resource_of_rows(lake: Lake, tmp_path: Path) -> None:
    told = load(lake, {"source_type": "two", "destination_table": "raw.{resource}"}, tmp_path)
    assert told.counted == {"many": 6_000, "few": 10}
    for phase in ("normalize", "load"):
        sizes = told.bytes[phase]
        assert sizes["many"] > sizes["few"] > 0


def test_bytes_of_a_bulk_load(lake: Lake, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": pa.array(range(300_000), pa.int32())}), tmp_path / "a.parquet")
    settings = {"path": str(tmp_path), "file_glob": "*.parquet", "file_columns": ["_file_name"]}
    told = load(
        lake,
        {"source_type": "filesystem", "source_config": settings, "destination_table": "raw.src"},
        tmp_path,
    )
    assert told.counted == {"src": 300_000}
    assert told.bytes["load"]["src"] > 100_000


@pytest.mark.parametrize("rows", [0, 1])
def test_a_load_of_next_to_nothing(lake: Lake, tmp_path: Path, rows: int) -> None:
    pq.write_table(pa.table({"id": pa.array(range(rows), pa.int64())}), tmp_path / "a.parquet")
    settings = {"path": str(tmp_path), "file_glob": "*.parquet"}
    told = load(
        lake,
        {"source_type": "filesystem", "source_config": settings, "destination_table": "raw.src"},
        tmp_path,
    )
    assert told.counted["src"] == rows
