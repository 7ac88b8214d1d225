"""Plans a table's columns: from dlt's schema and the files of a load to Iceberg and to DuckDB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from floe_ingest.dataplane.columns import Column, FieldId, identifier
from floe_ingest.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyiceberg.schema import Schema
    from pyiceberg.table import Transaction
    from pyiceberg.types import DecimalType, IcebergType, NestedField


def table_arrow_type(kind: pa.DataType, column: str) -> pa.DataType:
    """Return the Arrow type in which values of ``kind`` fit an Iceberg column, none lost.

    Raises:
        SchemaError: Iceberg has no such type.
    """
    import pyarrow as pa
    from pyarrow import types

    if types.is_dictionary(kind):
        return table_arrow_type(kind.value_type, column)
    if isinstance(kind, pa.BaseExtensionType):
        return pa.string() if isinstance(kind, pa.UuidType) else table_arrow_type(kind.storage_type, column)
    if types.is_integer(kind):
        return _integer(kind)
    if types.is_floating(kind):
        return pa.float64() if types.is_float64(kind) else pa.float32()
    if types.is_decimal(kind):
        if kind.precision > 38:
            raise SchemaError(
                f"Column {column!r} is {kind}; Iceberg's decimals end at 38 digits. "
                f"Cast it to text in the source."
            )
        return pa.decimal128(kind.precision, kind.scale)
    if types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC" if kind.tz else None)
    if isinstance(kind, _lists()):
        return pa.list_(table_arrow_type(kind.value_type, column))
    if types.is_struct(kind):
        return _struct(kind, column)
    if types.is_map(kind):
        return pa.map_(table_arrow_type(kind.key_type, column), table_arrow_type(kind.item_type, column))
    if types.is_null(kind):
        raise SchemaError(
            f"Column {column!r} is a list or map of values without a type, since it holds none. Give it a "
            f"type in the source, or leave it out until it has values."
        )
    simple = _simple(kind)
    if simple is None:
        raise SchemaError(
            f"Column {column!r} is {kind}, which Iceberg does not have. "
            f"Cast it in the source, for example to text."
        )
    return simple


def _lists() -> tuple[type[pa.DataType], ...]:
    import pyarrow as pa

    return (pa.ListType, pa.LargeListType, pa.FixedSizeListType, pa.ListViewType, pa.LargeListViewType)


def _struct(kind: pa.StructType, column: str) -> pa.DataType:
    """Return a struct's type without the fields that have no type, since they hold no value."""
    import pyarrow as pa

    fields = [field for field in kind if not pa.types.is_null(field.type)]
    if not fields:
        raise SchemaError(
            f"Column {column!r} is a struct without any field that holds a value. Leave it out until "
            f"it has one."
        )
    check_names([field.name for field in fields], f"(in column {column!r})")
    return pa.struct(
        [(field.name, table_arrow_type(field.type, f"{column}.{field.name}")) for field in fields]
    )


