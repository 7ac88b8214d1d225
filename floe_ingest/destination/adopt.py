"""Decides whether a Parquet file can become a data file as it is, and describes it as one.

A wrong field id reads as silent NULLs, and a wrong bound hides rows, so both are checked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from floe_ingest.errors import SchemaError

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.typedef import Record
    from pyiceberg.types import IcebergType, NestedField

_FIELD_ID = b"PARQUET:field_id"


def fits(metadata: pq.FileMetaData, schema: Schema) -> bool:
    """Return whether a Parquet file reads right as a data file of a table with this schema.

    Every column of the file must carry the id of the table's field of the same name, in a type that
    Iceberg reads as the field's; no column may be unknown to the table; a required field must be there.
    """
    from pyiceberg.io.pyarrow import parquet_path_to_id_mapping

    arrow = metadata.schema.to_arrow_schema()
    if not _fields_fit(list(arrow), list(schema.fields)):
        return False
    # pyiceberg finds statistics by the path in the file, so paths must be those that Iceberg writes.
    known = parquet_path_to_id_mapping(schema)
    return all(metadata.schema.column(i).path in known for i in range(metadata.num_columns))


def _fields_fit(file_fields: list[pa.Field], table_fields: list[NestedField]) -> bool:
    by_name = {field.name: field for field in table_fields}
    for field in file_fields:
        target = by_name.pop(field.name, None)
        if (
            target is None
            or _id_of(field) != target.field_id
            or not _type_fits(field.type, target.field_type)
        ):
            return False
        if target.required and field.nullable:
            return False
    return not any(field.required for field in by_name.values())


def _id_of(field: pa.Field) -> int | None:
    value = (field.metadata or {}).get(_FIELD_ID)
    return int(value) if value is not None else None


def _type_fits(kind: pa.DataType, target: IcebergType) -> bool:
    from pyarrow import types
    from pyiceberg.types import ListType, MapType, StructType

    if isinstance(target, StructType):
        return types.is_struct(kind) and _fields_fit(list(kind), list(target.fields))
    if isinstance(target, ListType):
        return types.is_list(kind) and _nested_fits(kind.value_field, target.element_field)
    if isinstance(target, MapType):
        return (
            types.is_map(kind)
            and _nested_fits(kind.key_field, target.key_field)
            and _nested_fits(kind.item_field, target.value_field)
        )
    return _primitive_fits(kind, target)


def _nested_fits(field: pa.Field, target: NestedField) -> bool:
    return _id_of(field) == target.field_id and _type_fits(field.type, target.field_type)


def _primitive_fits(kind: pa.DataType, target: IcebergType) -> bool:
    import pyarrow as pa
    from pyiceberg.types import DecimalType

    if isinstance(target, DecimalType):
        return bool(
            pa.types.is_decimal128(kind) and kind.scale == target.scale and kind.precision <= target.precision
        )
    accepted: dict[str, tuple[pa.DataType, ...]] = {
        "boolean": (pa.bool_(),),
        "int": (pa.int32(),),
        "long": (pa.int64(), pa.int32()),
        "float": (pa.float32(),),
        "double": (pa.float64(), pa.float32()),
        "date": (pa.date32(),),
        "time": (pa.time64("us"),),
        "timestamp": (pa.timestamp("us"),),
        "timestamptz": (pa.timestamp("us", tz="UTC"),),
        "string": (pa.string(), pa.large_string()),
        "binary": (pa.binary(), pa.large_binary()),
    }
    return kind in accepted.get(str(target), ())


def has_names_of(path: Path, schema: Schema) -> bool:
    """Return whether a data file's columns can be found by name.

    True where every column that carries a field id has the name that the table gives this id now, and no
    name stands for another id; and for files without ids, which a name mapping leads to.
    """
    import pyarrow.parquet as pq

    ids = {field.name: field.field_id for field in schema.fields}
    names = {number: name for name, number in ids.items()}
    for field in pq.read_schema(path):
        number = _id_of(field)
        if number is None:
            continue
        if names.get(number, field.name) != field.name or ids.get(field.name, number) != number:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Place:
    """Where a data file is: its location and size, its partition, and the order of its rows."""

    location: str
    bytes: int
    partition: Record
    spec_id: int = 0
    sort_order_id: int | None = None


def describe(metadata: pq.FileMetaData, schema: Schema, properties: dict[str, str], place: Place) -> DataFile:
    """Describe a Parquet file as a data file, with the statistics of its footer.

    Arguments:
        metadata: the file's footer.
        schema: the table's schema; the file fits it.
        properties: the table's properties, for the metrics that it keeps.
        place: where the file is, in storage and in the table's layout.
    """
    from pyiceberg.io.pyarrow import (
        compute_statistics_plan,
        data_file_statistics_from_parquet_metadata,
        parquet_path_to_id_mapping,
    )
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat

    paths = parquet_path_to_id_mapping(schema)
    statistics: dict[str, Any] = data_file_statistics_from_parquet_metadata(
        metadata, compute_statistics_plan(schema, properties), paths
    ).to_serialized_dict()
    for field_id in _unbounded(metadata, paths):
        statistics["lower_bounds"].pop(field_id, None)
        statistics["upper_bounds"].pop(field_id, None)
    data_file = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=place.location,
        file_format=FileFormat.PARQUET,
        partition=place.partition,
        file_size_in_bytes=place.bytes,
        sort_order_id=place.sort_order_id,
        equality_ids=None,
        key_metadata=None,
        **statistics,
    )
    data_file.spec_id = place.spec_id
    return data_file


_EARLIEST_DAY, _LATEST_DAY = -719_162, 2_932_896  # 0001-01-01 and 9999-12-31, in days since 1970
_DAY = 86_400_000_000  # microseconds


def check_years(metadata: pq.FileMetaData) -> None:
    """Check, by its footer, that a data file has no date or timestamp that readers cannot show.

    Python, Spark and Trino end at the year 9999, some begin at the year 1; an infinity of another database
    is far beyond.

    Raises:
        SchemaError: a column holds one; says which.
    """
    for group in range(metadata.num_row_groups):
        for position in range(metadata.num_columns):
            unit = _unit_of(metadata.schema.column(position).logical_type)
            statistics = metadata.row_group(group).column(position).statistics if unit else None
            if unit and statistics is not None and statistics.has_min_max:
                days = (statistics.min_raw // unit, statistics.max_raw // unit)
                if days[0] < _EARLIEST_DAY or days[1] > _LATEST_DAY:
                    column = metadata.schema.column(position).path
                    raise SchemaError(
                        f"Column {column} holds a date or timestamp outside the years 1 to 9999, which most "
                        f"readers of Iceberg cannot show. Replace it in the source, for example by NULL."
                    )


def _unit_of(kind: pq.ParquetLogicalType) -> int:
    """Return how many of a date's or timestamp's units a day has; 0 for any other type."""
    if kind.type == "DATE":
        return 1
    return _DAY if kind.type == "TIMESTAMP" else 0


def _unbounded(metadata: pq.FileMetaData, paths: dict[str, int]) -> set[int]:
    """Return the fields that have a row group with values but no bounds, such as one with a NaN.

    pyiceberg would take the bounds of the other row groups for the file's, and a filter would then
    skip rows.
    """
    found = set()
    for group in range(metadata.num_row_groups):
        for position in range(metadata.num_columns):
            column = metadata.row_group(group).column(position)
            statistics = column.statistics
            has_values = (
                statistics is None
                or not statistics.has_null_count
                or (statistics.null_count < column.num_values)
            )
            if has_values and (statistics is None or not statistics.has_min_max):
                found.add(paths[column.path_in_schema])
    return found
