"""Every door of the contract, entered by installed sample packages, through the real command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from pyiceberg.catalog import load_catalog
from sample_packages import install_sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """
catalog_config: {{type: {catalog}, room: lake}}
retry_config: {{max_retries: 2, initial_delay_seconds: 0.01}}
sources:
  - name: gate
    source_type: acme_turnstile
    source_config: {{tries_file: tries, jams: {jams}}}
    destination_table: raw.gate_{{resource}}
"""


class Webhook(BaseHTTPRequestHandler):
    """Keeps what it is told."""

    def do_POST(self) -> None:
        said = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.events.append(json.loads(said))  # type: ignore[attr-defined]
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def webhook() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    server.events, server.status = [], 204
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with both sample packages, as an installer leaves them."""
    folder = tmp_path / "site"
    for package in ("acme_lake", "acme_watch"):
        install_sample(package, folder)
    return folder


def run(
    tmp_path: Path, site: Path, webhook: Any, *, jams: int = 0, catalog: str = "acme"
) -> subprocess.CompletedProcess[str]:
    (tmp_path / "ingest.yaml").write_text(CONFIG.format(jams=jams, catalog=catalog))
    return subprocess.run(
        [sys.executable, "-m", "floe_ingest.cli", "run", "ingest.yaml", "--json", "--run-id", "r-1"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(site),
            "ACME_WEBHOOK": f"http://127.0.0.1:{webhook.server_port}/hook",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_run_goes_through_every_door(tmp_path: Path, site: Path, webhook: Any) -> None:
    done = run(tmp_path, site, webhook, jams=2)
    assert done.returncode == 0, done.stderr

    source = json.loads(done.stdout)["sources"][0]
    assert source["extra"]["rows_per_table"] == 1
    assert (tmp_path / "tries").read_text() == "3"
    assert webhook.events == [
        {"event": "begins", "run_id": "r-1", "sources": ["gate"]},
        {"event": "ended", "run_id": "r-1", "success": True},
    ]
    lake = tmp_path / "lake"
    catalog = load_catalog(
        "default", type="sql", uri=f"sqlite:///{lake / 'acme.db'}", warehouse=lake.as_uri()
    )
    assert catalog.load_table("raw.gate_people").scan().to_arrow().column("name").to_pylist() == ["Ada"]
    catalog.close()


def test_what_stays_jammed_fails_as_its_plugin_says(tmp_path: Path, site: Path, webhook: Any) -> None:
    done = run(tmp_path, site, webhook, jams=99)
    assert done.returncode == 1
    error = json.loads(done.stdout)["sources"][0]["errors"][0]
    assert error["category"] == "transient"
    assert (tmp_path / "tries").read_text() == "3"
    assert webhook.events[-1] == {"event": "ended", "run_id": "r-1", "success": False}


def test_a_webhook_that_refuses_stops_the_run_and_is_named(tmp_path: Path, site: Path, webhook: Any) -> None:
    webhook.status = 500
    done = run(tmp_path, site, webhook)
    assert done.returncode != 0
    assert "acme_watch" in done.stderr
    assert "floe_ingest_before_run" in done.stderr
    assert not (tmp_path / "tries").exists()


def test_a_catalog_type_that_nobody_brings(tmp_path: Path, site: Path, webhook: Any) -> None:
    done = run(tmp_path, site, webhook, catalog="acmee")
    assert done.returncode == 2
    assert "acmee" in done.stderr


def test_an_orchestrator_of_a_third_party(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from floe_ingest.plugins import load_plugins
    from floe_ingest_hookspecs import DefinitionsRequest

    monkeypatch.syspath_prepend(site)
    plugins = load_plugins(allow=["acme-watch"])
    request = DefinitionsRequest(config=None, config_path=tmp_path / "ingest.yaml", sources=("gate",))
    assert plugins.build_definitions("cron", request) == [
        f"0 3 * * * floe-ingest run {tmp_path / 'ingest.yaml'} --source gate"
    ]
    for module in ("acme_watch", "acme_lake"):
        sys.modules.pop(module, None)
