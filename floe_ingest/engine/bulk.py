"""Lands the bulk scans of a resource as data files, and hands them to dlt by name alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from floe_ingest.dataplane.scan import open_scan, stopped_on_data
from floe_ingest.engine.contracts import Contract, Fitted, fit
from floe_ingest.engine.row_versions import with_versions
from floe_ingest.errors import PluginLoadError, SchemaError
from floe_ingest_hookspecs import BulkScan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from dlt.common.schema.typing import TColumnSchema
    from pyiceberg.schema import Schema

    from floe_ingest.dataplane.columns import Column
    from floe_ingest.dataplane.connection import DataPlaneSettings
    from floe_ingest.dataplane.copy import FileOptions, WrittenFile
    from floe_ingest.dataplane.scan import OpenScan
    from floe_ingest.engine.cursors import CursorReading

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BulkLanding:
    """A step of a resource: a ``BulkScan`` becomes data files, everything else passes.

    Arguments:
        table: the resource's table.
        hint: gives the resource further hints about its columns.
        in_order: whether the last row of several with one key has to be found again, as in a merge.
        columns_for: gives a table's columns with field ids for a load's columns.
        variants: gives, by name, the column into which a column goes whose type the table cannot hold.
        schema_for: gives a table's schema with a load's columns in it.
        existing: gives the columns that a table has; None for a new one.
        options: gives how a table's files are written.
        contract: what happens where the scan's columns are not the table's.
        hand_to_dlt: has dlt keep to the contract, with that of child tables, where items are rows.
        folder: where files wait for their load package.
        settings: how much of the machine DuckDB may take.
        version: gives the column that tells versions of rows apart and that no source has, as in ``scd2``;
            None for a resource without one.
        reading: keeps a resource with a cursor to what is new; None for one without.
    """

    table: str
    hint: Callable[[dict[str, TColumnSchema]], object]
    in_order: Callable[[], bool]
    columns_for: Callable[[str, pa.Schema], Sequence[Column]]
    variants: Callable[[str, pa.Schema], Mapping[str, str | None]]
    schema_for: Callable[[str, pa.Schema], Schema]
    existing: Callable[[str], pa.Schema | None]
    options: Callable[[str], FileOptions]
    contract: Contract
    hand_to_dlt: Callable[[], object]
    folder: Path
    settings: DataPlaneSettings
    version: Callable[[], str | None]
    reading: CursorReading | None = None

    def __call__(self, item: Any, meta: Any = None) -> Any:
        """Return what dlt's pipe goes on with; called once for each item that a resource yields."""
        if isinstance(item, BulkScan):
            return self._land(item)
        if isinstance(item, dict | list):
            self.hand_to_dlt()
        if self._is_of_another_table(meta):
            return item
        if self.reading is not None:
            item = self._new_of(item, self.reading)
        return with_versions(item, self.version())

    def _is_of_another_table(self, meta: Any) -> bool:
        """Tell whether an item goes to a table beside the resource's own, which has no cursor."""
        hints = getattr(meta, "hints", None) or {}
        return bool(hints.get("table_name", self.table) != self.table)

    def _land(self, scan: BulkScan) -> Iterator[Any]:
        import dlt

        from floe_ingest.destination.foreign import write_list

        try:
            schema, files, taken = self._write(replace(scan, ordered=scan.ordered or self.in_order()))
        except Exception as error:
            if scan.otherwise is None or not stopped_on_data(error):
                raise
            for item in scan.otherwise(error):
                if isinstance(item, BulkScan):
                    yield from self._land(item)
                else:
                    yield item
            return
        if zoneless := _zoneless(schema):  # dlt takes an empty mapping for "forget the hints of columns"
            self.hint(zoneless)
        empty = schema.empty_table()
        if taken:
            path = write_list(self.folder, [file for file, _ in taken], schema)
            rows = sum(count for _, count in taken)
            yield dlt.mark.with_file_import(str(path), "parquet", rows, hints=empty)
        elif not files:
            # dlt creates the table from an item without rows.
            yield empty
        for file in files:
            yield dlt.mark.with_file_import(str(file.path), "parquet", file.rows, hints=empty)

    def _write(self, scan: BulkScan) -> tuple[pa.Schema, Sequence[WrittenFile], Sequence[tuple[Path, int]]]:
        """Bring the rows of a scan into the landing folder.

        Returns:
            The table's columns; the files that were written; files taken in as they are, with their rows.
        """
        with open_scan(scan, self.settings) as opened:
            if cut := opened.with_nanoseconds():
                log.warning(
                    "digits below the microsecond are cut off, Iceberg has none",
                    table=self.table,
                    columns=", ".join(cut),
                )
            found, origins = _named_as_in_dlt(opened)
            table = self.existing(self.table) if not self.contract.evolves else None
            fitted = fit(found, table, self.contract, self.table)
            if self.contract.data_type == "evolve":
                variants = self.variants(self.table, fitted.columns)
                fitted, origins = _with_variants(fitted, origins, variants)
            schema = _ordered_as_in_dlt(fitted.columns, self.table, self.existing)
            version = self.version()
            if version is not None and version not in schema.names:
                schema = _with_version(schema, version)
            columns = self.columns_for(self.table, schema)
            taken, left = self._take_in(scan, schema, origins)
            new = opened if self.reading is None else self.reading.scan(opened, origins)
            kept = {name: origin for name, origin in origins.items() if name in fitted.columns.names}
            write = partial(
                self._write_rows,
                columns=columns,
                origins=kept,
                lenient=fitted.lenient,
                version=None if version in kept else version,
            )
            files = [] if taken else write(new)
            if files and self.reading is not None:
                self.reading.landed(new, [file.path for file in files], origins)
        if taken and left:
            rest = BulkScan.of_parquet(left, origin=scan.origin, ordered=scan.ordered)
            with open_scan(rest, self.settings) as opened:
                files = write(opened)
        return schema, files, taken

    def _new_of(self, item: Any, reading: CursorReading) -> Any:
        import pyarrow as pa

        if isinstance(item, pa.RecordBatch):
            item = pa.Table.from_batches([item])
        if not isinstance(item, pa.Table):
            raise PluginLoadError(
                f"Resource {reading.resource!r} has a cursor_field and yields {type(item).__name__}. A "
                f"source type with the capability 'bulk' yields BulkScan or Arrow tables where there is one."
            )
        return reading.arrow(item, _origins(item.schema.names, f"resource {reading.resource}"))

    def _write_rows(
        self,
        opened: OpenScan,
        *,
        columns: Sequence[Column],
        origins: Mapping[str, str],
        lenient: frozenset[str],
        version: str | None,
    ) -> list[WrittenFile]:
        there = {name: origin for name, origin in origins.items() if origin in opened.types}
        options = replace(self.options(self.table), ordered=opened.scan.ordered)
        return opened.write(columns, there, self.folder, options, lenient, version)

    def _take_in(
        self, scan: BulkScan, schema: pa.Schema, origins: Mapping[str, str]
    ) -> tuple[list[tuple[Path, int]], list[str]]:
        """Take Parquet files in as they are, where they fit; return these with their rows, and the others.

        With a cursor some of their rows may be old, and a column under another name is found by no reader.
        """
        from floe_ingest.destination.foreign import take_in

        as_it_is = self.reading is None and self.version() is None
        if not scan.files or not as_it_is or any(n != origin for n, origin in origins.items()):
            return [], list(scan.files)
        target = self.schema_for(self.table, schema)
        taken: list[tuple[Path, int]] = []
        left = []
        for name in scan.files:
            if found := take_in(Path(name), target, self.folder):
                taken.append(found)
            elif scan.ordered:
                # What is rewritten comes out in one piece, so the order between the two would be lost.
                return [], list(scan.files)
            else:
                left.append(name)
        return taken, left


