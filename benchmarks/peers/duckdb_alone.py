"""DuckDB's own Iceberg writer, through a REST catalog: SQL alone, nothing of dlt or pyiceberg."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any


def extension(name: str) -> str:
    """Return the file of an extension that is installed as a wheel."""
    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"duckdb-extension-{name} is not installed")
    [file] = Path(next(iter(found.submodule_search_locations))).rglob("*.duckdb_extension")
    return str(file)


def scan(job: dict[str, Any]) -> str:
    """Return the SQL of what is loaded."""
    if "url" in job:
        return "SELECT * FROM source.lineitem"
    file = Path(job["file"])
    reader = {".parquet": "read_parquet", ".csv": "read_csv", ".jsonl": "read_json"}[file.suffix]
    return f"SELECT * FROM {reader}('{file}')"


def main(job: dict[str, Any]) -> None:
    """Do one load; print its seconds, imports not counted."""
    import duckdb

    started = time.perf_counter()
    settings = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    with duckdb.connect(":memory:", config=settings) as connection:
        for name in ("avro", "httpfs", "iceberg", *([job["scanner"]] if "scanner" in job else [])):
            connection.execute(f"LOAD '{extension(name)}'")
        if "url" in job:
            kind = job["scanner"].removesuffix("_scanner")
            connection.execute(f"ATTACH '{job['attach']}' AS source (TYPE {kind}, READ_ONLY)")
        connection.execute(
            f"ATTACH 'warehouse' AS lake (TYPE iceberg, ENDPOINT '{job['rest']}', AUTHORIZATION_TYPE 'none')"
        )
        namespace, table = job["table"].split(".")
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{namespace}")
        connection.execute(f"CREATE TABLE lake.{namespace}.{table} AS {scan(job)}")
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
