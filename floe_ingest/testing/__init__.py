"""The test kit for authors of source packages.

pytest finds the fixtures ``floe_manager``, ``floe_catalog`` and ``run_source`` by itself, wherever
floe-ingest is installed. A package's own tests are one class:

    from floe_ingest.testing import SourceContract

    class TestZones(SourceContract):
        source_type = "dns_zone"

        def make_source(self, folder):
            (folder / "a.zone").write_text("www 300 IN A 192.0.2.1")
            return {"path": str(folder / "a.zone")}

        def expected(self):
            return {"records": [{"name": "www", "ttl": 300}]}

Importing this package imports no pytest: the fixtures are loaded in every pytest run of an environment, and
have to cost those that do not use them nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from floe_ingest.testing.catalog import EmbeddedCatalog
    from floe_ingest.testing.contract import SourceContract
    from floe_ingest.testing.running import Loaded, SourceRunner

_NAMES = {
    "EmbeddedCatalog": "floe_ingest.testing.catalog",
    "Loaded": "floe_ingest.testing.running",
    "SourceContract": "floe_ingest.testing.contract",
    "SourceRunner": "floe_ingest.testing.running",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    from importlib import import_module

    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_NAMES[name]), name)


__all__ = ["EmbeddedCatalog", "Loaded", "SourceContract", "SourceRunner"]
