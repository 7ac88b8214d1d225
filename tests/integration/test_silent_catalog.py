"""A catalog that takes connections and never answers: the run ends, and says so."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

import floe_ingest
from floe_ingest import ErrorCategory
from floe_ingest.destination.catalogs import close_catalogs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def silent() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    close_catalogs()


SIGNED = {
    "rest.sigv4-enabled": "true",
    "rest.signing-region": "eu-west-1",
    "rest.signing-name": "glue",
    "client.access-key-id": "ada",
    "client.secret-access-key": "lovelace",
}


@pytest.mark.parametrize(
    "login", [{}, {"credential": "ada:lovelace"}, SIGNED], ids=["open", "with a token", "signed"]
)
def test_a_run_against_a_silent_catalog_ends(silent: str, tmp_path: Path, login: dict[str, str]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jsonl").write_text('{"id": 1}\n')
    source = {
        "name": "files",
        "source_type": "filesystem",
        "source_config": {"path": "./data"},
        "destination_table": "bronze.items",
    }
    config = {
        "catalog_config": {"type": "rest", "uri": silent, "rest.client.socket-timeout-ms": "300", **login},
        "sources": [source],
        "retry_config": {"max_retries": 0},
    }
    (tmp_path / "ingest.yaml").write_text(json.dumps(config))

    result = floe_ingest.run(floe_ingest.load_config(tmp_path / "ingest.yaml"))

    [error] = result.sources[0].errors
    assert error.category is ErrorCategory.TRANSIENT
    assert "cannot be reached" in error.message
    assert "lovelace" not in error.message
