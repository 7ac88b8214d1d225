"""The package dlt-iceberg: another Iceberg destination for dlt, through a REST catalog."""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def main(job: dict[str, Any]) -> None:
    """Do one load; print its seconds, imports not counted."""
    import dlt
    from dlt_alone import resource
    from dlt_iceberg import iceberg_rest

    started = time.perf_counter()
    namespace, table = job["table"].split(".")
    pipeline = dlt.pipeline(
        "alone",
        pipelines_dir=f"{job['lake']}/pipelines",
        destination=iceberg_rest(catalog_uri=job["rest"], namespace=namespace),
        dataset_name=namespace,
    )
    pipeline.run(
        resource(job),
        table_name=table,
        write_disposition=job.get("write_disposition", "append"),
        primary_key=job.get("primary_key"),
    )
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
