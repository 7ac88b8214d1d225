"""Schema contracts: what happens when the columns of a source are no longer those of its table.

``evolve`` follows the source. ``freeze`` refuses the load before anything is written, with the difference.
``discard_value`` keeps each row without what does not fit. Rows and Arrow go through dlt's own contracts;
bulk scans, which dlt sees by name alone, are held against the table here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from floe_ingest.engine.categories import chain
from floe_ingest.errors import SchemaError

if TYPE_CHECKING:
    import pyarrow as pa
    from dlt.common.schema.exceptions import DataValidationError

    from floe_ingest.config.fields import ContractParts, SchemaContract
    from floe_ingest.destination.evolution import TableContract


Mode = Literal["evolve", "freeze", "discard_value", "discard_row"]


@dataclass(frozen=True, slots=True)
class Contract:
    """What happens to new tables, to new columns, and to values of another type.

    Arguments:
        tables, columns, data_type: dlt's modes.
    """

    tables: Mode = "evolve"
    columns: Mode = "evolve"
    data_type: Mode = "evolve"

    @classmethod
    def of(cls, written: SchemaContract | ContractParts | None) -> Contract:
        """Return the contract that a configuration says, in one word or in parts."""
        if written is None:
            return cls()
        if isinstance(written, str):
            return cls(written, written, written)
        return cls(**written)

    @property
    def of_table(self) -> TableContract:
        """What of it is about the columns of a table that is there."""
        from floe_ingest.destination.evolution import TableContract

        return TableContract(self.columns, self.data_type)

    @property
    def evolves(self) -> bool:
        """Whether everything may change."""
        return self == Contract()

    def for_dlt(self, *, is_known: bool) -> dict[str, str]:
        """Return dlt's contract.

        Arguments:
            is_known: whether the table has been loaded before. A new one may come into being in any mode,
                with its child tables: dlt would freeze the columns of these after the first row.
        """
        return {
            "tables": self.tables if is_known else "evolve",
            "columns": self.columns if is_known else "evolve",
            "data_type": self.data_type,
        }


def contract_text(written: SchemaContract | ContractParts | None) -> str:
    """Return a contract as one line of text, for logs and spans."""
    if isinstance(written, dict):
        return ", ".join(f"{entity}: {mode}" for entity, mode in written.items())
    return written or "evolve"


@dataclass(frozen=True, slots=True)
class Fitted:
    """The columns of a bulk scan as a contract lets them into the table.

    Arguments:
        columns: what is written.
        lenient: columns whose values become NULL where they do not fit the table's type.
    """

    columns: pa.Schema
    lenient: frozenset[str] = frozenset()


def fit(found: pa.Schema, table: pa.Schema | None, contract: Contract, name: str) -> Fitted:
    """Hold the columns of a bulk scan against those of its table.

    Arguments:
        found: the scan's columns, named as in the table.
        table: the table's columns; None for a new table, which may come into being in any mode.
        contract: what may change. A type that may goes on to variants.
        name: the table's name, for messages.

    Raises:
        SchemaError: the table is frozen and the columns differ; says how. Or rows would have to be
            discarded, which a bulk scan does not do.
    """
    import pyarrow as pa

    from floe_ingest.destination.evolution import differences, refuse_frozen, without_new_fields
    from floe_ingest.destination.layout import iceberg_schema

    if table is None or contract.evolves:
        return Fitted(found)
    held = iceberg_schema(table)
    changes = differences(held, iceberg_schema(found))
    refuse_frozen(name, changes, contract.of_table)
    kept = found
    if contract.columns == "discard_value":
        kept, _ = without_new_fields(pa.schema([f for f in found if f.name in table.names]), held)
    lenient = set()
    if contract.data_type == "discard_value":
        lenient = {change.column for change in changes if change.old is not None}
    columns = [table.field(f.name).with_metadata(None) if f.name in lenient else f for f in kept]
    return Fitted(pa.schema(columns), frozenset(lenient))


def violation(error: BaseException) -> SchemaError | None:
    """Return the refusal of one of dlt's contracts that is in a chain of causes, in our words."""
    from dlt.common.schema.exceptions import DataValidationError

    from floe_ingest.destination.evolution import frozen

    found = next((cause for cause in chain(error) if isinstance(cause, DataValidationError)), None)
    if found is None:
        return None
    if found.schema_entity == "tables":
        return SchemaError(
            f"Table {found.table_name} is new, and new tables are refused (schema_contract: freeze). Leave "
            f"it out in the source, or let it come with schema_contract: evolve."
        )
    return frozen(found.table_name, _differences(found))


def _differences(found: DataValidationError) -> list[tuple[str, str, str]]:
    """Return how the item that dlt refused differs from its table; dlt names one column alone."""
    known = {name: str(column.get("data_type")) for name, column in found.table_schema["columns"].items()}
    incoming = _types_of(found.data_item)
    # dlt refuses a value of another type by the column that it would have gone into.
    base, _, variant = found.column_name.partition("__v_")
    if variant and base in known:
        incoming.pop(found.column_name, None)
        incoming[base] = variant
    incoming.setdefault(base if variant and base in known else found.column_name, "another type")
    return [
        (name, known.get(name, "new"), kind)
        for name, kind in incoming.items()
        if not name.startswith("_dlt_") and known.get(name) != kind
    ]


def _types_of(item: Any) -> dict[str, str]:
    """Return dlt's type of each column of a row or an Arrow table that has one."""
    from dlt.common.data_types import py_type_to_sc_type
    from dlt.common.libs.pyarrow import get_column_type_from_py_arrow
    from dlt.common.normalizers.naming.snake_case import NamingConvention

    item = item[0] if isinstance(item, list) and item else item
    if isinstance(item, dict):
        return {name: py_type_to_sc_type(type(value)) for name, value in item.items() if value is not None}
    naming = NamingConvention()
    return {
        naming.normalize_identifier(field.name): str(
            get_column_type_from_py_arrow(field.type).get("data_type")
        )
        for field in getattr(item, "schema", ())
    }
