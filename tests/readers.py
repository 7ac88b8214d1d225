"""Reads Iceberg tables with DuckDB's own extension, offline."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    import pyarrow as pa


def _extension(name: str) -> str:
    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    assert found is not None
    assert found.submodule_search_locations
    [file] = Path(found.submodule_search_locations[0]).glob(f"extensions/*/{name}.duckdb_extension")
    return str(file)


def read_by_duckdb(metadata_location: str, select: str) -> pa.Table:
    """Run ``select`` over the table ``t`` whose metadata file is given."""
    config = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    with duckdb.connect(":memory:", config=config) as connection:
        for name in ("avro", "iceberg"):
            connection.execute(f"LOAD '{_extension(name)}'")
        connection.execute("SET TimeZone = 'UTC'")
        location = metadata_location.removeprefix("file://")
        connection.execute(f"CREATE VIEW t AS SELECT * FROM iceberg_scan('{location}')")
        return connection.execute(select).to_arrow_table()
