"""Reads Iceberg tables with DuckDB's own extension, offline."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa


def _extension(name: str) -> str:
    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    assert found is not None
    assert found.submodule_search_locations
    [file] = Path(found.submodule_search_locations[0]).glob(f"extensions/*/{name}.duckdb_extension")
    return str(file)


def read_by_duckdb(metadata_location: str, select: str, s3: Mapping[str, str] | None = None) -> pa.Table:
    """Run ``select`` over the table ``t`` whose metadata file is given.

    Arguments:
        metadata_location: of the table.
        select: SQL.
        s3: PyIceberg's properties of an object store.
    """
    config = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    with duckdb.connect(":memory:", config=config) as connection:
        for name in ("avro", "httpfs", "iceberg") if s3 else ("avro", "iceberg"):
            connection.execute(f"LOAD '{_extension(name)}'")
        if s3:
            host = s3["s3.endpoint"].removeprefix("http://")
            connection.execute(
                f"CREATE SECRET (TYPE s3, ENDPOINT '{host}', USE_SSL false, URL_STYLE 'path', "
                f"REGION '{s3['s3.region']}', KEY_ID '{s3['s3.access-key-id']}', "
                f"SECRET '{s3['s3.secret-access-key']}')"
            )
        connection.execute("SET TimeZone = 'UTC'")
        location = metadata_location.removeprefix("file://")
        connection.execute(f"CREATE VIEW t AS SELECT * FROM iceberg_scan('{location}')")
        return connection.execute(select).to_arrow_table()
