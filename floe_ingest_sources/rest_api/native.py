"""Pages of JSON records as Arrow, nested values as nested columns (``nested: native``).

Arrow's own converter finds the types, in C++ and over many records at once; no code of ours looks at a
record, unless values of one key do not fit one type.

| values of a key | type |
| --- | --- |
| true, false | boolean |
| whole numbers within 64 bits | 64-bit integer |
| numbers with a fraction or exponent, also mixed with whole ones | double |
| strings | text; a time with a zone, in UTC, for columns named in ``timestamps`` |
| objects, lists | struct, list; of the same types |
| only null; inside an object, also an object without keys | no column, until a value comes; nested: text |
| anything else: text mixed with numbers, numbers beyond 64 bits | text: strings as they are, else JSON |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from floe_ingest import SchemaError
from floe_ingest_sources._resources import known_type
from floe_ingest_sources.rest_api.page_reader import arrow_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

BATCH_RECORDS = 10_000
"""Records are converted this many at a time: enough for Arrow to be fast, few enough to hold as objects."""

FLUSH_BYTES = 64 * 1024 * 1024
"""Types are united over this much Arrow data; then it is handed over."""


def arrow_tables(
    pages: Iterable[Sequence[Any]], name: str, known: Mapping[str, str] | None = None
) -> Iterator[pa.Table]:
    """Yield the records of pages as tables, one schema for as many as ``FLUSH_BYTES`` hold.

    Later tables keep the types of earlier ones where they fit; a column that becomes wider is the table's to
    follow, as from one load to the next.

    Arguments:
        pages: lists of records; a record that is no object becomes the column ``value``.
        name: the resource's name, for messages.
        known: by key, dlt's types of columns that the table has. Whole numbers become doubles where the table
            has doubles, and anything becomes text where it has text.
    """
    waiting: list[pa.Table] = []
    size = 0
    schema: pa.Schema | None = None
    for table in _tables(pages):
        waiting.append(table)
        size += table.nbytes
        if size >= FLUSH_BYTES:
            whole = united([*([schema.empty_table()] if schema else []), *waiting], name)
            schema, waiting, size = whole.schema, [], 0
            yield _as_known(_without_nulls(whole), known or {})
    if waiting:
        whole = united([*([schema.empty_table()] if schema else []), *waiting], name)
        yield _as_known(_without_nulls(whole), known or {})


def _tables(pages: Iterable[Sequence[Any]]) -> Iterator[pa.Table]:
    """Yield pages as tables, in their order; those of Python objects several at a time."""
    import pyarrow as pa

    waiting: list[Any] = []
    for page in pages:
        records = arrow_records(page)
        if records is None:
            waiting.extend(page)
        if waiting and (records is not None or len(waiting) >= BATCH_RECORDS):
            yield _table(waiting)
            waiting = []
        if records is not None:
            yield pa.Table.from_struct_array(records)
    if waiting:
        yield _table(waiting)


def _table(records: list[Any]) -> pa.Table:
    import pyarrow as pa

    try:
        array = pa.array(records)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return _by_key(records)
    if pa.types.is_null(array.type) or not pa.types.is_struct(array.type):
        return pa.table({"value": array})
    return pa.Table.from_batches([pa.RecordBatch.from_struct_array(array)])


def _by_key(records: list[Any]) -> pa.Table:
    """Convert key by key; those whose values fit no type become text."""
    import pyarrow as pa

    objects = [record if isinstance(record, dict) else {"value": record} for record in records]
    columns = {}
    for key in dict.fromkeys(key for record in objects for key in record):
        values = [record.get(key) for record in objects]
        try:
            columns[key] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            columns[key] = pa.array([_text(value) for value in values], pa.string())
    return pa.table(columns)


def _text(value: Any) -> str | None:
    import json

    if value is None or isinstance(value, str):
        return value
    # Not orjson, which has no whole numbers beyond 64 bits.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def united(tables: Sequence[pa.Table], name: str) -> pa.Table:
    """Return tables as one, their types united; a column whose types cannot be becomes text in all.

    Raises:
        SchemaError: they cannot be united in any way.
    """
    import pyarrow as pa

    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        differing = [column for column in _names(tables) if not _unites(tables, column)]
        if not differing:
            raise
    texts = []
    for table in tables:
        whole = table
        for column in differing:
            if column in table.column_names:
                values = pa.array([_text(value) for value in table[column].to_pylist()], pa.string())
                whole = whole.set_column(table.column_names.index(column), column, values)
        texts.append(whole)
    try:
        return pa.concat_tables(texts, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SchemaError(f"The pages of resource {name!r} cannot be one table: {error}") from error


def _names(tables: Sequence[pa.Table]) -> list[str]:
    return list(dict.fromkeys(column for table in tables for column in table.column_names))


def _unites(tables: Sequence[pa.Table], column: str) -> bool:
    import pyarrow as pa

    try:
        pa.concat_tables(
            [table.select([column]) for table in tables if column in table.column_names],
            promote_options="permissive",
        )
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return False
    return True


def _without_nulls(table: pa.Table) -> pa.Table:
    """Leave out columns of which nothing is known but null, and give nested ones a type."""
    import pyarrow as pa

    kept = [field for field in table.schema if not pa.types.is_null(field.type)]
    columns = [_settled_column(table[field.name], settled(field.type)) for field in kept]
    return pa.table(columns, names=[field.name for field in kept])


def _settled_column(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    import pyarrow as pa

    if column.type == kind:
        return column
    try:
        return column.cast(kind)
    except pa.ArrowNotImplementedError:
        # Objects that are always empty, in lists or alone.
        return pa.chunked_array([pa.array([_text(value) for value in column.to_pylist()], pa.string())])


def _as_known(table: pa.Table, known: Mapping[str, str]) -> pa.Table:
    import pyarrow as pa

    for position, field in enumerate(table.schema):
        wanted = known_type(known, field.name)
        if wanted == "double" and pa.types.is_integer(field.type):
            table = table.set_column(position, field.name, table[field.name].cast(pa.float64()))
        elif wanted == "text" and not pa.types.is_string(field.type):
            texts = pa.array([_text(value) for value in table[field.name].to_pylist()], pa.string())
            table = table.set_column(position, field.name, texts)
    return table


def _is_empty_struct(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_struct(kind) and kind.num_fields == 0)


def settled(kind: pa.DataType) -> pa.DataType:
    """Return a type that a table can have: text for what is only null, no field for what is always empty."""
    import pyarrow as pa

    if pa.types.is_null(kind) or _is_empty_struct(kind):
        return pa.string()
    if pa.types.is_struct(kind):
        fields = [field.with_type(settled(field.type)) for field in kind if not _is_empty_struct(field.type)]
        return pa.struct(fields) if fields else pa.string()
    if pa.types.is_list(kind):
        return pa.list_(settled(kind.value_type))
    return kind


def with_times(table: pa.Table, columns: Sequence[str], name: str) -> pa.Table:
    """Return a table whose named text columns are times in UTC. A time without a zone is taken for UTC.

    Raises:
        SchemaError: a value is no ISO 8601 time.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for column in columns:
        if column not in table.column_names or not pa.types.is_string(table.schema.field(column).type):
            continue
        text = table[column]
        zoned = pc.match_substring_regex(text, r":\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d(?::?\d\d)?)$")
        end = pc.if_else(pc.match_substring(text, ":"), "Z", "T00:00:00Z")
        spelled = pc.if_else(zoned, text, pc.binary_join_element_wise(text, end, ""))
        try:
            times = spelled.cast(pa.timestamp("us", "UTC"))
        except pa.ArrowInvalid as error:
            raise SchemaError(
                f"Column {column!r} of resource {name!r} stands in timestamps and holds what is no ISO 8601 "
                f"time: {error}. Take it out of timestamps, or mend the value."
            ) from error
        table = table.set_column(table.column_names.index(column), column, times)
    return table
