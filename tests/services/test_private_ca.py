"""Catalog and object store whose certificates a private CA signed: refused by default, used with that CA.

Each load is a process of its own, since libraries read the environment once. Storage without TLS is there for
the tests alone, so that one server at a time is behind it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import certifi
import pytest
from gateway import Gateway, gateway
from lakes import ServedLake, served_lake
from tls_support import Front, tls_front

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from services.together import Services

ROWS = {"id": [1, 2]}


@pytest.fixture
def lake(services: Services, tmp_path: Path) -> Iterator[ServedLake]:
    with served_lake("rest-minio", services, tmp_path / "lake") as made:
        yield made


@pytest.fixture
def store(services: Services, tmp_path: Path) -> Iterator[Front]:
    with tls_front(urlsplit(services.minio.endpoint).port or 0, tmp_path) as front:
        yield front


@pytest.fixture
def door(services: Services, lake: ServedLake) -> Iterator[Gateway]:
    with gateway(services.rest_minio, services.minio, token_seconds=600) as running:
        yield running


@pytest.fixture
def catalog(door: Gateway, tmp_path: Path) -> Iterator[Front]:
    """TLS in front of a catalog that gives out tokens, and lends storage credentials."""
    with tls_front(urlsplit(door.uri).port or 0, tmp_path) as front:
        yield front


def run(
    folder: Path, catalog: Mapping[str, str], source: Mapping[str, Any] | None = None, **variables: str
) -> tuple[int, str, Any]:
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "a.csv").write_text("id\n1\n2\n", encoding="utf-8")
    files = {
        "name": "files",
        "source_type": "filesystem",
        "source_config": source or {"path": "./data"},
        "destination_table": "bronze.files",
    }
    document = {"catalog_config": dict(catalog), "sources": [files]}
    (folder / "ingest.yaml").write_text(json.dumps(document), encoding="utf-8")
    cas = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "SSL_CERT_FILE")
    done = subprocess.run(
        [sys.executable, "-m", "floe_ingest.cli", "run", "ingest.yaml", "--json"],
        cwd=folder,
        env={**{name: value for name, value in os.environ.items() if name not in cas}, **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stderr, json.loads(done.stdout) if done.stdout else None


def refused(told: Any) -> str:
    """Return the message of the one error of a load, which is one that nobody tries again."""
    [error] = told["sources"][0]["errors"]
    assert (error["category"], error["type"]) == ("configuration", "CertificateError")
    assert "is not trusted: unable to get local issuer certificate" in error["message"]
    return str(error["message"])


def loaded(lake: ServedLake) -> dict[str, list[Any]]:
    return lake.duckdb("bronze.files", "SELECT id FROM t ORDER BY id").to_pydict()


def behind(front: Front, door: Gateway) -> dict[str, str]:
    return {**door.properties, "uri": front.url, "oauth2-server-uri": f"{front.url}/v1/oauth/tokens"}


class TestCatalog:
    def test_without_the_ca_no_credential_is_sent(
        self, catalog: Front, door: Gateway, lake: ServedLake, tmp_path: Path
    ) -> None:
        code, errors, told = run(tmp_path, behind(catalog, door))

        assert code == 2, errors
        message = refused(told)
        assert f"The certificate of {catalog.url} is not trusted" in message
        assert "`ssl.cabundle` in catalog_config" in message
        assert "REQUESTS_CA_BUNDLE" in message
        assert door.tokens == {}
        assert len(catalog.greeted) < 4  # not tried again: `retry_config` would make four tries of it
        assert lake.catalog().list_namespaces() == []

    @pytest.mark.parametrize("elsewhere", ["nothing", "the public CAs"])
    def test_with_the_ca_of_catalog_config_the_load_lands(
        self, catalog: Front, door: Gateway, lake: ServedLake, tmp_path: Path, elsewhere: str
    ) -> None:
        """Its path is relative to the file. What the environment says of other servers changes nothing."""
        variables = {} if elsewhere == "nothing" else {"REQUESTS_CA_BUNDLE": certifi.where()}
        properties = {**behind(catalog, door), "ssl.cabundle": catalog.ca.name}
        code, errors, _ = run(tmp_path, properties, **variables)

        assert code == 0, errors
        assert door.tokens
        assert loaded(lake) == ROWS

    def test_with_the_ca_of_the_environment_the_load_lands(
        self, catalog: Front, door: Gateway, lake: ServedLake, tmp_path: Path
    ) -> None:
        code, errors, _ = run(tmp_path, behind(catalog, door), REQUESTS_CA_BUNDLE=str(catalog.ca))

        assert code == 0, errors
        assert loaded(lake) == ROWS

    @pytest.mark.parametrize(
        ("content", "reason"),
        [(None, "No such file or directory"), ("no certificate", "it holds no certificate in PEM form")],
    )
    def test_a_file_without_certificates_is_told(
        self, catalog: Front, door: Gateway, tmp_path: Path, content: str | None, reason: str
    ) -> None:
        if content is not None:
            (tmp_path / "mine.pem").write_text(content, encoding="utf-8")
        code, errors, told = run(tmp_path, {**behind(catalog, door), "ssl.cabundle": "mine.pem"})

        assert code == 2, errors
        [error] = told["sources"][0]["errors"]
        assert (error["category"], error["type"]) == ("configuration", "CatalogConfigurationError")
        assert f"`ssl.cabundle` is {str(tmp_path / 'mine.pem')!r}: {reason}" in error["message"]
        assert catalog.greeted == []


class TestStorage:
    def test_without_the_ca_nothing_is_stored(self, store: Front, lake: ServedLake, tmp_path: Path) -> None:
        code, errors, told = run(tmp_path, {**lake.properties, "s3.endpoint": store.url})

        assert code == 2, errors
        message = refused(told)
        assert "The certificate of the object store" in message
        assert "SSL_CERT_FILE in the environment" in message
        assert not lake.catalog().table_exists("bronze.files")
        assert lake.store is not None
        listed = lake.store.client().list_objects_v2(Bucket="lake", Prefix="warehouse/bronze/")
        files = {found["Key"] for found in listed.get("Contents", [])}
        assert {
            file for file in files if not file.endswith(".metadata.json")
        } == set()  # those are the server's

    def test_with_the_ca_the_load_lands(self, store: Front, lake: ServedLake, tmp_path: Path) -> None:
        properties = {**lake.properties, "s3.endpoint": store.url}
        code, errors, _ = run(tmp_path, properties, SSL_CERT_FILE=str(store.ca))

        assert code == 0, errors
        assert store.greeted
        assert loaded(lake) == ROWS


class TestFiles:
    """Of a source, which reads by another library than the destination writes with."""

    def source(self, store: Front, lake: ServedLake, folder: Path) -> dict[str, Any]:
        file = folder / "orders.csv"
        file.write_text("id\n1\n2\n", encoding="utf-8")
        assert lake.store is not None
        options = {"key": lake.store.access_key, "secret": lake.store.secret_key, "endpoint_url": store.url}
        return {"bucket_url": lake.put(file), "storage_options": options}

    def test_without_the_ca_nothing_is_read(self, store: Front, lake: ServedLake, tmp_path: Path) -> None:
        code, errors, told = run(tmp_path, lake.properties, self.source(store, lake, tmp_path))

        assert code == 2, errors
        assert "AWS_CA_BUNDLE in the environment" in refused(told)
        assert not lake.catalog().table_exists("bronze.files")

    def test_with_the_ca_the_load_lands(self, store: Front, lake: ServedLake, tmp_path: Path) -> None:
        source = self.source(store, lake, tmp_path)
        code, errors, _ = run(tmp_path, lake.properties, source, AWS_CA_BUNDLE=str(store.ca))

        assert code == 0, errors
        assert loaded(lake) == ROWS
