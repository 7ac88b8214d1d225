"""Columns of a load whose type the table's column cannot hold: where their values go.

As in dlt (https://dlthub.com/docs/general-usage/schema-contracts), they go into a column beside it, the
variant ``x__v_text``. The contract of the table can say otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from floe_ingest.destination.evolution import (
    TableContract,
    differences,
    refuse_frozen,
    without_new_fields,
)
from floe_ingest.destination.layout import check_compatible, check_names, clashes, iceberg_schema, refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import pyarrow as pa
    from pyiceberg.schema import Schema


@dataclass(frozen=True, slots=True)
class Resolved:
    """The columns of a load as they go into the table.

    Arguments:
        columns: under the table's names.
        renames: by name in the load: the name in the table, None for a column that is left out. What is
            not named keeps its name.
    """

    columns: pa.Schema
    renames: Mapping[str, str | None] = field(default_factory=dict)


def resolve(
    table: Schema,
    load: pa.Schema,
    name: str,
    contract: TableContract | None = None,
    *,
    pinned: Collection[str] = (),
    empty: Collection[str] = (),
) -> Resolved:
    """Return where the columns of a load go.

    Arguments:
        table: the table's schema.
        load: the load's columns, in types that fit Iceberg.
        name: the table's name, for messages.
        contract: what happens to nested fields that are new, and to columns whose type does not fit. Whole
            columns that are new are dlt's to decide about.
        pinned: columns that keep their name, since rows are merged, partitioned or sorted by them.
        empty: columns of the load without a value.

    Raises:
        SchemaError: two columns would have names that differ in case alone; the contract refuses; a pinned
            column does not fit; or a variant does not fit either.
    """
    contract = contract or TableContract()
    check_names(load.names, name, known=table.column_names)
    new = set(load.names).difference(table.column_names)
    found = [change for change in differences(table, iceberg_schema(load)) if change.column not in new]
    refuse_frozen(name, found, contract)
    left_out: tuple[str, ...] = ()
    if contract.columns == "discard_value":
        load, left_out = without_new_fields(load, table)
    resolved = _with_variants(table, load, name, contract, pinned, empty)
    return Resolved(resolved.columns, {**dict.fromkeys(left_out), **resolved.renames})


def _with_variants(
    table: Schema,
    load: pa.Schema,
    name: str,
    contract: TableContract,
    pinned: Collection[str],
    empty: Collection[str],
) -> Resolved:
    import pyarrow as pa

    found = clashes(table, iceberg_schema(load))
    if not found:
        return Resolved(load)
    if any(clash.column in pinned for clash in found):
        raise refusal(found, name)
    renames: dict[str, str | None] = {}
    for clash in found:
        variant = variant_name(clash.column, load.field(clash.column).type)
        taken = variant in load.names and variant not in empty
        if taken:
            raise refusal(found, name)
        renames[clash.column] = None if contract.data_type == "discard_value" else variant
    kept = [column for column in load if column.name not in set(renames.values()) - {None}]
    columns = pa.schema(
        [
            column.with_name(target)
            for column in kept
            if (target := renames.get(column.name, column.name)) is not None
        ]
    )
    check_compatible(table, iceberg_schema(columns), name)
    return Resolved(columns, renames)


def variant_name(column: str, kind: pa.DataType) -> str:
    """Return the name of the column that takes values of a type which ``column`` does not hold.

    Example:
        >>> import pyarrow as pa
        >>> variant_name("price", pa.string())
        'price__v_text'
    """
    from dlt.common.libs.pyarrow import get_column_type_from_py_arrow

    return f"{column}__v_{get_column_type_from_py_arrow(kind)['data_type']}"
