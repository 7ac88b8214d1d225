"""How the columns of a load differ from those of their table, and what a schema contract lets pass.

Names of nested fields are Iceberg's: ``v.a`` in a struct, ``v.element`` in a list, ``v.value`` in a map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from floe_ingest.destination.layout import type_fits
from floe_ingest.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    from pyiceberg.schema import Schema
    from pyiceberg.types import IcebergType

ContractMode = Literal["evolve", "freeze", "discard_value", "discard_row"]
"""dlt's modes (https://dlthub.com/docs/general-usage/schema-contracts)."""

REFUSING = ("freeze", "discard_row")
"""Modes that refuse a load as a whole: rows are not picked out one by one here."""


@dataclass(frozen=True, slots=True)
class TableContract:
    """What happens to new columns and fields, and to values of another type."""

    columns: ContractMode = "evolve"
    data_type: ContractMode = "evolve"


@dataclass(frozen=True, slots=True)
class Difference:
    """A column or nested field that a load has otherwise than its table.

    Arguments:
        column: the column's name.
        path: the column's or field's name, dotted.
        old: the table's type; None where the table does not have it.
        new: the load's type.
    """

    column: str
    path: str
    old: IcebergType | None
    new: IcebergType

    def is_refused_by(self, contract: TableContract) -> bool:
        """Return whether a contract refuses a load for this."""
        return (contract.columns if self.old is None else contract.data_type) in REFUSING


def differences(table: Schema, load: Schema) -> list[Difference]:
    """Return what of a load is new to its table, or of another type.

    A type that the table's holds as it is, as an ``int`` in a ``long``, is no difference, and neither is a
    column or field that the load lacks.
    """
    held = {field.name: field.field_type for field in table.fields}
    found: list[Difference] = []
    for field in load.fields:
        if field.name in held:
            found += _differences(field.name, field.name, held[field.name], field.field_type)
        else:
            found.append(Difference(field.name, field.name, None, field.field_type))
    return found


def _differences(column: str, path: str, old: IcebergType, new: IcebergType) -> Iterator[Difference]:
    from pyiceberg.types import ListType, MapType, StructType

    if isinstance(old, StructType) and isinstance(new, StructType):
        known = {field.name: field.field_type for field in old.fields}
        for field in new.fields:
            name = f"{path}.{field.name}"
            if field.name in known:
                yield from _differences(column, name, known[field.name], field.field_type)
            else:
                yield Difference(column, name, None, field.field_type)
    elif isinstance(old, ListType) and isinstance(new, ListType):
        yield from _differences(column, f"{path}.element", old.element_type, new.element_type)
    elif isinstance(old, MapType) and isinstance(new, MapType):
        yield from _differences(column, f"{path}.key", old.key_type, new.key_type)
        yield from _differences(column, f"{path}.value", old.value_type, new.value_type)
    elif not type_fits(old, new) or _widens(old, new):
        yield Difference(column, path, old, new)


def _widens(old: IcebergType, new: IcebergType) -> bool:
    """Return whether a column of one type has to become wider to hold values of another, which it can."""
    from pyiceberg.types import DecimalType

    if isinstance(old, DecimalType) and isinstance(new, DecimalType):
        return old.scale == new.scale and new.precision > old.precision
    return (str(old), str(new)) in (("int", "long"), ("float", "double"))


def without_new_fields(load: pa.Schema, table: Schema) -> tuple[pa.Schema, tuple[str, ...]]:
    """Return a load's columns without new nested fields, and the columns of which nothing is left."""
    import pyarrow as pa

    held = {field.name: field.field_type for field in table.fields}
    kinds = {f.name: _without_new(f.type, held[f.name]) if f.name in held else f.type for f in load}
    kept = [field.with_type(kinds[field.name]) for field in load if kinds[field.name] is not None]
    return pa.schema(kept), tuple(name for name, kind in kinds.items() if kind is None)


def _without_new(kind: pa.DataType, table: IcebergType) -> pa.DataType | None:
    import pyarrow as pa
    from pyiceberg.types import ListType, MapType, StructType

    if isinstance(table, StructType) and pa.types.is_struct(kind):
        known = {field.name: field.field_type for field in table.fields}
        fields = [
            field.with_type(kept)
            for field in kind
            if field.name in known and (kept := _without_new(field.type, known[field.name]))
        ]
        return pa.struct(fields) if fields else None
    if isinstance(table, ListType) and pa.types.is_list(kind):
        element = _without_new(kind.value_type, table.element_type)
        return pa.list_(element) if element else None
    if isinstance(table, MapType) and pa.types.is_map(kind):
        value = _without_new(kind.item_type, table.value_type)
        return pa.map_(kind.key_type, value) if value else None
    return kind


def frozen(name: str, found: Sequence[tuple[str, str, str]]) -> SchemaError:
    """Return the error of a contract that refuses, with the differences as a table.

    Arguments:
        name: the table's name.
        found: column, the table's type or "new", the load's type.
    """
    rows = [("column", "old", "new"), *found]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    ]
    return SchemaError(
        f"Table {name} is frozen (schema_contract), and the source's columns differ:\n"
        + "\n".join(line.rstrip() for line in lines)
        + "\nChange the source back, or let the table follow with schema_contract: evolve."
    )


def refuse_frozen(name: str, found: Sequence[Difference], contract: TableContract) -> None:
    """Raise what a contract refuses, if anything.

    Raises:
        SchemaError: with the differences as a table.
    """
    refused = [difference for difference in found if difference.is_refused_by(contract)]
    if refused:
        told = [(d.path, "new" if d.old is None else str(d.old), str(d.new)) for d in refused]
        raise frozen(name, told)
