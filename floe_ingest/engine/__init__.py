"""The engine: from a configuration to committed tables and a result.

- ``runner`` runs the sources of a configuration, each on its own; ``side_by_side`` does so in threads.
- ``loading`` loads one source: a dlt pipeline on the Iceberg destination, retried where that helps.
- ``resources`` prepares what a plugin built; ``bulk`` lands its bulk scans as data files.
- ``cursors`` keeps a resource to the part that is new.
- ``workdir`` keeps the folder of an unfinished run; ``categories`` says what a failure calls for.
- ``check`` probes sources and the catalog without loading; ``clean`` removes what dead loads left.
"""

from floe_ingest.engine.check import CatalogReport, CheckReport, SourceReport, check
from floe_ingest.engine.clean import CleanReport, clean
from floe_ingest.engine.cursors import cursor_window
from floe_ingest.engine.runner import run

__all__ = [
    "CatalogReport",
    "CheckReport",
    "CleanReport",
    "SourceReport",
    "check",
    "clean",
    "cursor_window",
    "run",
]
