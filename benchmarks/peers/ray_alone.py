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
    # Its newer reader of Parquet adds a column, `__file_chunk_metadata`, which its writer refuses.
    ray.data.DataContext.get_current().use_datasource_v2 = False
    file = Path(job["file"])
    readers = {".parquet": ray.data.read_parquet, ".csv": ray.data.read_csv, ".jsonl": ray.data.read_json}
    data = readers[file.suffix](str(file))
    properties = {"type": "sql", "uri": job["catalog"], "warehouse": Path(job["lake"]).as_uri()}
    catalog = SqlCatalog("default", **properties)
    catalog.create_namespace_if_not_exists(job["table"].split(".")[0])
    schema = schema_of(file)
    catalog.create_table(job["table"], schema)
    data.write_iceberg(job["table"], catalog_kwargs={"name": "default", **properties})
    ray.shutdown()
    print(json.dumps({"seconds": time.perf_counter() - started}))


def schema_of(file: Path) -> Any:
    """Return the file's schema; pyiceberg knows no times beyond microseconds."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv
    from pyarrow import json as pyarrow_json

    if file.suffix == ".parquet":
        schema = pq.read_schema(file)
    else:
        with csv.open_csv(file) if file.suffix == ".csv" else pyarrow_json.open_json(file) as reader:
            schema = reader.schema
    return pa.schema(
        [
            field.with_type(pa.timestamp("us")) if pa.types.is_timestamp(field.type) else field
            for field in schema
        ]
    )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
