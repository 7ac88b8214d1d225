"""Object stores: MinIO (S3), fake-gcs-server (Google Cloud Storage), Azurite (Azure Blob Storage)."""

from __future__ import annotations

import base64
import os
import secrets
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from services import programs
from services.known import known
from services.processes import OfServer, answers, free_port, running, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.processes import Server

REGION = "us-east-1"
BUCKET = "lake"


@dataclass(frozen=True, slots=True)
class S3Store(OfServer):
    """A running MinIO with one bucket.

    Arguments:
        endpoint: its address.
        access_key, secret_key: of its administrator.
        server: its process.
    """

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    server: Server = field(repr=False)
    warehouse: str = f"s3://{BUCKET}/warehouse"

    @property
    def properties(self) -> dict[str, str]:
        """The properties by which PyIceberg reaches it."""
        return {
            "s3.endpoint": self.endpoint,
            "s3.access-key-id": self.access_key,
            "s3.secret-access-key": self.secret_key,
            "s3.region": REGION,
        }

    def client(self, service: str = "s3") -> Any:
        """Return a boto3 client of the administrator."""
        return _client(service, self.endpoint, self.access_key, self.secret_key)

    def contents(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Give the objects of the bucket whose names begin so: each one's name and bytes."""
        client = self.client()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
            for held in page.get("Contents", []):
                yield held["Key"], client.get_object(Bucket=BUCKET, Key=held["Key"])["Body"].read()

    def remove(self, prefix: str) -> None:
        """Remove the objects of the bucket whose names begin so."""
        client = self.client()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
            if found := [{"Key": held["Key"]} for held in page.get("Contents", [])]:
                client.delete_objects(Bucket=BUCKET, Delete={"Objects": found})


@cache
def _client(service: str, endpoint: str, access_key: str, secret_key: str) -> Any:
    """Make a client once: it takes longer than most of what is asked of it."""
    import boto3

    return boto3.client(
        service,
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name=REGION,
    )


@contextmanager
def minio() -> Iterator[S3Store]:
    """Run MinIO, with a bucket ``lake``. Its keys are made anew each time."""
    program = programs.minio()
    with temporary_folder("minio") as folder:
        port, secret = free_port(), known("MinIO's secret key", secrets.token_hex(16))
        settings = {
            "MINIO_ROOT_USER": "admin",
            "MINIO_ROOT_PASSWORD": secret,
            "MINIO_REGION": REGION,
            "MINIO_UPDATE": "off",
            "MINIO_BROWSER": "off",
        }
        endpoint = f"http://127.0.0.1:{port}"
        command = [str(program), "server", str(folder / "data"), "--address", f"127.0.0.1:{port}"]
        is_ready = f"{endpoint}/minio/health/ready"
        with running(command, folder, lambda: answers(is_ready), {**os.environ, **settings}) as server:
            store = S3Store(endpoint, "admin", secret, server)
            store.client().create_bucket(Bucket=BUCKET)
            yield store


@dataclass(frozen=True, slots=True)
class GcsStore(OfServer):
    """A running fake-gcs-server with one bucket; see ``S3Store``."""

    endpoint: str
    server: Server = field(repr=False)
    warehouse: str = f"gs://{BUCKET}/warehouse"

    @property
    def properties(self) -> dict[str, str]:
        """The properties by which PyIceberg reaches it. Any token will do; Arrow wants to know its end."""
        in_2100 = "4102444800000"
        token = {"gcs.oauth2.token": "anonymous", "gcs.oauth2.token-expires-at": in_2100}
        return {"gcs.service.host": self.endpoint, **token}


@contextmanager
def fake_gcs() -> Iterator[GcsStore]:
    """Run fake-gcs-server, with a bucket ``lake``."""
    program = programs.fake_gcs_server()
    with temporary_folder("gcs") as folder:
        port = free_port()
        endpoint = f"http://127.0.0.1:{port}"
        address = ["-host", "127.0.0.1", "-port", str(port), "-public-host", f"127.0.0.1:{port}"]
        command = [str(program), "-scheme", "http", *address, "-external-url", endpoint, "-backend", "memory"]
        with running(command, folder, lambda: answers(f"{endpoint}/storage/v1/b")) as server:
            import requests

            made = requests.post(f"{endpoint}/storage/v1/b", json={"name": BUCKET}, timeout=10)
            made.raise_for_status()
            yield GcsStore(endpoint, server)


@dataclass(frozen=True, slots=True)
class AzureStore(OfServer):
    """A running Azurite with one container; see ``S3Store``."""

    endpoint: str
    account: str
    key: str = field(repr=False)
    server: Server = field(repr=False)
    warehouse: str = f"abfs://{BUCKET}/warehouse"

    @property
    def connection_string(self) -> str:
        """The connection string of its account."""
        parts = {
            "DefaultEndpointsProtocol": "http",
            "AccountName": self.account,
            "AccountKey": self.key,
            "BlobEndpoint": f"{self.endpoint}/{self.account}",
        }
        return ";".join(f"{name}={value}" for name, value in parts.items()) + ";"

    @property
    def properties(self) -> dict[str, str]:
        """The properties by which PyIceberg reaches it."""
        return {"adls.connection-string": self.connection_string}


@contextmanager
def azurite() -> Iterator[AzureStore]:
    """Run Azurite's blob service, with a container ``lake``. Its key is made anew each time."""
    program = programs.azurite()
    with temporary_folder("azurite") as folder:
        port, account = free_port(), "floeingest"
        key = known("Azurite's account key", base64.b64encode(secrets.token_bytes(32)).decode("ascii"))
        endpoint = f"http://127.0.0.1:{port}"
        options = ["--skipApiVersionCheck", "--silent", "--disableTelemetry"]
        address = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder / "data")]
        settings = {**os.environ, "AZURITE_ACCOUNTS": f"{account}:{key}"}
        with running([*program, *address, *options], folder, lambda: answers(endpoint), settings) as server:
            from azure.storage.blob import BlobServiceClient

            store = AzureStore(endpoint, account, key, server)
            with BlobServiceClient.from_connection_string(store.connection_string) as client:
                client.create_container(BUCKET)
            yield store
