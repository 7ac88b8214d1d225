"""Fixtures of the command line's tests: the real program, in a real process, with real plugins."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from sample_packages import install_module

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without what would change the program's behaviour."""
    mine = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("FLOE_INGEST_") and name not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}
    }
    return {**mine, "PYTHONPATH": "", **variables}


@pytest.fixture
def environment() -> Callable[..., dict[str, str]]:
    """A function that returns a clean environment with the given variables on top."""
    return _environment


@pytest.fixture
def floe(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs ``floe-ingest`` in ``tmp_path`` and returns what it printed and its code."""

    def run(
        *words: str | Path, cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "floe_ingest.cli", *map(str, words)],
            cwd=cwd or tmp_path,
            env=_environment(**variables),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture
def make_plugin(tmp_path: Path) -> Callable[..., Path]:
    """A function that installs a one-module distribution and returns the folder for PYTHONPATH."""

    def make(name: str, code: str, *, version: str = "1.2.3") -> Path:
        install_module(name, code, tmp_path / "site", version=version)
        return tmp_path / "site"

    return make


@pytest.fixture
def csv_config(tmp_path: Path) -> Path:
    """A configuration of one folder with one CSV file of three rows."""
    (tmp_path / "orders.csv").write_text("id,city\n1,Bern\n2,Lausanne\n3,Chur\n", encoding="utf-8")
    config = tmp_path / "ingest.yaml"
    config.write_text(
        "sources:\n"
        "  - name: orders\n"
        "    source_type: filesystem\n"
        "    source_config: {path: ., file_glob: '*.csv'}\n"
        "    destination_table: raw.{resource}\n",
        encoding="utf-8",
    )
    return config
