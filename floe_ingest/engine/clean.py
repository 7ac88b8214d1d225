"""Removes what loads that died have left in the storage of a configuration's tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from floe_ingest.config import resolve_catalog, validate_config
from floe_ingest.engine.resources import Destination
from floe_ingest.errors import ConfigurationError
from floe_ingest.plugins import load_plugins

if TYPE_CHECKING:
    from floe_ingest.config import DltIngestionConfig
    from floe_ingest.plugins import Plugins

SAFE_AGE = timedelta(hours=24)
LEAST_AGE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class CleanedTable:
    """What was found of one table.

    Arguments:
        table: its full name.
        files: locations that no snapshot references.
        bytes: of these files.
    """

    table: str
    files: tuple[str, ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class CleanReport:
    """What was found, and whether it is gone."""

    removed: bool
    tables: tuple[CleanedTable, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the document that ``floe-ingest clean --json`` prints: plain JSON types only."""
        return {
            "removed": self.removed,
            "tables": [
                {"table": table.table, "files": list(table.files), "bytes": table.bytes}
                for table in self.tables
            ],
        }


def clean(
    config: DltIngestionConfig,
    *,
    older_than: timedelta = SAFE_AGE,
    dry_run: bool = False,
    plugins: Plugins | None = None,
) -> CleanReport:
    """Remove data files that no snapshot of their table references.

    Only tables that floe-ingest has loaded into are looked at, in the namespaces of the configuration.

    Arguments:
        config: from ``load_config``, or made in Python.
        older_than: younger files stay, since a load may be about to commit them; an hour at least.
        dry_run: find, and remove nothing.
        plugins: from ``load_plugins``; a fresh manager by default.

    Raises:
        ConfigurationError: the configuration is wrong, or the age is not safe.
        CatalogConnectionError: the catalog cannot be reached.
    """
    from floe_ingest.destination.cleaning import left_files, remove, tables_of

    if older_than < LEAST_AGE:
        raise ConfigurationError(
            f"Files younger than {LEAST_AGE} may belong to a load on its way; got an age of {older_than}."
        )
    plugins = plugins or load_plugins()
    validate_config(config, plugins)
    catalog = resolve_catalog(config)
    properties = plugins.destination_config(catalog)
    before = datetime.now(UTC) - older_than
    found = []
    namespaces = dict.fromkeys(
        Destination.parse(source.destination_table).namespace for source in config.sources
    )
    for namespace in namespaces:
        for name, table in tables_of(catalog.name, properties, namespace):
            files = left_files(table, before)
            if not dry_run:
                remove(table, files)
            if files:
                total = sum(file.bytes for file in files)
                found.append(CleanedTable(name, tuple(file.location for file in files), total))
    return CleanReport(not dry_run, tuple(found))
