"""dlt alone: its own Iceberg tables on files, by its default way of reading, or by its best (Arrow)."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def arrow_batches(file: Path) -> Any:
    """Yield a file as record batches, as dlt's documentation advises for speed."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv
    from pyarrow import json as pyarrow_json

    if file.suffix == ".parquet":
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(batch_size=100_000):
                yield pa.Table.from_batches([batch])
    else:
        for batch in csv.open_csv(file) if file.suffix == ".csv" else pyarrow_json.open_json(file):
            yield pa.Table.from_batches([batch])


def default_files(file: Path) -> Any:
    """Return dlt's own reader of files: each row becomes a Python object."""
    from dlt.sources import filesystem as files

    readers = {".parquet": files.read_parquet, ".csv": files.read_csv, ".jsonl": files.read_jsonl}
    return files.filesystem(bucket_url=str(file.parent), file_glob=file.name) | readers[file.suffix]()


def resource(job: dict[str, Any]) -> Any:
    """Return what is loaded."""
    import dlt

    if "url" in job:
        from dlt.sources.sql_database import sql_table

        options = {} if job["way"] == "default" else {"backend": job["way"], "chunk_size": 100_000}
        return sql_table(job["url"], table="lineitem", reflection_level="full_with_precision", **options)
    file = Path(job["file"])
    return default_files(file) if job["way"] == "default" else dlt.resource(arrow_batches(file))


def main(job: dict[str, Any]) -> None:
    """Do one load; print its seconds, imports not counted."""
    import dlt
    import pyiceberg.catalog.sql  # noqa: F401 (it is imported later otherwise)

    started = time.perf_counter()
    pipeline = dlt.pipeline(
        "alone",
        pipelines_dir=f"{job['lake']}/pipelines",
        destination=dlt.destinations.filesystem(f"{job['lake']}/lake"),
        dataset_name="bronze",
    )
    disposition: Any = job.get("write_disposition", "append")
    pipeline.run(
        resource(job),
        table_name="lineitem",
        table_format="iceberg",
        write_disposition=disposition,
        loader_file_format="parquet",
        primary_key=job.get("primary_key"),
    )
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
