"""What others may ask of the destination: a table's columns before a load, and what a load did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from floe_ingest.destination.catalogs import open_catalog
from floe_ingest.destination.facts import greatest, key_facts, snapshot_facts
from floe_ingest.destination.layout import (
    add_columns,
    check_compatible,
    iceberg_schema,
    table_arrow_type,
    table_columns,
)
from floe_ingest.destination.ledger import LoadMark, find_load
from floe_ingest.destination.spec import PROPERTIES_HINT
from floe_ingest.destination.table_range import TableRange
from floe_ingest.destination.variants import resolve
from floe_ingest.destination.write import file_options

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table

    from floe_ingest.dataplane.columns import Column
    from floe_ingest.dataplane.copy import FileOptions
    from floe_ingest.dataplane.keys import KeyCounts
    from floe_ingest.dataplane.old_files import RowsFrom
    from floe_ingest.destination.facts import SnapshotFacts
    from floe_ingest.destination.ledger import RecordedLoad


class Target:
    """A namespace of a catalog.

    Arguments:
        name, properties: see ``open_catalog``.
        namespace: dotted.
    """

    def __init__(self, name: str, properties: Mapping[str, str], namespace: str) -> None:
        self._name = name
        self._properties = properties
        self.namespace = tuple(namespace.split("."))

    def columns_for(self, table: str, columns: pa.Schema) -> tuple[Column, ...]:
        """Return the columns that data files of a load must have, with the field ids they will get.

        Arguments: see ``schema_for``.

        Raises:
            SchemaError: the table cannot hold them.
        """
        by_name = {column.name: column for column in table_columns(self.schema_for(table, columns))}
        return tuple(by_name[name] for name in columns.names)

    def schema_for(self, table: str, columns: pa.Schema) -> Schema:
        """Return the schema that a table will have with a load's columns.

        The commit decides anew; files whose ids turn out different by then are rewritten.

        Arguments:
            table: the table's name; it may not exist yet.
            columns: the load's columns, in types that fit Iceberg.

        Raises:
            SchemaError: the table cannot hold them.
        """
        from floe_ingest.destination.staged import StagedTransaction

        existing = self._load(table)
        if existing is None:
            return iceberg_schema(columns)
        check_compatible(existing.schema(), iceberg_schema(columns), self._name_of(table))
        transaction = StagedTransaction(existing)
        add_columns(transaction, columns)
        return transaction.table_metadata.schema()

    def variants(self, table: str, columns: pa.Schema, pinned: Collection[str]) -> Mapping[str, str | None]:
        """Return, by name, the column into which each column goes whose type the table cannot hold.

        Arguments: see ``columns_for``; ``pinned`` are columns by which rows are merged.

        Raises:
            SchemaError: a pinned column does not fit, or a variant does not either.
        """
        existing = self._load(table)
        if existing is None:
            return {}
        return resolve(existing.schema(), columns, self._name_of(table), pinned=pinned).renames

    def columns_of(self, table: str) -> pa.Schema | None:
        """Return the columns that a table has, in the types in which loads come; None for no table."""
        import pyarrow as pa

        existing = self._load(table)
        if existing is None:
            return None
        arrow = existing.schema().as_arrow()
        return pa.schema([pa.field(field.name, table_arrow_type(field.type, field.name)) for field in arrow])

    def file_options(self, table: str, hints: Mapping[str, Any]) -> FileOptions:
        """Return how a load's files are written: by the properties that the table will have.

        Arguments:
            table: the table's name; it may not exist yet.
            hints: dlt's table, which may ask for properties.
        """
        existing = self._load(table)
        properties = dict(existing.properties) if existing is not None else {}
        return file_options(properties | dict(hints.get(PROPERTIES_HINT) or {}))

    def rows_from(
        self,
        table: str,
        column: str,
        start: Any,
        *,
        greater: bool,
        nulls: bool,
        columns: Sequence[str],
        folder: Path,
    ) -> RowsFrom | None:
        """Return the rows of a table from a value of one column on; None where there are none.

        Arguments:
            table: the table's name.
            column, start, greater, nulls: see ``RowsFrom``.
            columns: what is read of each row, as far as the table has it.
            folder: where files are copied that cannot be read where they are.

        Raises:
            SchemaError: the table has equality deletes.
        """
        existing = self._load(table)
        if existing is None or column not in existing.schema().column_names:
            return None
        rows = TableRange(column, start, greater, nulls)
        return rows.read(existing, columns, folder)

    def find(
        self, table: str, pipeline: str, *, load_ids: Iterable[str], run_id: str | None
    ) -> RecordedLoad | None:
        """Return what a load (by id) or a run (by id) committed to a table, or None for nothing."""
        existing = self._load(table)
        if existing is None:
            return None
        for load_id in load_ids:
            if found := find_load(existing, LoadMark(load_id, pipeline), by_run=False):
                return found
        return find_load(existing, LoadMark("", pipeline, run_id)) if run_id else None

    def facts(self, table: str, snapshot_id: int | None = None) -> SnapshotFacts | None:
        """Return what a snapshot of a table says, by default the newest; None where there is none."""
        existing = self._load(table)
        return snapshot_facts(existing, snapshot_id) if existing is not None else None

    def greatest(self, table: str, column: str) -> Any:
        """Return the greatest value of a column, from metadata alone; None where it is not known."""
        existing = self._load(table)
        return greatest(existing, column) if existing is not None else None

    def keys(self, table: str, columns: Sequence[str]) -> KeyCounts | None:
        """Return what the newest snapshot's files hold of key columns; None for no table."""
        existing = self._load(table)
        return key_facts(existing, columns) if existing is not None else None

    def reach(self) -> str:
        """Ask the catalog for the namespaces it has; return what was found, in words.

        Raises:
            CatalogConnectionError, CatalogConfigurationError: it cannot be asked.
        """
        count = len(self._catalog().list_namespaces())
        return f"reached, {count} namespace{'s' if count != 1 else ''}"

    def _name_of(self, table: str) -> str:
        return ".".join((*self.namespace, table))

    def _catalog(self) -> Catalog:
        return open_catalog(self._name, self._properties)

    def _load(self, table: str) -> Table | None:
        from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

        try:
            return self._catalog().load_table((*self.namespace, table))
        except (NoSuchTableError, NoSuchNamespaceError):
            return None
