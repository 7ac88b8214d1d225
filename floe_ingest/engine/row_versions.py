"""Versions of rows for ``scd2`` where a source yields columns: dlt makes them for rows alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlt.extract import DltResource


def made_version(resource: DltResource) -> str | None:
    """Return the column by which ``scd2`` tells versions of rows apart, if no source brings it.

    A resource with a ``row_version_column_name`` of its own has it in its rows.
    """
    from dlt.common.schema.typing import C_DLT_ID

    columns = resource.compute_table_schema().get("columns", {})
    return C_DLT_ID if columns.get(C_DLT_ID, {}).get("x-row-version") else None


def with_versions(item: Any, column: str | None) -> Any:
    """Return an item with the versions of its rows, where it is of Arrow and lacks them.

    Arguments:
        item: as a resource yields it.
        column: from ``made_version``; None where none is needed.
    """
    if column is None or isinstance(item, dict | list):
        return item
    import dlt
    import pyarrow as pa

    from floe_ingest.dataplane.row_versions import with_row_versions

    if isinstance(item, pa.RecordBatch):
        item = pa.Table.from_batches([item])
    if not isinstance(item, pa.Table):
        return item
    normalize = dlt.current.source_schema().naming.normalize_identifier
    named = item.rename_columns([normalize(name) for name in item.column_names])
    return item if column in named.column_names else with_row_versions(named, column)


def make_versions(resource: DltResource) -> None:
    """Give a resource a step that makes versions, if its rows may come as Arrow."""
    if (column := made_version(resource)) is not None:

        def step(item: Any, _: Any = None) -> Any:
            return with_versions(item, column)

        resource.add_step(step)
