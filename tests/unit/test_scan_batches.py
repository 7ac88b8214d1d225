"""A source looks at data before it reads: ``scan_batches``, and ``BulkScan.otherwise`` in a pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

import floe_ingest
from floe_ingest import BulkScan, SourceConfigurationError, SourceRequest, SourceType, hookimpl
from floe_ingest.plugins import load_plugins

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Lake


def test_batches_of_a_scan() -> None:
    batches = list(floe_ingest.scan_batches(BulkScan("SELECT i FROM range(?) t(i)", (50_000,))))
    assert len(batches) > 1
    assert sum(batch.num_rows for batch in batches) == 50_000


def test_a_value_that_stops_it_is_a_value_error_and_a_wrong_query_is_not() -> None:
    with pytest.raises(ValueError, match="Could not convert string 'x'"):
        list(floe_ingest.scan_batches(BulkScan("SELECT CAST('x' AS INTEGER)")))
    with pytest.raises(SourceConfigurationError, match="nothing does not exist"):
        list(floe_ingest.scan_batches(BulkScan("SELECT * FROM nothing")))


class NothingConfig(BaseModel, extra="forbid"):
    query: str


class Guesses:
    """A source whose guess may be wrong."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.work_folders: list[Path | None] = []

    @hookimpl
    def floe_ingest_source_types(self) -> list[SourceType]:
        return [SourceType("guesses", NothingConfig, "Guesses", capabilities=("bulk",))]

    @hookimpl
    def floe_ingest_build_source(self, request: SourceRequest) -> Any:
        import dlt

        self.work_folders.append(request.work_folder)

        def otherwise(error: Exception) -> Iterator[BulkScan]:
            self.failures.append(error)
            yield BulkScan("SELECT i::VARCHAR AS x FROM range(10) t(i)")

        def rows() -> Iterator[BulkScan]:
            yield BulkScan(request.config.query, otherwise=otherwise)

        return dlt.resource(rows, name="x")


@pytest.mark.parametrize(
    ("query", "kind", "wrong"),
    [
        ("SELECT i AS x FROM range(10) t(i)", "long", False),
        ("SELECT if(i = 299999, error('not as guessed'), i) AS x FROM range(300000) t(i)", "string", True),
        ("SELECT CAST(if(i = 299999, 'x', '1') AS BIGINT) AS x FROM range(300000) t(i)", "string", True),
    ],
)
def test_what_a_wrong_guess_wrote_is_gone(
    tmp_path: Path, lake: Lake, query: str, kind: str, wrong: bool
) -> None:
    source = {
        "name": "g",
        "source_type": "guesses",
        "source_config": {"query": query},
        "destination_table": "raw.x",
    }
    config = floe_ingest.DltIngestionConfig(catalog_config=lake.properties, sources=[source])
    guesses = Guesses()
    result = floe_ingest.run(config, plugins=load_plugins(extra={"guesses": guesses}))
    assert result.success
    assert bool(guesses.failures) is wrong
    assert guesses.work_folders[-1] is not None
    assert [str(field.field_type) for field in lake.table("raw.x").schema().fields] == [kind]
    assert len(lake.rows("raw.x")) == 10
