"""The sure reader: any SQLAlchemy result as Arrow tables, under a schema fixed beforehand."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from floe_ingest import SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa
    from sqlalchemy import Connection

    from floe_ingest_sources.sql_database.relation import Relation

_Parsed = TypeVar("_Parsed")
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


def read_batches(connection: Connection, relation: Relation, batch_rows: int) -> Iterator[pa.Table]:
    """Read a relation in batches. A relation without rows gives one table without rows.

    Arguments:
        connection: stays open while this is read.
        relation: what to read.
        batch_rows: rows of a batch.

    Raises:
        SchemaError: a value does not fit its column exactly.
    """
    import pyarrow as pa

    schema: pa.Schema | None = None
    with _rows(connection, relation, batch_rows) as (names, batches):
        kinds = {plan.name: plan.kind for plan in relation.plans} or dict.fromkeys(names, "")
        empty = True
        for batch in batches:
            columns = list(zip(*batch, strict=True))
            if schema is None:
                schema = _schema(names, [kinds[name] for name in names], columns)
            arrays = [
                _array(values, kinds[field.name], field, relation)
                for values, field in zip(columns, schema, strict=True)
            ]
            empty = False
            yield pa.Table.from_arrays(arrays, schema=schema)
        if empty:
            yield _schema(names, [kinds[name] for name in names], [()] * len(names)).empty_table()


@contextmanager
def _rows(
    connection: Connection, relation: Relation, batch_rows: int
) -> Iterator[tuple[list[str], Iterator[Sequence[Any]]]]:
    """Open the result; values are the driver's own, but for SQLAlchemy's own statements."""
    if relation.statement is not None:
        streaming = connection.execution_options(stream_results=True, yield_per=batch_rows)
        with streaming.execute(relation.statement) as result:
            # Not `partitions()`: without a size it gives row by row for a text in SQLAlchemy 2.1.
            yield list(result.keys()), _until_empty(lambda: result.fetchmany(batch_rows))
        return
    from sqlalchemy.exc import DBAPIError

    driver = connection.connection.driver_connection
    if driver is None:
        raise RuntimeError("The connection was closed while it was read")
    cursor = _streaming_cursor(connection, driver)
    try:
        cursor.execute(relation.sent())
        # A cursor with a name tells its columns after the first rows alone.
        first = cursor.fetchmany(batch_rows)
        names = [column[0] for column in cursor.description]
        rest = _until_empty(lambda: cursor.fetchmany(batch_rows))
        yield names, chain([first] if first else [], rest)
    except connection.dialect.loaded_dbapi.Error as error:
        raise DBAPIError(relation.sent(), None, error) from error
    finally:
        cursor.close()


def _until_empty(fetch: Callable[[], Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """Yield batches up to an empty one, whether the driver gives that as a list or as a tuple."""
    while batch := fetch():
        yield batch


def _streaming_cursor(connection: Connection, driver: Any) -> Any:
    """Return a cursor that does not keep the whole result in the client's memory."""
    if connection.dialect.name == "postgresql":
        return driver.cursor("floe_ingest")
    if connection.dialect.driver in ("pymysql", "mysqldb"):
        return driver.cursor(connection.dialect.loaded_dbapi.cursors.SSCursor)
    return driver.cursor()


def arrow_type(kind: str) -> Any:
    """Return the Arrow type of a DuckDB type."""
    import pyarrow as pa

    if kind.endswith("[]"):
        return pa.list_(arrow_type(kind.removesuffix("[]")))
    if match := _DECIMAL.fullmatch(kind):
        return pa.decimal128(int(match[1]), int(match[2]))
    return {
        "INTEGER": pa.int32(),
        "BIGINT": pa.int64(),
        "FLOAT": pa.float32(),
        "DOUBLE": pa.float64(),
        "BOOLEAN": pa.bool_(),
        "VARCHAR": pa.string(),
        "BLOB": pa.binary(),
        "DATE": pa.date32(),
        "TIME": pa.time64("us"),
        "TIMESTAMP": pa.timestamp("us"),
        "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
    }[kind]


def _schema(names: Sequence[str], kinds: Sequence[str], columns: Sequence[Sequence[Any]]) -> pa.Schema:
    import pyarrow as pa

    fields = [
        pa.field(name, arrow_type(kind or _kind_seen(values)))
        for name, kind, values in zip(names, kinds, columns, strict=True)
    ]
    return pa.schema(fields)


def _kind_seen(values: Sequence[Any]) -> str:
    """Return the kind of a query's column from its first batch, for dialects that do not tell it."""
    found = {type(value) for value in values if value is not None}
    kinds: dict[type, str] = {
        bool: "BOOLEAN",
        int: "BIGINT",
        float: "DOUBLE",
        Decimal: "DECIMAL(38,9)",
        bytes: "BLOB",
        date: "DATE",
        time: "TIME",
    }
    if found == {datetime}:
        zone = next(value.tzinfo for value in values if value is not None)
        return "TIMESTAMP" if zone is None else "TIMESTAMPTZ"
    return kinds.get(next(iter(found)), "VARCHAR") if len(found) == 1 else "VARCHAR"


def _array(values: Sequence[Any], kind: str, field: pa.Field, relation: Relation) -> pa.Array:
    import pyarrow as pa

    convert = _converter(field.type)
    try:
        if convert is not None:
            values = [None if value is None else convert(value) for value in values]
        return pa.array(values, type=field.type)
    except (pa.ArrowException, ValueError, TypeError, OverflowError, InvalidOperation) as error:
        raise SchemaError(
            f"Column {field.name!r} of {relation.origin} has a value that {kind or field.type} cannot hold "
            f"exactly, and nothing is rounded or dropped. Convert it in a query, for example to text. "
            f"The cause: {str(error)[:200]}"
        ) from error


def _converter(kind: Any) -> Callable[[Any], Any] | None:
    from pyarrow import types

    converters: tuple[tuple[Callable[[Any], bool], Callable[[Any], Any]], ...] = (
        (types.is_decimal, _decimal),
        (types.is_boolean, _boolean),
        (types.is_date, _date),
        (types.is_time, _time),
        (types.is_string, _text),
        (types.is_binary, _bytes),
        (types.is_integer, _integer),
    )
    if types.is_timestamp(kind):
        return _aware if kind.tz else _naive
    return next((convert for check, convert in converters if check(kind)), None)


def _decimal(value: Any) -> Decimal:
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    if not number.is_finite():
        raise ValueError(f"{number} is no decimal number")
    return number


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value != int(value):
        raise ValueError(f"a value of type {type(value).__name__} is no whole number")
    return int(value)


def _boolean(value: Any) -> bool:
    if value not in (0, 1):
        raise ValueError(f"a value of type {type(value).__name__} is neither 0 nor 1")
    return bool(value)


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        raise TypeError("a date with a time of day")
    return value if isinstance(value, date) else _parsed(date.fromisoformat, value)


def _time(value: Any) -> time:
    return value if isinstance(value, time) else _parsed(time.fromisoformat, value)


def _naive(value: Any) -> datetime:
    moment = _moment(value)
    if moment.tzinfo is not None:
        raise ValueError("a time with a zone, in a column of times without one")
    return moment


def _aware(value: Any) -> datetime:
    moment = _moment(value)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone, in a column of times with one")
    return moment


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else _parsed(datetime.fromisoformat, value)


def _parsed(parse: Callable[[str], _Parsed], text: str) -> _Parsed:
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"{error}: {text!r}") from error


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        raise TypeError("bytes, in a column of text")
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        raise TypeError("text, in a column of bytes")
    return bytes(value)