def _with_variants(
    fitted: Fitted, origins: Mapping[str, str], variants: Mapping[str, str | None]
) -> tuple[Fitted, Mapping[str, str]]:
    """Return a scan's columns, and the scan's column of each, with those under another name that have one."""
    import pyarrow as pa

    names = {field.name: variants.get(field.name) or field.name for field in fitted.columns}
    columns = pa.schema([field.with_name(names[field.name]) for field in fitted.columns])
    return Fitted(columns, fitted.lenient), {
        names.get(name, name): origin for name, origin in origins.items()
    }


def _with_version(schema: pa.Schema, column: str) -> pa.Schema:
    import pyarrow as pa

    return schema.append(pa.field(column, pa.string(), nullable=False))


def _zoneless(schema: pa.Schema) -> dict[str, TColumnSchema]:
    """Return the hints that keep times without a zone so; dlt would take them for UTC."""
    import pyarrow as pa

    return {
        field.name: {"name": field.name, "timezone": False}
        for field in schema
        if pa.types.is_timestamp(field.type) and field.type.tz is None
    }


def _named_as_in_dlt(opened: OpenScan) -> tuple[pa.Schema, Mapping[str, str]]:
    """Return a scan's columns under dlt's names, and the scan's column of each.

    Raises:
        SchemaError: two columns have one name in the table.
    """
    import pyarrow as pa

    found = opened.arrow_schema()
    origins = _origins(found.names, opened.scan.origin)
    return pa.schema([field.with_name(name) for name, field in zip(origins, found, strict=True)]), origins


def _origins(columns: Sequence[str], origin: str) -> dict[str, str]:
    """Return the source's column by its name in the table."""
    import dlt

    naming = dlt.current.source_schema().naming
    origins: dict[str, str] = {}
    for column in columns:
        name = naming.normalize_identifier(column)
        if name in origins:
            raise SchemaError(
                f"Columns {origins[name]!r} and {column!r} of {origin} are both {name!r} in "
                f"the table. Rename one in the source, for example in a query."
            )
        origins[name] = column
    return origins


def _ordered_as_in_dlt(
    found: pa.Schema, table: str, existing: Callable[[str], pa.Schema | None]
) -> pa.Schema:
    """Return a load's columns in dlt's order, with those that dlt knows and the load lacks.

    dlt would rewrite a file whose columns are not exactly those of its schema, in their order; so
    columns that the table has and the scan lacks are written as NULL.
    """
    import dlt
    import pyarrow as pa
    from dlt.common.destination import DestinationCapabilitiesContext
    from dlt.common.libs.pyarrow import columns_to_arrow
    from dlt.common.schema.utils import is_complete_column

    known = {
        name: column
        for name, column in dlt.current.source_schema().tables.get(table, {"columns": {}})["columns"].items()
        if is_complete_column(column) and not name.startswith("_dlt_")
    }
    known_types = columns_to_arrow(known, DestinationCapabilitiesContext.generic_capabilities(), "UTC")
    types = {field.name: field.type for field in found}
    if known.keys() - types.keys() and (held := existing(table)) is not None:
        # Where dlt keeps a column as JSON, the table may have a struct.
        own = {field.name: field.type for field in held}
        known_types = pa.schema([pa.field(f.name, own.get(f.name, f.type)) for f in known_types])
    fields = [pa.field(name, types.pop(name, None) or known_types.field(name).type) for name in known]
    return pa.schema([*fields, *(pa.field(name, kind) for name, kind in types.items())])
