"""The ways in which a load comes: Python rows, Arrow, a bulk scan, and record batches in one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa
from pydantic import BaseModel

import floe_ingest
from floe_ingest import BulkScan, SourceRequest, SourceResult, SourceType, hookimpl
from floe_ingest.plugins import load_plugins

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lake
    from type_cases import Case


class Query(BaseModel, extra="forbid"):
    select: str
    way: str = "scan"


class Queries:
    """A source that is one query, and gives its result in each way."""

    @hookimpl
    def floe_ingest_source_types(self) -> list[SourceType]:
        return [
            SourceType("query", Query, "A query", capabilities=("bulk",)),
            SourceType("items", Query, "The rows of a query"),
        ]

    @hookimpl
    def floe_ingest_build_source(self, request: SourceRequest) -> Any:
        import duckdb

        if request.config.way == "scan":
            return dlt.resource([BulkScan(request.config.select)], name="typed")
        table = duckdb.sql(request.config.select).to_arrow_table()
        if request.config.way == "batches":
            rows = max(1, table.num_rows - 1)  # in two batches, where there are two rows
            scan = BulkScan.of_batches(lambda: table.to_batches(rows), table.schema, origin="a query")
            return dlt.resource([scan], name="typed")
        items = table.to_pylist() if request.config.way == "rows" else [table]
        return dlt.resource(items, name="typed")


def load_rows(lake: Lake, folder: Path, rows: Any, hints: Any = None, **resource: Any) -> None:
    """Load Python rows or Arrow into ``bronze.typed`` by plain dlt; ``hints`` are those of column ``v``."""
    pipeline = dlt.pipeline(
        "types",
        destination=floe_ingest.iceberg(**lake.properties),
        dataset_name="bronze",
        pipelines_dir=str(folder / "work"),
    )
    columns: Any = {"v": {"name": "v", **hints}} if hints else None
    pipeline.run(dlt.resource(rows, name="typed", columns=columns, **resource))


def load_query(lake: Lake, folder: Path, select: str, way: str = "scan", **options: Any) -> SourceResult:
    """Load the result of a query into ``bronze.typed`` by the engine, in one of the ways."""
    plugins = load_plugins(extra={"queries": Queries()})
    source = {
        "name": "typed",
        "source_type": "query" if way in ("scan", "batches") else "items",
        "source_config": {"select": select, "way": way},
        "destination_table": "bronze.typed",
    }
    document = {"catalog_config": lake.properties, "sources": [source | options]}
    file = folder / "ingest.yaml"
    file.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")  # JSON is YAML
    config = floe_ingest.load_config(file, plugins=plugins)
    return floe_ingest.run(config, plugins=plugins).sources[0]


def load_case(lake: Lake, folder: Path, case: Case) -> None:
    """Load the values of a case, and a null after them."""
    count = len(case.values)
    if case.way == "rows":
        rows: Any = [{"n": n, "v": value} for n, value in enumerate(case.values)]
        load_rows(lake, folder, [*rows, {"n": count, "v": None}], case.hints)
    elif case.way == "arrow":
        table = pa.table({"n": range(count + 1), "v": pa.array([*case.values, None], case.kind)})
        load_rows(lake, folder, table, case.hints)
    else:
        values = enumerate([*case.values, "NULL"])
        selects = [f"SELECT {n} AS n, CAST({value} AS {case.given}) AS v" for n, value in values]
        result = load_query(lake, folder, " UNION ALL ".join(selects))
        assert result.success, result.errors


def fields_of(lake: Lake, name: str = "bronze.typed") -> dict[str, str]:
    """The columns of a table and their types, without dlt's own."""
    fields = lake.table(name).schema().fields
    return {field.name: written(field.field_type) for field in fields if not field.name.startswith("_dlt")}


def written(kind: Any) -> str:
    """An Iceberg type without field ids, as docs/types.md writes it."""
    from pyiceberg.types import ListType, MapType, StructType

    if isinstance(kind, StructType):
        return f"struct<{', '.join(f'{field.name}: {written(field.field_type)}' for field in kind.fields)}>"
    if isinstance(kind, ListType):
        return f"list<{written(kind.element_type)}>"
    if isinstance(kind, MapType):
        return f"map<{written(kind.key_type)}, {written(kind.value_type)}>"
    return str(kind)
