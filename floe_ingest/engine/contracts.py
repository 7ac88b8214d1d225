"""Schema contracts: what happens when the columns of a source are no longer those of its table.

``evolve`` follows the source. ``freeze`` refuses the load before anything is written, with the difference.
``discard_value`` keeps each row without what does not fit. Rows and Arrow go through dlt's own contracts;
bulk scans, which dlt sees by name alone, are held against the table here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from floe_ingest.engine.categories import chain
from floe_ingest.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from floe_ingest.config import SchemaContract


def dlt_contract(mode: SchemaContract, *, is_known: bool) -> dict[str, str]:
    """Return dlt's finer contract for a mode.

    Arguments:
        mode: from the configuration.
        is_known: whether the table has been loaded before. A new one may come into being in any mode.
    """
    return {"tables": mode if is_known else "evolve", "columns": mode, "data_type": mode}


@dataclass(frozen=True, slots=True)
class Fitted:
    """The columns of a bulk scan as a contract lets them into the table.

    Arguments:
        columns: what is written.
        lenient: columns whose values become NULL where they do not fit the table's type.
    """

    columns: pa.Schema
    lenient: frozenset[str] = frozenset()


def fit(found: pa.Schema, table: pa.Schema | None, mode: SchemaContract, name: str) -> Fitted:
    """Hold the columns of a bulk scan against those of its table.

    Arguments:
        found: the scan's columns, named as in the table.
        table: the table's columns; None for a new table, which may come into being in any mode.
        mode: the contract.
        name: the table's name, for messages.

    Raises:
        SchemaError: the table is frozen and the columns differ; says how.
    """
    import pyarrow as pa

    if table is None or mode == "evolve":
        return Fitted(found)
    known: Mapping[str, pa.DataType] = {field.name: field.type for field in table}
    differences = [
        (field.name, known.get(field.name), field.type)
        for field in found
        if field.name not in known or not _holds(known[field.name], field.type, field.name)
    ]
    if not differences:
        return Fitted(found)
    if mode == "freeze":
        raise SchemaError(_refusal(name, differences))
    changed = frozenset(column for column, old, _ in differences if old is not None)
    kept = [
        pa.field(f.name, known[f.name] if f.name in changed else f.type) for f in found if f.name in known
    ]
    return Fitted(pa.schema(kept), changed)


def _holds(table: pa.DataType, found: pa.DataType, column: str) -> bool:
    from floe_ingest.destination.layout import wider

    try:
        return bool(wider(table, found, column) == table)
    except SchemaError:
        return False


def _refusal(name: str, differences: list[tuple[str, pa.DataType | None, pa.DataType]]) -> str:
    rows = [("column", "table", "load"), *((c, str(old or "new"), str(new)) for c, old, new in differences)]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    ]
    return (
        f"Table {name} is frozen (schema_contract: freeze), and the source's columns differ:\n"
        + "\n".join(line.rstrip() for line in lines)
        + "\nChange the source back, or let the table follow with schema_contract: evolve."
    )


def violation(error: BaseException) -> SchemaError | None:
    """Return the refusal of one of dlt's contracts that is in a chain of causes, in our words."""
    from dlt.common.schema.exceptions import DataValidationError

    found = next((cause for cause in chain(error) if isinstance(cause, DataValidationError)), None)
    if found is None:
        return None
    what: Any = f"column {found.column_name!r}" if found.column_name else "the table itself"
    reason = {"tables": "is new", "columns": "is new", "data_type": "has values of another type"}
    return SchemaError(
        f"Table {found.table_name} is frozen (schema_contract: freeze), and {what} "
        f"{reason[found.schema_entity]}. Change the source back, or let the table follow with "
        f"schema_contract: evolve."
    )