def _integer(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if kind == pa.uint64():
        return pa.decimal128(20, 0)
    return pa.int64() if kind.bit_width == 64 or kind == pa.uint32() else pa.int32()


def _simple(kind: pa.DataType) -> pa.DataType | None:
    import pyarrow as pa
    from pyarrow import types

    if types.is_boolean(kind):
        return kind
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return pa.binary()
    if types.is_date(kind):
        return pa.date32()
    if types.is_time(kind):
        return pa.time64("us")
    return None


@dataclass(frozen=True, slots=True)
class LoadFile:
    """The columns of one Parquet file of a load.

    Arguments:
        schema: its Arrow schema.
        empty: columns that hold no value.
    """

    schema: pa.Schema
    empty: frozenset[str]

    @classmethod
    def read(cls, path: Path) -> LoadFile:
        """Read a file's footer.

        Raises:
            SchemaError: a time of day has nanoseconds.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        metadata = pq.read_metadata(path)
        schema = _with_uuids(metadata.schema.to_arrow_schema(), metadata.schema)
        nulls = dict.fromkeys(schema.names, 0)
        for group in range(metadata.num_row_groups):
            for position in range(metadata.num_columns):
                column = metadata.row_group(group).column(position)
                statistics = column.statistics
                if column.path_in_schema in nulls and statistics is not None and statistics.has_null_count:
                    nulls[column.path_in_schema] += statistics.null_count
        _check_times(path, [field.name for field in schema if field.type == pa.time64("ns")])
        rows = metadata.num_rows
        return cls(schema, frozenset(name for name, count in nulls.items() if rows and count == rows))

    def with_values(self) -> frozenset[str]:
        """Return the columns that hold a value."""
        return frozenset(self.schema.names) - self.empty


def _with_uuids(schema: pa.Schema, parquet: pq.ParquetSchema) -> pa.Schema:
    """Return a file's Arrow schema with its columns of UUIDs as such; Arrow shows 16 bytes."""
    import pyarrow as pa

    columns = [parquet.column(number) for number in range(len(parquet))]
    uuids = {column.path for column in columns if column.logical_type.type == "UUID"}
    return pa.schema([field.with_type(pa.uuid()) if field.name in uuids else field for field in schema])


def _check_times(path: Path, columns: Sequence[str]) -> None:
    """Check that times of day end at the microsecond; DuckDB's reader would silently cut the rest off."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if not columns:
        return
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(columns=list(columns)):
            for name in columns:
                nanos = pc.cast(batch.column(name), pa.int64())
                if pc.any(pc.not_equal(pc.multiply(pc.divide(nanos, 1000), 1000), nanos)).as_py():
                    raise SchemaError(
                        f"Column {name} holds a time of day with nanoseconds, which Iceberg cannot hold. "
                        f"Cut it to microseconds in the source."
                    )


def load_arrow_schema(
    columns: Mapping[str, Mapping[str, Any]], dlt_types: pa.Schema, files: Sequence[LoadFile]
) -> pa.Schema:
    """Return the columns of a load, in dlt's order, in types that fit Iceberg.

    The types of the files are more exact than dlt's (32 bits, nested fields), so they win: those with
    values over those without, which dlt may have filled in.

    Arguments:
        columns: dlt's column hints by normalised name; ``description`` becomes the column's comment.
        dlt_types: dlt's columns as an Arrow schema.
        files: the load's Parquet files.

    Raises:
        SchemaError: a column has different types in two files that neither holds both; or a file has a
            column that dlt does not know, whose values would be lost.
    """
    import pyarrow as pa

    found: dict[str, pa.DataType] = {}
    without_values: dict[str, pa.DataType] = {}
    for file in files:
        for field in file.schema:
            if pa.types.is_null(field.type):
                continue
            if field.name not in columns:
                raise SchemaError(
                    f"The load has a column {field.name!r} that dlt gives no place in the table. "
                    f"Rename it in the source, or leave it out."
                )
            kind = table_arrow_type(field.type, field.name)
            if field.name in file.empty:
                without_values[field.name] = kind
            else:
                held = found.get(field.name)
                found[field.name] = kind if held is None else wider(held, kind, field.name)
    fields = []
    for name, hints in columns.items():
        kind = found.get(name, without_values.get(name))
        if kind is None and name in dlt_types.names:
            kind = table_arrow_type(dlt_types.field(name).type, name)
        if kind is not None:
            comment = hints.get("description")
            fields.append(pa.field(name, kind, metadata={"doc": comment} if comment else None))
    return pa.schema(fields)


def wider(left: pa.DataType, right: pa.DataType, column: str) -> pa.DataType:
    """Return the type that holds both, by Iceberg's promotions.

    Raises:
        SchemaError: there is none.
    """
    import pyarrow as pa
    from pyarrow import types

    if left == right:
        return left
    if types.is_integer(left) and types.is_integer(right):
        return pa.int64()
    if types.is_floating(left) and types.is_floating(right):
        return pa.float64()
    if types.is_decimal(left) and types.is_decimal(right) and left.scale == right.scale:
        return pa.decimal128(max(left.precision, right.precision), left.scale)
    if types.is_list(left) and types.is_list(right):
        return pa.list_(wider(left.value_type, right.value_type, column))
    if types.is_struct(left) and types.is_struct(right):
        fields = {field.name: field.type for field in left}
        for field in right:
            kind = fields.get(field.name)
            fields[field.name] = (
                field.type if kind is None else wider(kind, field.type, f"{column}.{field.name}")
            )
        return pa.struct(list(fields.items()))
    raise SchemaError(f"Column {column!r} is {left} in one file of this load and {right} in another.")


def iceberg_schema(columns: pa.Schema) -> Schema:
    """Return Arrow columns as an Iceberg schema whose field ids are those of a new table."""
    from pyiceberg.catalog import Catalog
    from pyiceberg.schema import assign_fresh_schema_ids

    return assign_fresh_schema_ids(Catalog._convert_schema_if_needed(columns))  # noqa: SLF001 (no public one)


def table_columns(schema: Schema) -> tuple[Column, ...]:
    """Return the columns of an Iceberg table as DuckDB writes them, with their field ids.

    Raises:
        SchemaError: a column has a type that is not written.
    """
    return tuple(
        Column(field.name, _duckdb_type(field.field_type, field.name), _field_id(field))
        for field in schema.fields
    )


def _field_id(field: NestedField) -> FieldId:
    return FieldId(field.field_id, _nested_ids(field.field_type))


def _nested_ids(kind: IcebergType) -> dict[str, FieldId]:
    from pyiceberg.types import ListType, MapType, StructType

    if isinstance(kind, StructType):
        return {field.name: _field_id(field) for field in kind.fields}
    if isinstance(kind, ListType):
        return {"element": _field_id(kind.element_field)}
    if isinstance(kind, MapType):
        return {"key": _field_id(kind.key_field), "value": _field_id(kind.value_field)}
    return {}


_DUCKDB_TYPES = {
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "long": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
    "string": "VARCHAR",
    "binary": "BLOB",
    "uuid": "UUID",
}


def _duckdb_type(kind: IcebergType, column: str) -> str:
    from pyiceberg.types import DecimalType, ListType, MapType, StructType

    if isinstance(kind, StructType):
        fields = [
            f"{identifier(field.name)} {_duckdb_type(field.field_type, column)}" for field in kind.fields
        ]
        return f"STRUCT({', '.join(fields)})"
    if isinstance(kind, ListType):
        return f"{_duckdb_type(kind.element_type, column)}[]"
    if isinstance(kind, MapType):
        return f"MAP({_duckdb_type(kind.key_type, column)}, {_duckdb_type(kind.value_type, column)})"
    if isinstance(kind, DecimalType):
        return f"DECIMAL({kind.precision},{kind.scale})"
    name = str(kind)
    if name not in _DUCKDB_TYPES:
        raise SchemaError(
            f"Column {column!r} of the table is {name}, which cannot be written here. "
            f"Load into another table."
        )
    return _DUCKDB_TYPES[name]


@dataclass(frozen=True, slots=True)
class Clash:
    """A column whose type in a load the table cannot hold."""

    column: str
    old: IcebergType
    new: IcebergType


def clashes(table: Schema, load: Schema) -> list[Clash]:
    """Return the columns of a load that a table cannot hold by adding columns and widening types alone."""
    return [
        Clash(field.name, existing.field_type, field.field_type)
        for field in load.fields
        if (existing := _field(table, field.name)) and not type_fits(existing.field_type, field.field_type)
    ]


def add_columns(transaction: Transaction, columns: pa.Schema) -> None:
    """Stage what a table lacks of a load's columns: new columns and fields, wider types, optional ones.

    Arguments:
        transaction: on the table.
        columns: of a load that the table can hold, see ``check_compatible``.
    """
    import pyarrow as pa

    as_uuid = {
        field.name
        for field in transaction.table_metadata.schema().fields
        if field.name in columns.names
        and str(field.field_type) == "uuid"
        and pa.types.is_string(columns.field(field.name).type)
    }
    fields = [field.with_type(pa.uuid()) if field.name in as_uuid else field for field in columns]
    with transaction.update_schema() as update:
        update.union_by_name(pa.schema(fields))


def check_compatible(table: Schema, load: Schema, name: str) -> None:
    """Check that a table can take a load's columns by adding columns and widening types alone.

    Raises:
        SchemaError: with each column that does not fit: its name, the table's type, the load's type.
    """
    if found := clashes(table, load):
        raise refusal(found, name)


def refusal(found: Sequence[Clash], name: str) -> SchemaError:
    """Return the error that lists what a table cannot hold."""
    lines = "\n".join(f"  {clash.column}: table has {clash.old}, load has {clash.new}" for clash in found)
    return SchemaError(
        f"Table {name} cannot hold this load, since Iceberg does not change types so far:\n{lines}\n"
        f"Cast the column in the source, or load into another table."
    )


def check_names(names: Sequence[str], table: str, *, known: Sequence[str] = ()) -> None:
    """Check that no two columns have names that differ in case alone.

    DuckDB, Spark and Trino take such names for one.

    Arguments:
        names: of a load's columns.
        table: the table's name, for messages.
        known: names that the table has.

    Raises:
        SchemaError: two do.
    """
    held: dict[str, str] = {}
    for name in (*known, *names):
        other = held.setdefault(name.casefold(), name)
        if other != name:
            raise SchemaError(
                f"Columns {other!r} and {name!r} of table {table} differ in case alone, and most engines "
                f"take them for one. Rename one in the source."
            )


def type_fits(old: IcebergType, new: IcebergType) -> bool:
    """Return whether a table's column of one type holds values of another, as it is or once widened."""
    return _fits(old, new) or _is_uuid_as_text(old, new)


def _field(schema: Schema, name: str) -> NestedField | None:
    return next((field for field in schema.fields if field.name == name), None)


def _fits(old: IcebergType, new: IcebergType) -> bool:
    from pyiceberg.types import DecimalType, ListType, MapType, PrimitiveType, StructType

    if isinstance(old, StructType) and isinstance(new, StructType):
        known = {field.name: field.field_type for field in old.fields}
        return all(
            field.name not in known or _fits(known[field.name], field.field_type) for field in new.fields
        )
    if isinstance(old, ListType) and isinstance(new, ListType):
        return _fits(old.element_type, new.element_type)
    if isinstance(old, MapType) and isinstance(new, MapType):
        return _fits(old.key_type, new.key_type) and _fits(old.value_type, new.value_type)
    if not (isinstance(old, PrimitiveType) and isinstance(new, PrimitiveType)):
        return False
    if old == new:
        return True
    if isinstance(old, DecimalType) and isinstance(new, DecimalType):
        return _decimal_fits(old, new)
    return {str(old), str(new)} in ({"int", "long"}, {"float", "double"})


def _is_uuid_as_text(old: IcebergType, new: IcebergType) -> bool:
    """Return whether values come as text into a column of UUIDs, as other engines have; casts are strict."""
    return (str(old), str(new)) == ("uuid", "string")


def _decimal_fits(old: DecimalType, new: DecimalType) -> bool:
    """Return whether a decimal column holds the other's values, as it is or with more digits.

    A scale never changes: the files that are there would read as other numbers. pyiceberg lets it pass.
    """
    return old.scale == new.scale or (
        old.scale > new.scale and old.precision - old.scale >= new.precision - new.scale
    )
