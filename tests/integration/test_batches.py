"""Scans of record batches that a source makes while they are written: failures, and what is closed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pydantic import BaseModel
from sample_packages import install_module

import floe_ingest
from floe_ingest import BulkScan, ErrorCategory, SourceRequest, SourceResult, SourceType, hookimpl
from floe_ingest.plugins import load_plugins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Lake

SCHEMA = pa.schema([("n", pa.int64()), ("v", pa.string())])


class Nothing(BaseModel, extra="forbid"):
    pass


class Stream:
    """A source of one scan, made anew for each try."""

    def __init__(self, make: Callable[[], BulkScan]) -> None:
        self._make = make

    @hookimpl
    def floe_ingest_source_types(self) -> list[SourceType]:
        return [SourceType("stream", Nothing, "Record batches", capabilities=("bulk",))]

    @hookimpl
    def floe_ingest_build_source(self, request: SourceRequest) -> Any:
        import dlt

        return dlt.resource(lambda: iter([self._make()]), name="stream")


class Batches:
    """Batches of which the rest is missing, or not; knows whether it was closed."""

    def __init__(self, count: int, error: BaseException | None = None, rows: int = 30_000) -> None:
        self.given = 0
        self.closed = 0
        self.thread: threading.Thread | None = None
        self._count, self._error, self._rows = count, error, rows

    def __call__(self) -> Iterator[pa.RecordBatch]:
        self.thread = threading.current_thread()
        try:
            for number in range(self._count):
                self.given += 1
                yield batch(number * self._rows, self._rows)
            if self._error is not None:
                raise self._error
        finally:
            self.closed += 1


def batch(start: int, rows: int) -> pa.RecordBatch:
    """A batch of 600 bytes a row."""
    return pa.record_batch([range(start, start + rows), [f"{start:0600d}"] * rows], schema=SCHEMA)


def scan(batches: Any, **options: Any) -> BulkScan:
    return BulkScan.of_batches(batches, SCHEMA, origin="the stream", **options)


def load(lake: Lake, make: Callable[[], BulkScan], **options: Any) -> SourceResult:
    source = {"name": "a", "source_type": "stream", "destination_table": "raw.stream"}
    document = {
        "catalog_config": lake.properties,
        "retry_config": {"max_retries": 1, "initial_delay_seconds": 0.1},
        "sources": [source | options],
    }
    plugins = load_plugins(extra={"stream": Stream(make)})
    config = floe_ingest.DltIngestionConfig(**document)
    return floe_ingest.run(config, plugins=plugins).sources[0]


@pytest.mark.parametrize("batches", [0, 1, 5])
def test_all_rows_land_from_the_thread_of_the_resource(lake: Lake, batches: int) -> None:
    stream = Batches(batches)
    result = load(lake, lambda: scan(stream))

    assert result.success, result.errors
    assert result.rows_loaded == batches * 30_000
    assert sorted(row["n"] for row in lake.rows("raw.stream")) == list(range(batches * 30_000))
    assert [field.name for field in lake.table("raw.stream").schema().fields][:2] == ["n", "v"]
    assert stream.closed == 1
    assert stream.thread is not None
    assert not stream.thread.name.startswith("floe-ingest-batches")


def test_few_rows_in_many_batches_make_one_file(lake: Lake) -> None:
    assert load(lake, lambda: scan(Batches(300, rows=10))).rows_loaded == 3_000

    assert len(lake.table("raw.stream").inspect.files()) == 1


@pytest.mark.parametrize("batches", [0, 1, 5])
@pytest.mark.parametrize(
    ("error", "category"),
    [
        (ConnectionError("the line is cut"), ErrorCategory.TRANSIENT),
        (ZeroDivisionError("a bug of the source"), ErrorCategory.PERMANENT),
    ],
)
def test_a_failure_stays_what_it_is_and_nothing_lands(
    lake: Lake, error: Exception, category: ErrorCategory, batches: int
) -> None:
    assert load(lake, lambda: scan(Batches(1))).success
    streams: list[Batches] = []

    def make() -> BulkScan:
        streams.append(Batches(batches, error))
        return scan(streams[-1])

    result = load(lake, make, write_mode="replace")

    (told,) = result.errors
    assert (told.type, told.category) == (type(error).__name__, category)
    assert str(error) in told.message
    assert told.resource == "stream"
    assert len(streams) == (2 if category is ErrorCategory.TRANSIENT else 1)
    assert [stream.closed for stream in streams] == [1] * len(streams)
    assert len(lake.rows("raw.stream")) == 30_000


def test_a_failure_that_passes_loads_each_row_once(lake: Lake) -> None:
    tries = iter([Batches(5, ConnectionError("not now")), Batches(5)])

    assert load(lake, lambda: scan(next(tries))).rows_loaded == 150_000
    assert len(lake.rows("raw.stream")) == 150_000


def test_the_source_is_closed_where_a_value_stops_the_query(lake: Lake) -> None:
    stream = Batches(1_000)
    result = load(lake, lambda: scan(stream, types={"n": "TINYINT", "v": "VARCHAR"}))

    assert "INT8" in result.errors[0].message
    assert stream.closed == 1
    assert stream.given < 20


def test_another_reading_takes_over_where_a_value_stops_the_query(lake: Lake) -> None:
    again = Batches(2)
    result = load(
        lake,
        lambda: scan(Batches(50), types={"n": "TINYINT"}, otherwise=lambda _: iter([scan(again)])),
    )

    assert result.success, result.errors
    assert len(lake.rows("raw.stream")) == 60_000


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (pa.table({"n": [1], "v": ["x"], "w": [1]}), "'w' is new"),
        (pa.table({"n": [1]}), "'v' is gone"),
        (pa.table({"n": ["1"], "v": ["x"]}), "'n' is string, not int64"),
        (pa.table({"v": ["x"], "n": [1]}), "their order is v, n"),
        ([{"n": 1}], "is of type list"),
    ],
    ids=["new", "gone", "type", "order", "rows"],
)
def test_a_batch_with_other_columns_stops_the_load(lake: Lake, other: Any, words: str) -> None:
    result = load(lake, lambda: scan(lambda: iter([*Batches(4)(), other])))

    assert words in result.errors[0].message
    assert "Batch 5 of the stream" in result.errors[0].message
    assert not lake.catalog().table_exists("raw.stream")


def test_a_column_that_the_reader_has_no_type_for_is_named(lake: Lake) -> None:
    schema = pa.schema([("n", pa.int64()), ("big", pa.decimal256(50, 2))])
    stream = Batches(1)
    result = load(lake, lambda: BulkScan.of_batches(stream, schema, origin="the stream"))

    assert "Column 'big' of the stream has the Arrow type decimal256(50, 2)" in result.errors[0].message
    assert stream.given == 0


def test_columns_that_differ_by_case_are_told(lake: Lake) -> None:
    table = pa.table({"n": [1], "N": [2]})
    result = load(lake, lambda: BulkScan.of_batches(table.to_batches, table.schema, origin="the stream"))

    assert "Columns 'n' and 'N' of the stream" in result.errors[0].message


def test_a_column_of_nulls_is_text(lake: Lake) -> None:
    table = pa.table({"n": [1, 2], "v": pa.nulls(2)})

    assert load(lake, lambda: BulkScan.of_batches(table.to_batches, table.schema, origin="it")).success
    assert load(lake, lambda: scan(Batches(1))).success
    assert sorted(row["v"] or "" for row in lake.rows("raw.stream"))[:3] == ["", "", f"{0:0600d}"]


def test_a_query_computes_from_the_batches(lake: Lake) -> None:
    table = pa.table({"price": ["1.50", "2.25"]})
    result = load(
        lake,
        lambda: BulkScan.of_batches(
            table.to_batches,
            table.schema,
            origin="prices",
            select="SELECT CAST(price AS DECIMAL(9, 2)) AS price FROM record_batches",
        ),
    )

    assert result.success, result.errors
    assert {row["price"] for row in lake.rows("raw.stream")} == {Decimal("1.50"), Decimal("2.25")}


def test_a_connection_of_one_thread_is_read(lake: Lake, tmp_path: Path) -> None:
    """The standard library's SQLite refuses any other thread than the one that opened it."""

    def make() -> BulkScan:
        connection = sqlite3.connect(tmp_path / "shop.db")
        connection.execute("CREATE TABLE t AS SELECT 1 AS n, 'x' AS v")

        def rows() -> Iterator[pa.RecordBatch]:
            with closing(connection):
                for n, v in connection.execute("SELECT n, v FROM t"):
                    yield pa.record_batch([[n], [v]], schema=SCHEMA)

        return scan(rows)

    result = load(lake, make)

    assert result.success, result.errors
    assert [(row["n"], row["v"]) for row in lake.rows("raw.stream")] == [(1, "x")]


