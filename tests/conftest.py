"""Fixtures that all tests share: a catalog of their own, and nothing of the user's machine."""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING, cast

import pytest
import secret_scan
import structlog
from hypothesis import HealthCheck, settings
from lakes import SERVED, Lake
from services.together import Services

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# How fast examples are made says how busy the machine is.
_BY_THE_CLOCK = [HealthCheck.too_slow]
# A run in CI tries the same examples each time; elsewhere each run tries new ones.
settings.register_profile("here", suppress_health_check=_BY_THE_CLOCK)
settings.register_profile("ci", derandomize=True, suppress_health_check=_BY_THE_CLOCK)
settings.load_profile("ci" if os.environ.get("CI") else "here")

# A shell starts background jobs with SIGINT ignored, and children inherit that: no Ctrl-C would reach them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep dlt's global folder, its telemetry and the shell's plugin filter out of tests."""
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt-data"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.delenv("FLOE_INGEST_PLUGINS", raising=False)


def pytest_configure(config: pytest.Config) -> None:
    """Look for secrets in what the session leaves."""
    config.pluginmanager.register(secret_scan)


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """Undo what a test that runs the command line in this process changes for all that come after it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    if structlog.is_configured():
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.import_plugin("services_summary")
    parser.addoption(
        "--lake",
        action="append",
        choices=["embedded", *SERVED],
        help="run the contract suite on this catalog and storage; once for each",
    )


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """Real servers, each started when it is first asked for."""
    from services_summary import Asked  # by pytest first, which rewrites its plugins

    with Services() as started:
        yield cast("Services", Asked(started))


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    from floe_ingest.destination.catalogs import close_catalogs

    yield Lake(tmp_path / "lake")
    close_catalogs()
