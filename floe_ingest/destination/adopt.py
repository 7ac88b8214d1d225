"""Decides whether a Parquet file can become a data file as it is, and describes it as one.

A wrong field id reads as silent NULLs, and a wrong bound hides rows, so both are checked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from floe_ingest.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyiceberg.manifest import DataFile
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.typedef import Record
    from pyiceberg.types import IcebergType, NestedField

_FIELD_ID = b"PARQUET:field_id"

# Not LZ4, as pyarrow calls both LZ4_RAW and the older one that readers take for different things.
_CODECS = frozenset({"UNCOMPRESSED", "SNAPPY", "GZIP", "ZSTD"})
_ROW_GROUP_BYTES = 128 * 1024 * 1024
"""Iceberg's default of ``write.parquet.row-group-size-bytes``."""


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


def is_laid_out(metadata: pq.FileMetaData, properties: Mapping[str, str], target_bytes: int) -> bool:
    """Return whether a Parquet file is packed and cut as the table asks for.

    Its codec must be the table's where that names one, else one that every reader knows. No row group may
    be larger than twice the table's size of one, and the file may pass the target size by its last row
    group alone, as files do that are ended once they have reached it, and not by more than the size again.
    """
    codecs = _CODECS
    if codec := properties.get("write.parquet.compression-codec"):
        codecs = frozenset({codec.upper()})
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    chunks = [[group.column(number) for number in range(metadata.num_columns)] for group in groups]
    if any(chunk.compression not in codecs or chunk.file_path for group in chunks for chunk in group):
        return False
    most = 2 * int(properties.get("write.parquet.row-group-size-bytes", _ROW_GROUP_BYTES))
    if any(group.total_byte_size > most for group in groups):
        return False
    packed = [sum(chunk.total_compressed_size for chunk in group) for group in chunks]
    return bool(sum(packed[:-1]) <= target_bytes and sum(packed) <= 2 * target_bytes)


def partition_of(metadata: pq.FileMetaData, spec: PartitionSpec, schema: Schema) -> tuple[Any, ...] | None:
    """Return the one partition that all rows of a Parquet file are in, by its statistics; None if unproved.

    That is proved where a column has no NULL and its least and its greatest value have one partition value,
    or where it holds nothing but NULL.
    """
    positions = {metadata.schema.column(i).path: i for i in range(metadata.num_columns)}
    values = []
    for term in spec.fields:
        column = schema.find_column_name(term.source_id)
        if column not in positions:
            return None
        found = _partition_value(metadata, positions[column], term, schema)
        if found is None:
            return None
        values.append(found[0])
    return tuple(values)


def _partition_value(
    metadata: pq.FileMetaData, position: int, term: PartitionField, schema: Schema
) -> tuple[Any] | None:
    """Return the only value of one partition field, in a tuple; None if there may be more than one."""
    from pyiceberg.partitioning import partition_record_value
    from pyiceberg.transforms import VoidTransform

    if isinstance(term.transform, VoidTransform):
        return (None,)
    chunks = [metadata.row_group(group).column(position) for group in range(metadata.num_row_groups)]
    statistics = [chunk.statistics for chunk in chunks]
    if not term.transform.preserves_order or any(s is None or not s.has_null_count for s in statistics):
        return None
    if all(s.null_count == chunk.num_values for s, chunk in zip(statistics, chunks, strict=True)):
        return (None,)
    if any(s.null_count or not s.has_min_max for s in statistics):
        return None
    if metadata.schema.column(position).physical_type in ("FLOAT", "DOUBLE"):
        return None  # a NaN is in no bounds
    transform = term.transform.transform(schema.find_type(term.source_id))
    found = {
        transform(partition_record_value(term, bound, schema)) for s in statistics for bound in (s.min, s.max)
    }
    return (found.pop(),) if len(found) == 1 else None


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


def reads_by_name(
    metadata: pq.FileMetaData, fields: Sequence[NestedField], elsewhere: Collection[int]
) -> bool:
    """Return whether the values of some columns are found in a data file by the table's names.

    So it is where each has its field id under its name, in a type that Iceberg reads as the field's; or is
    not in the file at all, and so without a value.

    Arguments:
        metadata: the file's footer.
        fields: the columns.
        elsewhere: ids of fields whose values stand in the table's metadata where the file lacks them.
    """
    file_fields = list(metadata.schema.to_arrow_schema())
    ids = [_id_of(field) for field in file_fields]
    if None in ids or len(set(ids)) < len(ids):
        return False
    by_name = {field.name: field for field in file_fields}
    for field in fields:
        found = by_name.get(field.name)
        if found is None:
            if field.field_id in (*ids, *elsewhere) or field.initial_default is not None:
                return False
        elif _id_of(found) != field.field_id or not _type_fits(found.type, field.field_type):
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
    for field_id in _uncounted(metadata, paths):
        statistics["null_value_counts"].pop(field_id, None)
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
    """Return the fields whose bounds are not those of all their values.

    They are fields with a row group that has values but no bounds, such as one with a NaN: pyiceberg would
    take the bounds of the other row groups for the file's, and a filter would then skip rows. Other writers
    than DuckDB leave a NaN out of the bounds and give them all the same, while engines differ in
    whether a NaN is greater than a number.
    """
    nan_shows = (metadata.created_by or "").startswith("DuckDB")
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
            unbounded = has_values and (statistics is None or not statistics.has_min_max)
            if unbounded or (column.physical_type in ("FLOAT", "DOUBLE") and not nan_shows):
                found.add(paths[column.path_in_schema])
    return found


def _uncounted(metadata: pq.FileMetaData, paths: dict[str, int]) -> set[int]:
    """Return the fields with a row group that does not say how many NULLs it holds: their sum is too low."""
    found = set()
    for group in range(metadata.num_row_groups):
        for position in range(metadata.num_columns):
            column = metadata.row_group(group).column(position)
            if column.statistics is None or not column.statistics.has_null_count:
                found.add(paths[column.path_in_schema])
    return found
