"""What a snapshot says of the load that made it, and light looks at its data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from floe_ingest.dataplane.connection import DataPlaneSettings
from floe_ingest.dataplane.keys import KeyCounts, count_keys
from floe_ingest.destination.ledger import LOAD_ID, PIPELINE, ROWS, STATE
from floe_ingest.destination.lineage import ancestry
from floe_ingest.destination.state import ResourceState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot


@dataclass(frozen=True, slots=True)
class ColumnFact:
    """A column of a table, with its type as Iceberg writes it."""

    name: str
    type: str
    required: bool
    doc: str | None


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """What a snapshot says.

    Arguments:
        snapshot_id: its id.
        committed_ms: when it was made, in milliseconds since 1970 (UTC).
        operation: append, overwrite or delete, as Iceberg has it.
        load_id: dlt's load id; None where another program wrote it.
        rows: of the load, by its own count; None where another program wrote it.
        added_rows: in the data files that it added.
        total_rows: that the table has with it.
        cursor, cursor_before: the last value of the cursor with it, and before it; None where the summary has
            none.
        columns: of its schema.
        schema_changes: against the snapshot before it, as ``+ note: string``.
        partition_spec: of the table, as ``day(created_at)``.
        metadata_location: of the table's newest metadata file.
    """

    snapshot_id: int
    committed_ms: int
    operation: str
    load_id: str | None
    rows: int | None
    added_rows: int
    total_rows: int
    cursor: Any
    cursor_before: Any
    columns: tuple[ColumnFact, ...]
    schema_changes: tuple[str, ...]
    partition_spec: str
    metadata_location: str


def snapshot_facts(table: Table, snapshot_id: int | None = None) -> SnapshotFacts | None:
    """Return what a snapshot says; by default the newest one. None where there is none."""
    snapshot = table.snapshot_by_id(snapshot_id) if snapshot_id is not None else table.current_snapshot()
    if snapshot is None:
        return None
    summary = _summary(snapshot)
    schema = _schema_of(table, snapshot)
    parent = (
        table.snapshot_by_id(snapshot.parent_snapshot_id) if snapshot.parent_snapshot_id is not None else None
    )
    before = _schema_of(table, parent) if parent is not None else None
    rows = summary.get(ROWS)
    return SnapshotFacts(
        snapshot_id=snapshot.snapshot_id,
        committed_ms=snapshot.timestamp_ms,
        operation=snapshot.summary.operation.value if snapshot.summary else "",
        load_id=summary.get(LOAD_ID),
        rows=int(rows) if rows is not None else None,
        added_rows=int(summary.get("added-records", 0)),
        total_rows=int(summary.get("total-records", 0)),
        cursor=_cursor(summary),
        cursor_before=_cursor_before(table, snapshot),
        columns=_columns(schema),
        schema_changes=tuple(_changes(before, schema)) if before is not None else (),
        partition_spec=_spec(table),
        metadata_location=table.metadata_location,
    )


def greatest(table: Table, column: str) -> Any:
    """Return the greatest value of a column by the bounds of the data files; None where they tell none.

    No data file is opened. Text may be cut off, as bounds are.
    """
    from pyiceberg.conversions import from_bytes
    from pyiceberg.types import PrimitiveType

    field = table.schema().find_field(column)
    if not isinstance(field.field_type, PrimitiveType):
        return None
    bounds = [
        from_bytes(field.field_type, bound)
        for task in table.scan().plan_files()
        if (bound := (task.file.upper_bounds or {}).get(field.field_id)) is not None
    ]
    if not bounds:
        return None
    return _as_value(max(bounds), field.field_type)


def key_facts(table: Table, columns: Sequence[str]) -> KeyCounts:
    """Count duplicate and missing keys in the data files that the newest snapshot added.

    A merge rewrites each file that may hold a key of the load, so a key that is there twice because of that
    load is twice in those files.
    """
    from pyiceberg.io.pyarrow import ArrowScan
    from pyiceberg.manifest import ManifestEntryStatus

    snapshot = table.current_snapshot()
    if snapshot is None:
        return KeyCounts(0, 0, 0)
    added = {
        entry.data_file.file_path
        for manifest in snapshot.manifests(table.io)
        if manifest.added_snapshot_id == snapshot.snapshot_id
        for entry in manifest.fetch_manifest_entry(table.io)
        if entry.status == ManifestEntryStatus.ADDED
    }
    scan = table.scan(selected_fields=tuple(columns))
    tasks = [task for task in scan.plan_files() if task.file.file_path in added]
    reader = ArrowScan(table.metadata, table.io, scan.projection(), scan.row_filter)
    with TemporaryDirectory(prefix="floe-ingest-") as spill:
        settings = DataPlaneSettings(spill_folder=Path(spill))
        return count_keys((reader.to_table([task]) for task in tasks), columns, settings)


def _summary(snapshot: Snapshot) -> dict[str, str]:
    return dict(snapshot.summary.additional_properties) if snapshot.summary else {}


def _schema_of(table: Table, snapshot: Snapshot) -> Schema:
    schemas = table.schemas()
    return (
        schemas.get(snapshot.schema_id, table.schema()) if snapshot.schema_id is not None else table.schema()
    )


def _columns(schema: Schema) -> tuple[ColumnFact, ...]:
    return tuple(
        ColumnFact(field.name, str(field.field_type), field.required, field.doc) for field in schema.fields
    )


def _changes(before: Schema, after: Schema) -> Iterator[str]:
    known = {field.field_id: field for field in before.fields}
    for field in after.fields:
        old = known.get(field.field_id)
        if old is None:
            yield f"+ {field.name}: {field.field_type}"
        elif old.field_type != field.field_type:
            yield f"{field.name}: {old.field_type} -> {field.field_type}"


def _spec(table: Table) -> str:
    names = {field.field_id: field.name for field in table.schema().fields}
    return ", ".join(
        names.get(field.source_id, "?")
        if str(field.transform) == "identity"
        else f"{field.transform}({names.get(field.source_id, '?')})"
        for field in table.spec().fields
    )


def _cursor_before(table: Table, snapshot: Snapshot) -> Any:
    pipeline = _summary(snapshot).get(PIPELINE)
    older = False
    for found in ancestry(table.metadata):
        summary = _summary(found)
        if older and summary.get(PIPELINE) == pipeline and STATE in summary:
            return _cursor(summary)
        older = older or found.snapshot_id == snapshot.snapshot_id
    return None


def _cursor(summary: dict[str, str]) -> Any:
    """Return the last value of the cursor in a summary's state: ours, or that of dlt's incremental."""
    if STATE not in summary:
        return None
    for resources in ResourceState.unpack(summary[STATE]).states.values():
        for state in resources.values():
            for kind in ("floe_ingest_cursors", "incremental"):
                for held in ((state or {}).get(kind) or {}).values():
                    return held.get("last_value")
    return None


def _as_value(value: Any, kind: Any) -> Any:
    """Return a bound as Python has it: Iceberg keeps times as numbers."""
    from pyiceberg.types import DateType, TimestampType, TimestamptzType
    from pyiceberg.utils.datetime import days_to_date, micros_to_timestamp, micros_to_timestamptz

    if isinstance(kind, DateType):
        return days_to_date(value)
    if isinstance(kind, TimestamptzType):
        return micros_to_timestamptz(value)
    if isinstance(kind, TimestampType):
        return micros_to_timestamp(value)
    return value
