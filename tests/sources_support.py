"""Runs what a source yields as the engine does, and gives Arrow tables to look at."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from floe_ingest import BulkScan, SourceRequest
from floe_ingest.dataplane.connection import DataPlaneSettings
from floe_ingest.dataplane.scan import open_scan, stopped_on_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa


def request_for(
    source_type: str, config: Any, folder: Path, name: str = "src", **fields: Any
) -> SourceRequest:
    """Return a request of a source whose configuration stands in ``folder``."""
    return SourceRequest(name, source_type, config, "raw.{resource}", config_folder=folder, **fields)


def items_of(source: Any) -> Iterator[tuple[str, Any]]:
    """Yield what each resource yields; dlt's wrapping of an error is taken off."""
    from dlt.extract.exceptions import ResourceExtractionError

    for name, resource in source.resources.selected.items():
        try:
            for item in resource:
                yield name, item
        except ResourceExtractionError as error:
            cause = error.__cause__ or error
            raise cause from cause.__cause__


def batches_of(items: Iterable[Any]) -> Iterator[Any]:
    """Yield what a source yields, and instead of a scan of record batches those."""
    for item in items:
        if isinstance(item, BulkScan) and item.batches is not None:
            yield from item.batches()
        else:
            yield item


def landed(source: Any) -> dict[str, pa.Table]:
    """Return the rows of each resource of a source, bulk scans run by DuckDB."""
    import pyarrow as pa

    found: dict[str, list[pa.Table]] = {}
    for name, item in items_of(source):
        for table in _run(item) if isinstance(item, BulkScan) else [item]:
            found.setdefault(name, []).append(table)
    return {name: pa.concat_tables(tables) for name, tables in found.items()}


def scans_of(source: Any) -> dict[str, BulkScan]:
    """Return the bulk scan of each resource of a source, all of which must be one."""
    scans = dict(items_of(source))
    assert all(isinstance(item, BulkScan) for item in scans.values()), scans
    return scans


def extracted(source: Any, folder: Path) -> Any:
    """Extract a source by a real pipeline; return dlt's schema, as the resources' hints made it."""
    import dlt

    for resource in source.resources.values():
        resource.add_yield_map(lambda item: _run(item) if isinstance(item, BulkScan) else [item])
    pipeline = dlt.pipeline("extracting", pipelines_dir=str(folder / "pipelines"), destination="filesystem")
    pipeline.extract(source)
    return pipeline.default_schema


def left_open(connections: Callable[[], Sequence[Any]]) -> Sequence[Any]:
    """Return the connections that stay open; a server needs a moment to see that one was closed."""
    end = time.monotonic() + 10
    while (found := connections()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def _run(scan: BulkScan) -> Iterator[Any]:
    """Yield what a scan gives, and what it gives otherwise where it stops on its data."""
    try:
        table = _result(scan)
    except Exception as error:
        if scan.otherwise is None or not stopped_on_data(error):
            raise
        for item in scan.otherwise(error):
            yield from _run(item) if isinstance(item, BulkScan) else [item]
    else:
        yield table


def _result(scan: BulkScan) -> pa.Table:
    with open_scan(scan, DataPlaneSettings()) as opened:
        names = {name: '"' + name.replace('"', '""') + '"' for name in opened.types}
        columns = ", ".join(
            f"CAST({names[name]} AS {kind}) AS {names[name]}" for name, kind in opened.types.items()
        )
        query = f"SELECT {columns} FROM ({scan.select})"
        parameters = list(scan.parameters)
        return opened.run(lambda _: opened.connection.execute(query, parameters).to_arrow_table())


def iceberg_name(arrow_type: str) -> str:
    """Return the Iceberg type of an Arrow type, both by name."""
    names = {
        "int32": "int",
        "int64": "long",
        "bool": "boolean",
        "date32[day]": "date",
        "time64[us]": "time",
        "timestamp[us]": "timestamp",
        "timestamp[us, tz=UTC]": "timestamptz",
    }
    return names.get(arrow_type, arrow_type.replace("decimal128", "decimal").replace(", ", ","))


def documented_types(heading: str) -> dict[str, str]:
    """Return the tables below a heading of docs/sql_database.md: the Iceberg type by the column's type."""
    page = Path(__file__).parents[1] / "docs" / "sql_database.md"
    section = page.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| `")]
    return {
        column: re.findall("`([^`]+)`", iceberg)[0]
        for columns, iceberg in rows
        for column in re.findall("`([^`]+)`", columns)
    }
