"""Spark, local, on all cores: reads and appends, or merges by MERGE INTO with copy-on-write."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def session(job: dict[str, Any]) -> Any:
    """Start Spark on the SQLite catalog that pyiceberg uses too."""
    from pyspark.sql import SparkSession

    catalog = "spark.sql.catalog.default"
    settings = {
        "spark.jars": job["jars"],
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        catalog: "org.apache.iceberg.spark.SparkCatalog",
        f"{catalog}.catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
        f"{catalog}.uri": job["catalog"].replace("sqlite:///", "jdbc:sqlite:"),
        f"{catalog}.jdbc.schema-version": "V1",
        f"{catalog}.warehouse": Path(job["lake"]).as_uri(),
        "spark.sql.defaultCatalog": "default",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
    }
    builder = SparkSession.builder.master("local[*]").appName("benchmark")
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def main(job: dict[str, Any]) -> None:
    """Do one load; print its seconds, the start of Spark not counted."""
    spark = session(job)
    started = time.perf_counter()
    file = Path(job["file"])
    if file.suffix == ".csv":
        frame = spark.read.csv(str(file), header=True, inferSchema=True)
    else:
        frame = spark.read.parquet(str(file)) if file.suffix == ".parquet" else spark.read.json(str(file))
    if "primary_key" in job:
        frame.createOrReplaceTempView("new")
        table, key = job["table"], job["primary_key"]
        spark.sql(
            f"ALTER TABLE {table} SET TBLPROPERTIES ('write.merge.mode'='copy-on-write', "
            "'write.merge.distribution-mode'='none')"
        )
        spark.sql(
            f"MERGE INTO {table} t USING new n ON t.{key} = n.{key} "
            "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        )
    else:
        spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {job['table'].split('.')[0]}")
        frame.writeTo(job["table"]).using("iceberg").create()
    print(json.dumps({"seconds": time.perf_counter() - started}), flush=True)
    spark.stop()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
