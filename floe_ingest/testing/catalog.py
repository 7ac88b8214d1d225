"""A catalog for tests: SQLite and files in a temporary folder, read back as Arrow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from pyiceberg.catalog import Catalog


@dataclass(frozen=True, slots=True)
class EmbeddedCatalog:
    """A SQL catalog in SQLite, with its data beside it.

    Arguments:
        folder: where both are; created with the first load.
    """

    folder: Path

    @property
    def properties(self) -> dict[str, str]:
        """What stands as ``catalog_config``."""
        return {
            "type": "sql",
            "uri": f"sqlite:///{self.folder / 'catalog.db'}",
            "warehouse": self.folder.as_uri(),
        }

    def tables(self) -> list[str]:
        """Return the names of the tables that loads made, as ``namespace.table``."""
        catalog = self._open()
        names = [
            ".".join(identifier)
            for namespace in catalog.list_namespaces()
            for identifier in catalog.list_tables(namespace)
        ]
        return sorted(name for name in names if not name.rpartition(".")[2].startswith("_dlt_"))

    def read(self, table: str) -> pa.Table:
        """Return a table's rows.

        Arguments:
            table: ``namespace.table``.
        """
        return self._open().load_table(table).scan().to_arrow()

    def snapshots(self, table: str) -> int:
        """Return how many snapshots a table has."""
        return len(self._open().load_table(table).metadata.snapshots)

    def _open(self) -> Catalog:
        from floe_ingest.destination.catalogs import open_catalog

        self.folder.mkdir(parents=True, exist_ok=True)
        return open_catalog("default", self.properties)


def plain_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return a table's rows without dlt's own columns, as Python objects."""
    own = [name for name in table.column_names if name.startswith("_dlt_")]
    rows: list[dict[str, Any]] = table.drop_columns(own).to_pylist()
    return rows
