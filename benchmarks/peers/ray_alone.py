"""Ray Data: its readers, and its own writer of Iceberg tables; its local cluster is started and ended."""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any


def main(job: dict[str, Any]) -> None:
    """Do one load; print its seconds, imports not counted."""
    import ray
    from pyiceberg.catalog.sql import SqlCatalog

    started = time.perf_counter()
    ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    file = Path(job["file"])
    readers = {".parquet": ray.data.read_parquet, ".csv": ray.data.read_csv, ".jsonl": ray.data.read_json}
    data = readers[file.suffix](str(file))
    properties = {"type": "sql", "uri": job["catalog"], "warehouse": Path(job["lake"]).as_uri()}
    catalog = SqlCatalog("default", **properties)
    catalog.create_namespace_if_not_exists(job["table"].split(".")[0])
    catalog.create_table(job["table"], plain(data.schema().base_schema))
    data.write_iceberg(job["table"], catalog_kwargs={"name": "default", **properties})
    ray.shutdown()
    print(json.dumps({"seconds": time.perf_counter() - started}))


def plain(schema: Any) -> Any:
    """pyiceberg knows no views of strings, and no times beyond microseconds."""
    import pyarrow as pa

    def of(kind: Any) -> Any:
        if pa.types.is_string_view(kind):
            return pa.string()
        return pa.timestamp("us") if pa.types.is_timestamp(kind) else kind

    return pa.schema([field.with_type(of(field.type)) for field in schema])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
