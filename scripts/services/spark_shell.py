"""Run by Spark's Python: answers SQL with JSON, one line each, for as long as its input lasts.

Arguments: jars with commas between, the URI of a SQLite catalog, its warehouse. The catalog is called
``default``, as PyIceberg's is: both then see the same tables.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def main() -> None:
    """Answer each line ``{"sql": ...}`` by ``{"columns": ..., "rows": ...}`` or ``{"error": ...}``."""
    from pyspark.sql import SparkSession

    jars, uri, warehouse = sys.argv[1:]
    catalog = "spark.sql.catalog.default"
    settings = {
        "spark.jars": jars,
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        catalog: "org.apache.iceberg.spark.SparkCatalog",
        f"{catalog}.catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
        f"{catalog}.uri": uri,
        f"{catalog}.jdbc.schema-version": "V1",
        f"{catalog}.warehouse": warehouse,
        f"{catalog}.cache-enabled": "false",  # others write between two questions
        "spark.sql.defaultCatalog": "default",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.shuffle.partitions": "1",
        "spark.ui.enabled": "false",
    }
    builder = SparkSession.builder.master("local[2]").appName("floe-ingest")
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    print(json.dumps({"ready": session.version}), flush=True)
    for line in sys.stdin:
        print(json.dumps(_answer(session, json.loads(line)["sql"])), flush=True)


def _answer(session: Any, sql: str) -> dict[str, Any]:
    try:
        frame = session.sql(sql)
        columns = {field.name: field.dataType.simpleString() for field in frame.schema.fields}
        return {"columns": columns, "rows": [[_plain(value) for value in row] for row in frame.collect()]}
    except Exception as error:  # noqa: BLE001 (whatever Spark says is the answer)
        return {"error": f"{type(error).__name__}: {error}"[:4000]}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else str(value)


if __name__ == "__main__":
    main()