def test_an_interrupt_of_the_source_ends_the_run(lake: Lake) -> None:
    stream = Batches(5, KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        load(lake, lambda: scan(stream))
    assert stream.closed == 1
    assert not lake.catalog().table_exists("raw.stream")


KILLED = """
import os
import signal
from pathlib import Path
import dlt
import pyarrow as pa
from floe_ingest import BulkScan, SourceType, hookimpl
from pydantic import BaseModel

class Nothing(BaseModel):
    pass

@hookimpl
def floe_ingest_source_types():
    return [SourceType("killed", Nothing, "Dies once", capabilities=("bulk",))]

def batches():
    for number in range(20):
        if number == 15 and not Path("killed").exists():
            Path("killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield pa.record_batch({"n": range(number * 100_000, (number + 1) * 100_000)})

@hookimpl
def floe_ingest_build_source(request):
    schema = pa.schema([("n", pa.int64())])
    return dlt.resource([BulkScan.of_batches(batches, schema, origin="it")], name="killed")
"""


def test_a_killed_load_is_loaded_by_the_next_run(lake: Lake, tmp_path: Path) -> None:
    install_module("killedplugin", KILLED, tmp_path)
    document = {
        "catalog_config": lake.properties,
        "sources": [{"name": "a", "source_type": "killed", "destination_table": "raw.killed"}],
    }
    (tmp_path / "ingest.yaml").write_text(json.dumps(document), encoding="utf-8")
    codes = [
        subprocess.run(
            [sys.executable, "-m", "floe_ingest.cli", "run", "ingest.yaml"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        ).returncode
        for _ in range(2)
    ]

    assert codes == [-signal.SIGKILL, 0]
    assert sorted(row["n"] for row in lake.rows("raw.killed")) == list(range(2_000_000))
