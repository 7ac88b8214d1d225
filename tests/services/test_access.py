"""OAuth2, tokens and storage credentials that expire, and refusals, as Apache Polaris has them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import dlt
import pytest
from dlt.destinations.adapters import iceberg_adapter
from dlt.pipeline.exceptions import PipelineStepFailed
from gateway import ALL, CLIENT, Gateway, gateway, slow_proxy
from lakes import ServedLake, served_lake

import floe_ingest
from floe_ingest import CatalogAccessError, ErrorCategory
from floe_ingest.destination.catalogs import close_catalogs, open_catalog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from services.together import Services


@pytest.fixture
def lake(services: Services, tmp_path: Path) -> Iterator[ServedLake]:
    with served_lake("rest-minio", services, tmp_path / "lake") as made:
        yield made
        close_catalogs()


@pytest.fixture
def door(services: Services, lake: ServedLake) -> Iterator[Gateway]:
    with gateway(services.rest_minio, services.minio) as running:
        yield running


def pipeline(door: Gateway, tmp_path: Path) -> dlt.Pipeline:
    return dlt.pipeline(
        "shop",
        destination=floe_ingest.iceberg(**door.properties),
        dataset_name="bronze",
        pipelines_dir=str(tmp_path / "work"),
    )


def causes(error: BaseException) -> list[BaseException]:
    found = [error]
    while (cause := found[-1].__cause__ or found[-1].__context__) is not None and cause not in found:
        found.append(cause)
    return found


@pytest.mark.parametrize("status", [401, 419])
def test_a_load_longer_than_its_token_ends_well(
    door: Gateway, lake: ServedLake, tmp_path: Path, status: int
) -> None:
    door.token_seconds, door.expired_status = 1, status

    @dlt.resource(name="items", primary_key="id", write_disposition="merge")
    def items() -> Iterator[dict[str, int]]:
        for i in range(3):
            time.sleep(0.7)
            yield {"id": i}

    for _ in range(2):
        pipeline(door, tmp_path).run(items())

    assert sorted(row["id"] for row in lake.duckdb("bronze.items").to_pylist()) == [0, 1, 2]
    assert any(refusal.startswith(f"{status} ") for refusal in door.refused)
    assert len(door.tokens) > 2


@pytest.mark.parametrize("kind", ["new", "append", "merge"])
def test_a_load_longer_than_its_storage_credentials_ends_well(
    services: Services, door: Gateway, lake: ServedLake, tmp_path: Path, kind: str
) -> None:
    disposition: Any = "merge" if kind == "merge" else "append"
    rows = [{"id": i, "part": f"p{i % 12}", "v": 0} for i in range(120)]

    def load() -> None:
        resource = dlt.resource(rows, name="items", write_disposition=disposition, primary_key="id")
        pipeline(door, tmp_path).run(iceberg_adapter(resource, partition="part"))

    if kind != "new":
        load()
    before = len(door.lent)
    # Twelve files take longer than the credentials are good for, and one takes less than half of that.
    door.storage_seconds = 12
    with slow_proxy(urlsplit(services.minio.endpoint).port or 0, 0.5) as address:
        door.storage_endpoint = address
        load()

    found = sorted(row["id"] for row in lake.duckdb("bronze.items").to_pylist())
    assert found == sorted([*range(120)] * (2 if kind == "append" else 1))
    assert len(lake.table("bronze.items").inspect.files()) == 12 * (2 if kind == "append" else 1)
    assert lake.snapshots("bronze.items") == (1 if kind == "new" else 2)
    assert len(door.lent) - before > 2 * 2  # each is a key and a token


def test_lent_credentials_reach_the_table_alone_and_not_for_long(door: Gateway, services: Services) -> None:
    import boto3
    from botocore.exceptions import ClientError

    def client(seconds: float) -> Any:
        door.storage_seconds = seconds
        lent = door.storage("s3://lake/warehouse/lent/items")
        return boto3.client(
            "s3",
            endpoint_url=lent["s3.endpoint"],
            aws_access_key_id=lent["s3.access-key-id"],
            aws_secret_access_key=lent["s3.secret-access-key"],
            aws_session_token=lent["s3.session-token"],
            region_name=lent["s3.region"],
        )

    in_time = client(3600)
    in_time.put_object(Bucket="lake", Key="warehouse/lent/items/data/a", Body=b"a")
    with pytest.raises(ClientError, match="AccessDenied"):
        in_time.put_object(Bucket="lake", Key="warehouse/lent/other/data/a", Body=b"a")
    too_late = client(-1)
    with pytest.raises(ClientError, match="AccessDenied"):
        too_late.put_object(Bucket="lake", Key="warehouse/lent/items/data/b", Body=b"b")


MISSING = {
    "NAMESPACE_CREATE": "create a namespace: NAMESPACE_CREATE on the catalog is not granted",
    "TABLE_CREATE": "create a table: TABLE_CREATE and TABLE_WRITE_DATA on namespace bronze is not granted",
    "TABLE_WRITE_PROPERTIES": "commit to the table: TABLE_WRITE_PROPERTIES on table bronze.",
}


@pytest.mark.parametrize("privilege", MISSING)
def test_a_missing_grant_is_told(door: Gateway, tmp_path: Path, privilege: str) -> None:
    door.grants = ALL - {privilege}

    with pytest.raises(PipelineStepFailed) as failure:
        pipeline(door, tmp_path).run([{"id": 1}], table_name="items")

    told = [error for error in causes(failure.value) if isinstance(error, CatalogAccessError)]
    assert told
    assert MISSING[privilege] in str(told[0])
    assert "is not granted" in str(told[0])
    assert told[0].category is ErrorCategory.PERMANENT
    assert_no_secret(door, failure.value, tmp_path)


def test_a_grant_that_goes_missing_leaves_the_table_as_it_was(
    door: Gateway, lake: ServedLake, tmp_path: Path
) -> None:
    pipeline(door, tmp_path).run([{"id": 1}], table_name="items")
    door.grants = ALL - {"TABLE_WRITE_PROPERTIES"}
    with pytest.raises(PipelineStepFailed) as failure:
        pipeline(door, tmp_path).run([{"id": 2}], table_name="items")

    needed = "commit to the table: TABLE_WRITE_PROPERTIES on table bronze.items is not granted"
    assert needed in str(failure.value)
    assert [row["id"] for row in lake.rows("bronze.items")] == [1]
    assert len(lake.stored_files("bronze.items")) == 1
    door.grants = ALL
    pipeline(door, tmp_path).run([{"id": 2}], table_name="items")
    assert sorted(row["id"] for row in lake.rows("bronze.items")) == [1, 2]


def test_a_wrong_client_secret_is_told(door: Gateway) -> None:
    wrong = door.properties | {"credential": f"{CLIENT}:not-the-secret"}

    with pytest.raises(CatalogAccessError, match="refused the client credentials") as failure:
        open_catalog("default", wrong)

    assert "unauthorized_client: The client is not authorized" in str(failure.value)
    assert not any("not-the-secret" in str(error) for error in causes(failure.value))


def test_a_secret_that_changes_in_a_load_is_told(door: Gateway, tmp_path: Path) -> None:
    door.token_seconds = 1

    def items() -> Iterator[dict[str, int]]:
        yield {"id": 1}
        door.secret = "another"
        time.sleep(1.2)

    shown = door.secret
    with pytest.raises(PipelineStepFailed, match="refused the client credentials") as failure:
        pipeline(door, tmp_path).run(items(), table_name="items")
    assert not any(shown in str(error) for error in causes(failure.value))


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("status", [409, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("first", [True, False], ids=["new table", "known table"])
def test_a_commit_that_is_answered_wrongly_lands_once(
    door: Gateway, lake: ServedLake, tmp_path: Path, status: int, done: bool, first: bool
) -> None:
    if not first:
        pipeline(door, tmp_path).run([{"id": 0}], table_name="items")
    door.faults.extend([(status, done)])

    pipeline(door, tmp_path).run([{"id": 1}], table_name="items")

    assert sorted(row["id"] for row in lake.duckdb("bronze.items").to_pylist()) == ([1] if first else [0, 1])
    assert lake.snapshots("bronze.items") == (1 if first else 2)
    assert not door.faults


def assert_no_secret(door: Gateway, error: BaseException, folder: Path) -> None:
    secrets = [door.secret, *door.lent, *door.tokens]
    shown = "\n".join(f"{cause!s} {cause!r}" for cause in causes(error))
    kept = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert kept
    for secret in secrets:
        assert secret not in shown
        assert not any(secret.encode() in content for content in kept)
