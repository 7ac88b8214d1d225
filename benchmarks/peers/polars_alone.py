"""Polars: its lazy readers, and its own sink for Iceberg tables over pyiceberg's catalog."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def main(job: dict[str, Any]) -> None:
    """Do one load; print its seconds, imports not counted."""
    import polars as pl
    from pyiceberg.catalog.sql import SqlCatalog

    started = time.perf_counter()
    if "url" in job:
        frame = pl.read_database_uri("SELECT * FROM lineitem", job["url"], engine="connectorx").lazy()
    else:
        file = Path(job["file"])
        readers = {
            ".parquet": pl.scan_parquet,
            ".csv": lambda name: pl.scan_csv(name, try_parse_dates=True),
            ".jsonl": pl.scan_ndjson,
        }
        frame = readers[file.suffix](file)
    catalog = SqlCatalog("default", uri=job["catalog"], warehouse=Path(job["lake"]).as_uri())
    frame.sink_iceberg(
        job["table"],
        mode="append",
        catalog=catalog,
        create_if_not_exists=True,
        create_namespace_if_not_exists=True,
    )
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
