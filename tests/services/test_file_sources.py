"""Files as a source, in real object stores: S3 (MinIO), Google Cloud Storage, Azure Blob Storage."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import floe_ingest
from floe_ingest import SourceConfigurationError, SourceRequest
from floe_ingest.config import parse_config
from floe_ingest.plugins import load_plugins

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Lake
    from services.together import Services

    from floe_ingest import RunResult

    Load = Callable[..., RunResult]


# Read when gcsfs is imported, which a URL does: it asks a bucket's kind by a protocol that the server lacks.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"


@dataclass(frozen=True)
class Store:
    """A folder in a store; with what fsspec needs, and with credentials that the store refuses."""

    url: str
    options: dict[str, Any]
    wrong: dict[str, Any] | None

    def put(self, name: str, content: bytes) -> None:
        with fsspec.open(f"{self.url}/{name}", "wb", **self.options) as stream:
            stream.write(content)


def _store(kind: str, services: Services, folder: str) -> Store:
    if kind == "s3":
        minio = services.minio
        options = {"key": minio.access_key, "secret": minio.secret_key, "endpoint_url": minio.endpoint}
        return Store(f"s3://lake/{folder}", options, {**options, "secret": "not-the-right-secret"})
    if kind == "gcs":
        # The server looks at no token, so there are no wrong ones.
        return Store(f"gs://lake/{folder}", {"endpoint_url": services.gcs.endpoint, "token": "anon"}, None)
    text = services.azurite.connection_string
    wrong = re.sub("AccountKey=[^;]*", "AccountKey=bm90LXRoZS1yaWdodC1zZWNyZXQ=", text)
    return Store(f"az://lake/{folder}", {"connection_string": text}, {"connection_string": wrong})


@pytest.fixture(params=["s3", "gcs", "azure"])
def store(request: pytest.FixtureRequest, services: Services, tmp_path: Path) -> Store:
    return _store(request.param, services, f"files-{tmp_path.name}")


@pytest.fixture
def load(tmp_path: Path, lake: Lake, store: Store) -> Load:
    def run(settings: dict[str, Any], **options: Any) -> RunResult:
        config = {"bucket_url": store.url, "storage_options": store.options, **settings}
        source = {
            "name": "src",
            "source_type": "filesystem",
            "source_config": config,
            "destination_table": "raw.src",
            **options,
        }
        document = {
            "catalog_config": lake.properties,
            "retry_config": {"max_retries": 0},
            "sources": [source],
        }
        return floe_ingest.run(parse_config(document, path=tmp_path / "ingest.yaml"))

    return run


def ids(lake: Lake, table: str = "raw.src") -> list[int]:
    return sorted(row["id"] for row in lake.rows(table))


def test_every_format_is_read_with_the_folders_of_its_path(store: Store, load: Load, lake: Lake) -> None:
    parquet = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2]}), parquet)
    store.put("p/day=2024-01-01/a.parquet", parquet.getvalue())
    store.put("p/day=2024-01-02/b.parquet", parquet.getvalue())
    store.put("c/a.csv.gz", gzip.compress(b"id,name\n1,x\n2,\n"))
    store.put("j/a.jsonl", b'{"id": 1, "deep": {"n": [1, 2]}}\n')
    store.put("j/b.json", json.dumps([{"id": 2}, {"id": 3}]).encode())
    result = load(
        {
            "tables": {"p": "p/**/*.parquet", "c": "c/*.csv.gz", "j": "j/*"},
            "reader_options": {"hive_partitioning": True},
        },
        destination_table="raw.{resource}",
    )
    assert result.success, result
    partitions = sorted((row["id"], row["day"]) for row in lake.rows("raw.p"))
    assert partitions == [(1, "2024-01-01"), (1, "2024-01-02"), (2, "2024-01-01"), (2, "2024-01-02")]
    assert lake.duckdb("raw.c").to_pylist() == [{"id": 1, "name": "x"}, {"id": 2, "name": None}]
    assert sorted(str(row["deep"]) for row in lake.rows("raw.j")) == ["None", "None", "{'n': [1, 2]}"]


def test_new_and_changed_files_alone_are_loaded_each_once(store: Store, load: Load, lake: Lake) -> None:
    settings = {"incremental": "modified", "file_columns": ["_file_name"]}
    store.put("a.csv", b"id,v\n1,old\n")
    store.put("b.csv", b"id,v\n2,old\n")
    assert load(settings).success
    assert load(settings).sources[0].rows_loaded == 0
    time.sleep(1.1)  # stores keep times in seconds
    store.put("b.csv", b"id,v\n2,changed\n")
    store.put("c.csv", b"id,v\n3,new\n")
    assert load(settings, write_mode="merge", primary_key="id").sources[0].rows_loaded == 2
    found = sorted((row["id"], row["v"], row["_file_name"]) for row in lake.rows("raw.src"))
    assert found == [(1, "old", "a.csv"), (2, "changed", "b.csv"), (3, "new", "c.csv")]


def test_a_broken_archive_loads_nothing_and_names_the_url(store: Store, load: Load, lake: Lake) -> None:
    store.put("a.csv.gz", gzip.compress(b"id\n" + b"".join(b"%d\n" % n for n in range(100_000)))[:-2000])
    result = load({})
    assert not result.success
    assert f"{store.url}/a.csv.gz is damaged or cut off" in result.sources[0].errors[0].message
    assert not lake.catalog().table_exists("raw.src")


def test_what_is_not_there_is_told_with_what_is(store: Store, load: Load) -> None:
    store.put("orders.csv", b"id\n1\n")
    with pytest.raises(SourceConfigurationError, match=r"Did you mean 'orders\.csv'"):
        load({"file_glob": "order.csv"})
    with pytest.raises(SourceConfigurationError, match="There is no folder"):
        load({"bucket_url": f"{store.url}-that-is-not"})


def test_check_lists_what_is_there(store: Store) -> None:
    store.put("orders.csv", b"id,total\n1,2\n")
    plugins = load_plugins()
    config = plugins.source_type("filesystem").source_type.config_model(
        bucket_url=store.url, storage_options=store.options
    )
    (found,) = plugins.check_source(SourceRequest("src", "filesystem", config, "raw.src")).resources
    assert (found.columns, found.detail) == (("id", "total"), "1 csv file, 13 B")


def test_wrong_credentials_are_told_without_them(store: Store, load: Load) -> None:
    store.put("a.csv", b"id\n1\n")
    if store.wrong is None:
        assert load({}).success  # this store refuses nobody
        return
    result = load({"storage_options": store.wrong})
    assert re.search("may not be listed|cannot be listed", result.sources[0].errors[0].message)
    for secret in ("not-the-right-secret", "bm90LXRoZS1yaWdodC1zZWNyZXQ="):
        assert secret not in f"{result}"
