"""A REST API whose certificate a private authority signed: refused by default, loaded with its CA."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml
from lakes import Lake
from rest_support import Api, pages, serving
from tls_support import Front, tls_front

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORDERS = [{"id": number, "at": f"2024-01-{number + 1:02d}"} for number in range(5)]


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as made:
        made.routes["/orders"] = pages(ORDERS, 100)
        yield made


@pytest.fixture
def front(api: Api, tmp_path: Path) -> Iterator[Front]:
    with tls_front(urlsplit(api.url).port or 0, tmp_path) as made:
        yield made


def run(folder: Path, url: str, command: str = "run", **variables: str) -> tuple[int, dict[str, Any]]:
    source = {
        "name": "shop",
        "source_type": "rest_api",
        "source_config": {
            "client": {"base_url": url, "auth": {"type": "bearer", "token": "${TOKEN}"}},
            "resources": [{"name": "orders", "endpoint": {"path": "orders", "data_selector": "data"}}],
        },
        "destination_table": "raw.{resource}",
    }
    catalog = Lake(folder / "lake").properties
    (folder / "lake").mkdir(exist_ok=True)
    (folder / "ingest.yaml").write_text(
        yaml.safe_dump({"catalog_config": catalog, "sources": [source]}), encoding="utf-8"
    )
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_CA_BUNDLE")}
    done = subprocess.run(
        [sys.executable, "-m", "floe_ingest.cli", command, "ingest.yaml", "--json"],
        cwd=folder,
        env={**environment, "TOKEN": "for-nobody-else", **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("command", ["run", "check"])
def test_without_the_ca_nothing_is_sent(api: Api, front: Front, tmp_path: Path, command: str) -> None:
    """The look at the first page, with which a run begins, is not tried again, and nothing is loaded."""
    code, told = run(tmp_path, front.url, command)

    assert code == 2
    [error] = (told if command == "run" else told["sources"][0])["errors"]
    assert (error["category"], error["type"]) == ("configuration", "CertificateError")
    assert f"The certificate of {front.url} is not trusted: unable to get local issuer" in error["message"]
    assert "REQUESTS_CA_BUNDLE in the environment" in error["message"]
    assert api.asked == []
    assert len(front.greeted) == 1
    assert Lake(tmp_path / "lake").catalog().list_namespaces() == []


def test_with_the_ca_the_load_lands(api: Api, front: Front, tmp_path: Path) -> None:
    code, told = run(tmp_path, front.url, REQUESTS_CA_BUNDLE=str(front.ca))

    assert code == 0, told
    assert api.asked
    assert Lake(tmp_path / "lake").duckdb("raw.orders", "SELECT id FROM t ORDER BY id").to_pydict() == {
        "id": [order["id"] for order in ORDERS]
    }


def test_a_certificate_for_another_host_is_refused(api: Api, tmp_path: Path) -> None:
    """With the CA: setting one would not help, so that is not said."""
    with tls_front(urlsplit(api.url).port or 0, tmp_path, "shop.example.com") as front:
        code, told = run(tmp_path, front.url, REQUESTS_CA_BUNDLE=str(front.ca))

    assert code == 2
    [error] = told["errors"]
    assert (error["category"], error["type"]) == ("configuration", "CertificateError")
    assert "IP address mismatch, certificate is not valid for '127.0.0.1'" in error["message"]
    assert "REQUESTS_CA_BUNDLE" not in error["message"]
    assert api.asked == []
