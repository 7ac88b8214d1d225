"""Daft: its readers, and its own writer of Iceberg tables over pyiceberg's catalog."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def main(job: dict[str, Any]) -> None:
    """Do one load; print its seconds, imports not counted."""
    import daft
    from pyiceberg.catalog.sql import SqlCatalog

    started = time.perf_counter()
    if "url" in job:
        frame = daft.read_sql("SELECT * FROM lineitem", job["url"])
    else:
        file = Path(job["file"])
        readers = {".parquet": daft.read_parquet, ".csv": daft.read_csv, ".jsonl": daft.read_json}
        frame = readers[file.suffix](str(file))
    catalog = SqlCatalog("default", uri=job["catalog"], warehouse=Path(job["lake"]).as_uri())
    namespace = job["table"].split(".")[0]
    catalog.create_namespace_if_not_exists(namespace)
    table = catalog.create_table(job["table"], frame.schema().to_pyarrow_schema())
    frame.write_iceberg(table, mode="append")
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
