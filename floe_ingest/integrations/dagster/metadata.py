"""What Dagster shows of a load: numbers are numbers, so that it plots them over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dagster import (
    MetadataValue,
    TableColumn,
    TableColumnConstraints,
    TableSchema,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from floe_ingest.destination.facts import SnapshotFacts
    from floe_ingest.destination.target import Target
    from floe_ingest_hookspecs import TableResult


def metadata_of(
    tables: Sequence[TableResult], target: Target, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Return what is told of the tables of one asset: a root, and its children if it has any.

    Arguments:
        tables: the root first.
        target: the namespace, to look at the root's snapshot.
        seconds: of each phase of the load.
    """
    root = tables[0]
    told: dict[str, Any] = {
        "rows_loaded": MetadataValue.int(root.rows_loaded),
        "bytes_written": MetadataValue.int(sum(table.bytes_written for table in tables)),
    }
    for phase, lasted in seconds.items():
        told[f"{phase}_seconds"] = MetadataValue.float(round(lasted, 3))
    if len(tables) > 1:
        rows = {table.table: table.rows_loaded for table in tables[1:]}
        told["child_tables"] = MetadataValue.json(rows)
    facts = target.facts(root.table.rpartition(".")[2], root.snapshot_id)
    if facts is not None:
        told |= _of_snapshot(facts, root)
    return told


def _of_snapshot(facts: SnapshotFacts, root: TableResult) -> dict[str, Any]:
    told: dict[str, Any] = {
        # As text: a browser has no integers of 64 bits.
        "snapshot_id": MetadataValue.text(str(facts.snapshot_id)),
        "total_rows": MetadataValue.int(facts.total_rows),
        "schema_changes": MetadataValue.json(list(facts.schema_changes)),
        "look": MetadataValue.md(
            f"```sql\nFROM iceberg_scan('{facts.metadata_location}', "
            f"snapshot_from_id => {facts.snapshot_id});\n```"
        ),
        # These are Dagster's own keys.
        "dagster/row_count": MetadataValue.int(facts.total_rows),
        "dagster/table_name": MetadataValue.text(root.table),
        "dagster/column_schema": MetadataValue.table_schema(_columns(facts)),
    }
    if facts.partition_spec:
        told["partition_spec"] = MetadataValue.text(facts.partition_spec)
    if root.snapshot_id is not None and facts.load_id is not None:
        told["load_id"] = MetadataValue.text(facts.load_id)
    for name, value in (("cursor_after", facts.cursor), ("cursor_before", facts.cursor_before)):
        if value is not None:
            told[name] = _value(value)
    return told


def _value(value: Any) -> Any:
    if isinstance(value, int | float):
        return MetadataValue.float(value) if isinstance(value, float) else MetadataValue.int(value)
    return MetadataValue.text(str(value))


def _columns(facts: SnapshotFacts) -> TableSchema:
    return TableSchema(
        columns=[
            TableColumn(
                column.name,
                type=column.type,
                description=column.doc,
                constraints=TableColumnConstraints(nullable=not column.required),
            )
            for column in facts.columns
        ]
    )
