"""The fixtures of the test kit. pytest loads this module by its entry point, in every run."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pytest shows the annotations of fixtures
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from floe_ingest.plugins import Plugins
    from floe_ingest.testing.catalog import EmbeddedCatalog
    from floe_ingest.testing.running import SourceRunner

_BUILT_IN_CATALOGS = "iceberg_catalogs"


@pytest.fixture
def floe_manager() -> Callable[..., Plugins]:
    """A function that gives a fresh plugin manager with only the named plugins.

    ``floe_manager("acme")`` loads the entry point, or all entry points of the distribution, of that name, and
    what opens catalogs; ``floe_manager(acme=module)`` registers a module or an object that is not installed;
    ``floe_manager()`` loads all that is installed.
    """

    def load(*names: str, **extra: object) -> Plugins:
        from floe_ingest.plugins import load_plugins

        only = [*names, _BUILT_IN_CATALOGS] if names or extra else None
        return load_plugins(allow=only, extra=extra)

    return load


@pytest.fixture
def floe_catalog(tmp_path: Path) -> Iterator[EmbeddedCatalog]:
    """A SQLite catalog in a temporary folder; ``read`` gives a table as Arrow."""
    from floe_ingest.destination.catalogs import close_catalogs
    from floe_ingest.testing.catalog import EmbeddedCatalog

    yield EmbeddedCatalog(tmp_path / "floe-lake")
    close_catalogs()


@pytest.fixture
def run_source(
    floe_catalog: EmbeddedCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """A function that loads a source: its configuration in, its tables out as Arrow.

    ``run_source("dns_zone", {"path": "a.zone"}, write_mode="replace").tables["records"]``. Every plugin that
    is installed takes part. dlt's own folders are temporary ones.
    """
    return _runner(floe_catalog, tmp_path, monkeypatch)


def _runner(catalog: EmbeddedCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SourceRunner:
    from floe_ingest.plugins import load_plugins
    from floe_ingest.testing.running import SourceRunner

    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt-data"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    folder = tmp_path / "floe-run"
    folder.mkdir()
    return SourceRunner(catalog, folder, load_plugins())
