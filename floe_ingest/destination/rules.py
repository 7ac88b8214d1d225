"""Reads from dlt's table hints how a load meets its table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from dlt.common.time import ensure_datetime_in_tz

from floe_ingest.dataplane.merge_rule import MergeRule, Range, Strategy, Validity
from floe_ingest.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping


_NOT_SUPPORTED = {
    "x-merge-source-filter": "source_filter",
    "x-merge-destination-scope": "destination_scope",
}


def merge_rule(table: Mapping[str, Any], strategy: Strategy, load_created_at: datetime) -> MergeRule | None:
    """Return how the rows of a load meet those of a root table; None where dlt would append.

    Arguments:
        table: dlt's prepared table.
        strategy: the resolved merge strategy.
        load_created_at: the boundary of ``scd2`` unless the table names another.

    Raises:
        SchemaError: the strategy needs a primary key, and the table has none; or an option of dlt's is not
            supported.
    """
    for hint, option in _NOT_SUPPORTED.items():
        if table.get(hint):
            raise SchemaError(
                f"Table {table['name']} is merged with {option}, which this destination does not know. "
                f"Filter the rows in the resource, or load what is to be deleted by a merge key."
            )
    primary_key, merge_key = columns_with(table, "primary_key"), columns_with(table, "merge_key")
    if strategy == "scd2":
        return MergeRule("scd2", merge_key=merge_key, validity=_validity(table, load_created_at))
    if strategy != "delete-insert" and not primary_key:
        raise SchemaError(
            f"Table {table['name']} is merged by {strategy}, and has no primary_key. Name the columns that "
            f"identify a row, or choose the strategy delete-insert with a merge key."
        )
    if not primary_key and not merge_key:
        return None
    return MergeRule(
        strategy,
        primary_key=primary_key,
        # Only delete-insert knows a merge key beside the primary key.
        merge_key=merge_key if strategy == "delete-insert" else (),
        hard_delete=_hard_delete(table),
        dedup_sort=_dedup_sort(table),
    )


RANGE_HINT = "x-floe-ingest-range"


def range_rule(table: Mapping[str, Any], run_id: str | None) -> MergeRule | None:
    """Return the rule of a load that replaces one range of its table; None for any other load.

    Arguments:
        table: dlt's prepared table. dlt keeps hints in the stored schema, so one of another run is none.
        run_id: of this load.
    """
    hint = table.get(RANGE_HINT)
    if hint is None or run_id is None or hint["run_id"] != run_id:
        return None
    keys = columns_with(table, "primary_key") if hint["by_key"] else ()
    within = Range(hint["column"], hint["start"], hint["end"])
    return MergeRule("delete-insert", primary_key=keys, hard_delete=_hard_delete(table), within=within)


def columns_with(table: Mapping[str, Any], hint: str) -> tuple[str, ...]:
    """Return the columns of a dlt table that carry a hint, in order."""
    return tuple(name for name, column in table["columns"].items() if column.get(hint))


_KEY_HINTS = (
    "primary_key",
    "merge_key",
    "row_key",
    "parent_key",
    "root_key",
    "hard_delete",
    "dedup_sort",
    "x-valid-from",
    "x-valid-to",
    "x-row-version",
)


def key_columns(table: Mapping[str, Any]) -> frozenset[str]:
    """Return the columns of a dlt table by which rows are found, ordered or kept."""
    return frozenset(column for hint in _KEY_HINTS for column in columns_with(table, hint))


def row_id(table: Mapping[str, Any]) -> str | None:
    """Return the column that identifies a row for its children."""
    hints = ("row_key", "unique", "x-row-version")
    found = next((names for hint in hints if (names := columns_with(table, hint))), ())
    return found[0] if found else None


def root_key(table: Mapping[str, Any], *, of_root: bool) -> str | None:
    """Return the column of a child table that holds the id of its root row.

    Arguments:
        table: dlt's prepared child table.
        of_root: whether its parent is the root, so that the parent's id will do.
    """
    found = columns_with(table, "root_key") or (columns_with(table, "parent_key") if of_root else ())
    return found[0] if found else None


def _hard_delete(table: Mapping[str, Any]) -> tuple[str, bool] | None:
    found = columns_with(table, "hard_delete")
    return (found[0], table["columns"][found[0]].get("data_type") == "bool") if found else None


def _dedup_sort(table: Mapping[str, Any]) -> tuple[str, Literal["asc", "desc"]] | None:
    found = columns_with(table, "dedup_sort")
    if not found:
        return None
    return found[0], cast('Literal["asc", "desc"]', table["columns"][found[0]]["dedup_sort"])


def _validity(table: Mapping[str, Any], load_created_at: datetime) -> Validity:
    [valid_from], [valid_to] = columns_with(table, "x-valid-from"), columns_with(table, "x-valid-to")
    [row_version] = columns_with(table, "x-row-version")[:1]
    boundary = table.get("x-boundary-timestamp") or load_created_at
    active = table["columns"][valid_to].get("x-active-record-timestamp")
    return Validity(
        valid_from, valid_to, row_version, _instant(boundary), _instant(active) if active else None
    )


def _instant(value: Any) -> str:
    return ensure_datetime_in_tz(value, UTC).isoformat()
