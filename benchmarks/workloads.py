"""What the benchmarks measure: loads by this project, and by pyarrow with pyiceberg alone.

Run as a script, it does one of them and prints its seconds as JSON:
``python benchmarks/workloads.py ours lineitem.parquet lake/``.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import drivers
import merging
from pydantic import BaseModel

import floe_ingest
from floe_ingest import RunResult, SourceRequest, SourceType, hookimpl
from floe_ingest.config import parse_config
from floe_ingest.plugins import load_plugins

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyiceberg.catalog import Catalog

    from floe_ingest import DltIngestionConfig


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that ``work`` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def catalog_properties(lake: Path) -> dict[str, str]:
    """Return the properties of a SQLite catalog with its data beside it."""
    return {"type": "sql", "uri": f"sqlite:///{lake / 'catalog.db'}", "warehouse": lake.as_uri()}


def open_lake(lake: Path) -> Catalog:
    """Open the catalog of a folder, which is made if missing."""
    from pyiceberg.catalog import load_catalog

    lake.mkdir(parents=True, exist_ok=True)
    return load_catalog("default", **catalog_properties(lake))


def files_config(file: Path, lake: Path) -> DltIngestionConfig:
    """Return a configuration that appends one Parquet file to ``bronze.ours``."""
    source = {
        "name": "ours",
        "source_type": "filesystem",
        "source_config": {"bucket_url": str(file.parent), "file_glob": file.name},
        "destination_table": "bronze.ours",
        "write_mode": "append",
    }
    return parse_config({"catalog_config": catalog_properties(lake), "sources": [source]})


def load_ours(config: DltIngestionConfig) -> RunResult:
    """Load a configuration by this project.

    Raises:
        RuntimeError: a source failed.
    """
    result = floe_ingest.run(config)
    if not result.success:
        raise RuntimeError(f"The load failed: {result.sources}")
    return result


def load_limit(file: Path, catalog: Catalog, table: str = "bronze.limit") -> None:
    """Append a Parquet file by one thread of pyarrow, streamed into pyiceberg: no framework can do less."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyiceberg.exceptions import NoSuchTableError

    before = pa.cpu_count()
    pa.set_cpu_count(1)
    try:
        with pq.ParquetFile(file) as opened:
            schema = opened.schema_arrow
            reader = pa.RecordBatchReader.from_batches(schema, opened.iter_batches(batch_size=100_000))
            try:
                target = catalog.load_table(table)
            except NoSuchTableError:
                catalog.create_namespace_if_not_exists(table.split(".", maxsplit=1)[0])
                target = catalog.create_table(table, schema)
            target.append(reader)
    finally:
        pa.set_cpu_count(before)


def load_text_limit(file: Path, catalog: Catalog, table: str = "bronze.limit") -> None:
    """Append a CSV or JSONL file by one thread of pyarrow's reader, streamed into pyiceberg."""
    import pyarrow as pa
    from pyarrow import csv, json
    from pyiceberg.exceptions import NoSuchTableError

    before = pa.cpu_count()
    pa.set_cpu_count(1)
    try:
        reader = csv.open_csv(file) if file.suffix == ".csv" else json.open_json(file)
        fields = [
            field.with_type(pa.timestamp("us")) if pa.types.is_timestamp(field.type) else field
            for field in reader.schema
        ]
        schema = pa.schema(fields)
        batches = pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in reader))
        try:
            target = catalog.load_table(table)
        except NoSuchTableError:
            catalog.create_namespace_if_not_exists(table.split(".", maxsplit=1)[0])
            target = catalog.create_table(table, schema)
        target.append(batches)
    finally:
        pa.set_cpu_count(before)


def list_new_files(folder: Path) -> None:
    """List a folder of files, and decide which are new after all of them were loaded.

    Raises:
        RuntimeError: one is taken for new.
    """
    from floe_ingest_sources.filesystem import FilesystemConfig
    from floe_ingest_sources.filesystem.files import listings_of
    from floe_ingest_sources.filesystem.incremental import Watermark, advanced, new_files

    config = FilesystemConfig(path=str(folder), file_glob="**/*.csv", incremental="modified")
    (listing,) = listings_of(SourceRequest("many", "filesystem", config, "bronze.many"))
    state: dict[str, Any] = {}
    mark = advanced(listing.files, None, 0)
    if mark is not None:
        mark.store(state)
    if new_files(listing.files, Watermark.load(state), str(folder)):
        raise RuntimeError("A file that was loaded is taken for new")


class BatchesConfig(BaseModel, extra="forbid"):
    """A Parquet file, and how often it is read."""

    file: str
    times: int = 1


class Batches:
    """A source package of record batches, as third parties write them."""

    @hookimpl
    def floe_ingest_source_types(self) -> list[SourceType]:
        """Declare ``batches``."""
        return [SourceType("batches", BatchesConfig, "Record batches")]

    @hookimpl
    def floe_ingest_build_source(self, request: SourceRequest) -> Any:
        """Build a resource that yields batches of 100,000 rows, as database drivers do."""
        import dlt

        config: BatchesConfig = request.config

        def batches() -> Any:
            import pyarrow.parquet as pq

            for _ in range(config.times):
                with pq.ParquetFile(config.file, pre_buffer=False) as opened:
                    yield from opened.iter_batches(batch_size=100_000)

        return dlt.resource(batches, name="batches")


