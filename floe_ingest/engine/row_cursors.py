"""Cursors over rows: dlt's own ``incremental``, kept to what it does exactly."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from floe_ingest.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlt.extract import DltResource

    from floe_ingest_hookspecs import Cursor


def check_cursor(cursor: Cursor, resource: DltResource) -> None:
    """Check that a cursor makes sense with what becomes of the table's old rows.

    Raises:
        ConfigurationError: every load would replace the table by what is new alone.
    """
    if _disposition(resource) == "replace" and not cursor.stateless:
        raise ConfigurationError(
            f"Resource {resource.name!r} has cursor_field {cursor.field!r} and write_mode replace: each load "
            f"would put the newest rows in place of the whole table. Write write_mode: append or merge, or "
            f"leave cursor_field out."
        )


def range_hint(
    cursor: Cursor, run_id: str, normalize: Callable[[str], str], *, by_key: bool
) -> dict[str, Any]:
    """Return the hint by which the destination replaces the range that a stateless cursor reads.

    Arguments:
        cursor: with both bounds.
        run_id: of this run; in another one the hint says nothing.
        normalize: gives the table's name of a column.
        by_key: whether rows of the same key go as well, wherever they are.
    """
    return {
        "run_id": run_id,
        "column": "__".join(normalize(part) for part in cursor.field.split(".")),
        "start": _text(cursor.initial_value),
        "end": _text(cursor.end_value),
        "by_key": by_key,
    }


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def read_rows_by(cursor: Cursor, resource: DltResource) -> None:
    """Give a resource of rows a cursor.

    Raises:
        ConfigurationError: the options would load rows twice, or cannot work.
    """
    import dlt

    appends = _disposition(resource) == "append" and not cursor.stateless
    for option, value in (("lag", cursor.lag), ("end_value", cursor.end_value)):
        if appends and value is not None:
            raise _doubled(resource, f"cursor.{option}")
    if appends and cursor.nulls == "include":
        raise _doubled(resource, "cursor.nulls: include")
    if cursor.end_value is not None and cursor.initial_value is None:
        raise ConfigurationError(
            f"cursor.end_value of resource {resource.name!r} needs cursor.initial_value beside it."
        )
    incremental = dlt.sources.incremental(
        cursor.field,
        initial_value=cursor.initial_value,
        end_value=cursor.end_value,
        last_value_func="max" if cursor.order == "asc" else "min",
        lag=cursor.lag,
        on_cursor_value_missing=cursor.nulls,
        allow_external_schedulers=False,
    )
    if _has_declined(resource):
        from floe_ingest.engine.cursor_step import CursorStep

        resource.add_step(CursorStep(incremental))
    else:
        resource.apply_hints(incremental=incremental)
    # By the whole row: a row that changed within the same moment has the same key, and is new all the same.
    incremental.set_deduplication_key(None, from_hints=False)


def _has_declined(resource: DltResource) -> bool:
    """Return whether this is a resource of dlt's REST source that was made without an incremental.

    dlt would put the cursor in the place of that argument, and the function would then look for the request
    parameters that belong to it. For such a resource the cursor is a step after the function.
    """
    given = (resource.explicit_args or {}) if resource.args_bound else {}
    return "incremental_object" in given and given["incremental_object"] is None


def _disposition(resource: DltResource) -> str:
    return str(resource.compute_table_schema().get("write_disposition"))


def _doubled(resource: DltResource, option: str) -> ConfigurationError:
    return ConfigurationError(
        f"Resource {resource.name!r} yields rows and appends them; with {option} each load would "
        f"append rows that are there already. Write write_mode: merge with a primary_key, or leave it out."
    )
