"""Imports the libraries that every load needs."""

from __future__ import annotations


def import_all() -> None:
    """Import dlt, PyIceberg, pyarrow and DuckDB, with the modules that a load uses."""
    import dlt
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    from pyiceberg.catalog import sql
    from pyiceberg.io import pyarrow as iceberg_io

    from floe_ingest.dataplane.connection import import_duckdb
    from floe_ingest.destination import client, factory

    import_duckdb()
    # Named here, since an import that nothing uses looks like a mistake.
    _ = dlt, pc, pq, sql, iceberg_io, client, factory