def load_batches(file: Path, lake: Path, times: int = 1, **options: Any) -> RunResult:
    """Load a Parquet file ``times`` times in one load, as record batches, into ``bronze.ours``.

    Arguments:
        file, lake, times: what, whereto, and how often.
        options: of the source, such as ``partition_by``.
    """
    plugins = load_plugins(extra={"batches": Batches()})
    source = {
        "name": "batches",
        "source_type": "batches",
        "source_config": {"file": str(file), "times": times},
        "destination_table": "bronze.ours",
        "write_mode": "append",
        **options,
    }
    document = {"catalog_config": catalog_properties(lake), "sources": [source]}
    result = floe_ingest.run(parse_config(document, plugins=plugins), plugins=plugins)
    if not result.success:
        raise RuntimeError(f"The load failed: {result.sources}")
    return result


class ManyTypes:
    """A plugin that brings many source types.

    Arguments:
        count: of them.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    @hookimpl
    def floe_ingest_source_types(self) -> list[SourceType]:
        """Declare them."""
        return [SourceType(f"made_{n}", BatchesConfig, "Record batches") for n in range(self._count)]

    @hookimpl
    def floe_ingest_build_source(self, request: SourceRequest) -> Any:
        """Build none: they are found, never run.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(request.source_type)


def load_tables(database: Path, lake: Path) -> RunResult:
    """Load all tables of a SQLite database."""
    source = {
        "name": "tables",
        "source_type": "sql_database",
        "source_config": {"url": f"sqlite:///{database}", "tables": ["t*"]},
        "destination_table": "bronze.{resource}",
    }
    return load_ours(parse_config({"catalog_config": catalog_properties(lake), "sources": [source]}))


class RowsConfig(BaseModel, extra="forbid"):
    """How many rows each load brings."""

    rows: int = 10
    growing: bool = True


@dataclass
class Rows:
    """A source package of Python rows with a cursor, as third parties write them."""

    next_id: int = 0

    @hookimpl
    def floe_ingest_source_types(self) -> list[SourceType]:
        """Declare ``rows``."""
        return [SourceType("rows", RowsConfig, "Rows with a cursor")]

    @hookimpl
    def floe_ingest_build_source(self, request: SourceRequest) -> Any:
        """Build a resource that brings new rows at each load, or, not ``growing``, only the first ones."""
        import dlt

        config: RowsConfig = request.config
        if config.growing:
            self.next_id += config.rows

        def rows(cursor: Any = dlt.sources.incremental("id", initial_value=-1, range_start="open")) -> Any:  # noqa: B008
            first = self.next_id
            yield [
                {"id": number, "name": f"row {number}", "price": number / 4}
                for number in range(first, first + config.rows)
                if number > cursor.last_value
            ]

        return dlt.resource(rows, name="rows")


@dataclass
class SmallLoads:
    """Loads of ``rows`` into one table.

    Arguments:
        lake: the folder of the catalog.
        growing: whether each load brings new rows.
    """

    lake: Path
    growing: bool = True

    def __post_init__(self) -> None:
        self.lake.mkdir(parents=True, exist_ok=True)
        self._plugin = Rows()
        source = {
            "name": "small",
            "source_type": "rows",
            "source_config": {"growing": self.growing},
            "destination_table": "bronze.small",
        }
        document = {"catalog_config": catalog_properties(self.lake), "sources": [source]}
        self._config = parse_config(document, plugins=load_plugins(extra={"rows": self._plugin}))

    def load(self) -> RunResult:
        """Load once. Plugins are found and loaded anew, as ``floe_ingest.run`` does by itself.

        Raises:
            RuntimeError: the load failed.
        """
        result = floe_ingest.run(self._config, plugins=load_plugins(extra={"rows": self._plugin}))
        if not result.success:
            raise RuntimeError(f"The load failed: {result.sources}")
        return result


def _import_alone() -> None:
    """Import what each of our loads imports."""
    import dlt  # noqa: F401
    import duckdb  # noqa: F401

    _import_of_limit()


def _import_of_limit() -> None:
    import pyiceberg.catalog.sql
    import pyiceberg.io.pyarrow  # noqa: F401


def main(words: list[str]) -> None:
    """Do one workload in this process; print its seconds as JSON, imports not counted."""
    kind, file, lake = words[0], Path(words[1]), Path(words[2])
    options: dict[str, Any] = json.loads(words[3]) if words[3:] else {}
    kinds: Mapping[str, Callable[[], object]] = {
        "imports": _import_alone,
        "limit": lambda: load_limit(file, open_lake(lake)),
        "ours": lambda: load_ours(files_config(file, lake)),
        "batches": lambda: load_batches(file, lake, **options),
        "listing": lambda: list_new_files(file),
        "text limit": lambda: load_text_limit(file, open_lake(lake)),
        "tables": lambda: load_tables(file, lake),
        "small": lambda: SmallLoads(lake).load(),
        "merge": lambda: merging.merge_file(lake, file, **options),
        "bare merge": lambda: merging.merge_bare(open_lake(lake), file),
        "pyiceberg upsert": lambda: merging.upsert(open_lake(lake), file),
        "database limit": lambda: drivers.load_limit(words[1], open_lake(lake)),
    }
    lake.mkdir(parents=True, exist_ok=True)
    if kind in {"ours", "batches", "tables", "small", "merge"}:
        _import_alone()
    elif kind not in {"imports", "listing"}:
        _import_of_limit()
    seconds = timed(kinds[kind])
    sys.stdout.write(json.dumps({"seconds": seconds}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
