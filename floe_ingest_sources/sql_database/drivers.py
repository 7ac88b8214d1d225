"""Reads by drivers that give Arrow: ConnectorX for MariaDB and MySQL, ADBC for PostgreSQL.

Each sends the relation's own query, whose columns are types that every driver has, or text; here they
become the types of the plan, strictly. So ConnectorX's decimals of ten places and ADBC's opaque numerics
never occur.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from floe_ingest import MissingPackageError, SchemaError, SourceConfigurationError, SourceConnectionError
from floe_ingest_sources.sql_database.readers import arrow_type
from floe_ingest_sources.sql_database.urls import INSTALL, TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import pyarrow as pa

    from floe_ingest_sources.sql_database.relation import Relation
    from floe_ingest_sources.sql_database.urls import Database

NAMES = {"connectorx": "ConnectorX", "adbc": "ADBC"}
_MODULES = {"connectorx": "connectorx", "adbc": "adbc_driver_postgresql"}
_SERVES = {"connectorx": ("mysql", "MariaDB and MySQL"), "adbc": ("postgresql", "PostgreSQL")}
# The years 1 to 9999, and a day's times.
_DAYS = (-719_162, 2_932_896)
_MOMENTS = (-62_135_596_800_000_000, 253_402_300_799_999_999)
_TIME = (0, 86_399_999_999)
_CLOCK = r"^([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?$"


def chosen(backend: str, database: Database, relation: Relation) -> tuple[str, str] | None:
    """Return the driver that reads a relation, and why; None where DuckDB or SQLAlchemy does.

    Raises:
        SourceConfigurationError: the configuration names a driver that cannot read it.
        MissingPackageError: the driver that the configuration names is not installed.
    """
    if backend in NAMES:
        if (problem := _problem(backend, database, relation)) is not None:
            raise SourceConfigurationError(
                f"backend: {backend} cannot read {relation.origin} ({problem}); write backend: auto"
            )
        if not _installed(backend):
            raise MissingPackageError(f"backend: {backend}", _MODULES[backend], INSTALL)
        return backend, "backend says so"
    if backend != "auto":
        return None
    if database.kind == "mysql" and _installed("connectorx"):
        if _problem("connectorx", database, relation) is None:
            return "connectorx", "of the readers that are exact it is the quickest here"
    elif database.kind == "postgresql" and _installed("adbc"):
        slow = database.why_not_duckdb()
        if slow is not None and _problem("adbc", database, relation) is None:
            return "adbc", slow
    return None


def of_shards(backend: str, database: Database, relation: Relation) -> str | None:
    """Return the driver that reads the shards of a relation; None where SQLAlchemy does.

    Raises: as ``chosen``.
    """
    if backend != "auto":
        found = chosen(backend, database, relation)
        return found[0] if found else None
    names = (name for name, (kind, _) in _SERVES.items() if kind == database.kind and _installed(name))
    return next((name for name in names if _problem(name, database, relation) is None), None)


def read(
    driver: str, database: Database, relation: Relation, batch_rows: int, begin: tuple[str, ...] = ()
) -> Generator[pa.Table]:
    """Read a relation in batches. A relation without rows gives one table without rows.

    Arguments:
        driver: from ``chosen``.
        database, relation: what is read.
        batch_rows: rows of a batch.
        begin: the statements with which the transaction begins.

    Raises:
        SourceConnectionError: the driver failed, by an error or by a panic of its native code.
        SchemaError: a value does not fit its column exactly.
    """
    import pyarrow as pa

    batches = {"connectorx": _connectorx, "adbc": _adbc}[driver](database, relation, batch_rows, begin)
    empty = True
    try:
        while (batch := _next(batches, driver, database, relation)) is not None:
            empty = False
            yield exact(batch, relation)
    finally:
        batches.close()
    if empty:
        yield pa.schema([(plan.name, arrow_type(plan.kind)) for plan in relation.plans]).empty_table()


def _problem(driver: str, database: Database, relation: Relation) -> str | None:
    kind, products = _SERVES[driver]
    if database.kind != kind:
        return f"it reads {products} here"
    if relation.statement is not None or not relation.plans:
        return "only the values of a query tell its types here"
    if driver == "connectorx" and (options := database.options()):
        return f"the URL has options that it does not take: {', '.join(options)}"
    if driver == "adbc" and (lists := [plan.name for plan in relation.plans if plan.kind.endswith("[]")]):
        return f"a second dimension of an array would be lost: {', '.join(lists)}"
    return None


def _installed(driver: str) -> bool:
    return importlib.util.find_spec(_MODULES[driver]) is not None


def _next(
    batches: Iterator[pa.RecordBatch], driver: str, database: Database, relation: Relation
) -> pa.RecordBatch | None:
    try:
        return next(batches, None)
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    # A panic of Rust is no Exception.
    except BaseException as error:  # noqa: BLE001
        raise SourceConnectionError(
            f"{NAMES[driver]} failed at reading {relation.origin} of {database.label}: "
            f"{database.without_secrets(error)[:500]}"
        ) from _Refused.of(error)


class _Refused(Exception):  # noqa: N818 (it is what a database did, never raised)
    """What a database answered by a driver, without its words: they may hold the URL.

    Arguments:
        sqlstate: the SQL standard's code, by which the engine tells whose failure it is.
    """

    def __init__(self, sqlstate: str) -> None:
        super().__init__(f"SQLSTATE {sqlstate}")
        self.sqlstate = sqlstate

    @classmethod
    def of(cls, error: BaseException) -> _Refused | None:
        """Return the refusal in a driver's error; None where it is none of the database's."""
        state = getattr(error, "sqlstate", None)
        return cls(state) if isinstance(state, str) and state else None


def _connectorx(
    database: Database, relation: Relation, batch_rows: int, begin: tuple[str, ...]
) -> Generator[pa.RecordBatch]:
    import connectorx

    # What bounds one statement is no SELECT, which ConnectorX insists on; the session is bounded instead.
    # ConnectorX would go on by the server's socket, if there is one of that name here.
    options = {"prefer_socket": "false", "tcp_connect_timeout_ms": str(TIMEOUT_SECONDS * 1000)}
    url = database.url.set(drivername="mysql", query=options)
    before = ["SET SESSION time_zone = '+00:00'", "SET SESSION TRANSACTION READ ONLY"]
    reader = connectorx.read_sql(
        _percent_encoded(url),
        relation.sent(compact=True),
        return_type="arrow_stream",
        batch_size=batch_rows,
        pre_execution_query=[*before, *_time_limit(database, relation), *begin],
    )
    yield from reader


def _time_limit(database: Database, relation: Relation) -> list[str]:
    seconds = database.statement_timeout
    if seconds is None:
        return []
    mariadb = relation.bounded is not None
    limit = f"max_statement_time = {seconds:d}" if mariadb else f"max_execution_time = {seconds * 1000:d}"
    return [f"SET SESSION {limit}"]


def _percent_encoded(url: Any) -> str:
    """Return a URL with every special character encoded: SQLAlchemy leaves spaces as they are."""
    return str(url.render_as_string(hide_password=False)).replace(" ", "%20")


def _adbc(
    database: Database, relation: Relation, batch_rows: int, begin: tuple[str, ...]
) -> Generator[pa.RecordBatch]:
    from adbc_driver_postgresql import dbapi

    query = {"connect_timeout": str(TIMEOUT_SECONDS), **database.url.query}
    uri = _percent_encoded(database.url.set(drivername="postgresql", query=query))
    with dbapi.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        if database.statement_timeout is not None:
            cursor.execute(f"SET statement_timeout = {database.statement_timeout * 1000:d}")
        connection.commit()
        for statement in begin:
            cursor.execute(statement)
        cursor.execute(relation.sent())
        # fetch_record_batch gives the reader inside of this one, whose errors have no SQLSTATE.
        for batch in cursor._results.reader:  # noqa: SLF001 (there is no public way to it)
            for start in range(0, batch.num_rows, batch_rows):
                yield batch.slice(start, batch_rows)


def exact(batch: pa.RecordBatch, relation: Relation) -> pa.Table:
    """Return a batch with the types of a relation's columns, which it has in their order.

    Raises:
        SchemaError: a value does not fit its column exactly.
    """
    import pyarrow as pa

    arrays = []
    fields = []
    for plan, column in zip(relation.plans, batch.columns, strict=True):
        kind = arrow_type(plan.kind)
        try:
            arrays.append(_cast(column, kind))
        except pa.ArrowException as error:
            raise SchemaError(
                f"Column {plan.name!r} of {relation.origin} has a value that {plan.kind} cannot hold "
                f"exactly, and nothing is rounded or dropped. Replace it in a query, or read it as text. "
                f"The cause: {str(error)[:200]}"
            ) from error
        fields.append(pa.field(plan.name, kind))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _cast(column: pa.Array, kind: Any) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import types

    if types.is_int64(column.type) and types.is_decimal(kind) and kind.scale:
        return _from_digits(column, kind)
    if types.is_integer(column.type) and types.is_date(kind):
        return _each_once(column, lambda days: _cast(_written_days(days), kind))
    if types.is_floating(column.type) and types.is_decimal(kind):
        raise pa.ArrowInvalid(f"the driver gives {column.type}, of which a decimal cannot be sure")
    if not types.is_string(column.type):
        return _within_range(pc.cast(column, kind), kind)
    if types.is_time(kind):
        _refuse(column, pc.invert(pc.match_substring_regex(column, _CLOCK)), kind)
        # pyarrow reads no time of day from text, but a timestamp.
        moments = pc.binary_join_element_wise(pa.scalar("1970-01-01"), column, " ")
        return pc.cast(pc.cast(moments, pa.timestamp("us")), kind)
    if types.is_date(kind) or types.is_timestamp(kind):
        # The year 0 would become one before Christ.
        _refuse(column, pc.starts_with(column, "0000-"), kind)
    return pc.cast(column, kind)


def _from_digits(column: pa.Array, kind: Any) -> pa.Array:
    """Return the decimals of which a column has the digits, without the point."""
    import pyarrow as pa

    whole = column.cast(pa.decimal128(19, 0))
    return pa.Array.from_buffers(kind, len(whole), whole.buffers(), offset=whole.offset)


def _each_once(column: pa.Array, convert: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Return a converted column, each different value converted once: dates repeat."""
    encoded = column.dictionary_encode()
    return convert(encoded.dictionary).take(encoded.indices)


def _written_days(numbers: pa.Array) -> pa.Array:
    """Return numbers such as 20240131 as text such as 2024-01-31."""
    import pyarrow as pa
    import pyarrow.compute as pc

    digits = pc.utf8_lpad(numbers.cast(pa.string()), 8, "0")
    parts = [pc.utf8_slice_codeunits(digits, *ends) for ends in ((0, -4), (-4, -2), (-2,))]
    return pc.binary_join_element_wise(*parts, "-")


def _within_range(column: pa.Array, kind: Any) -> pa.Array:
    """Return a column whose dates and times are real ones: ADBC lets infinities overflow into wild years."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import types

    if types.is_date(kind):
        (least, most), whole = _DAYS, pa.int32()
    elif types.is_timestamp(kind) or types.is_time(kind):
        (least, most), whole = (_TIME if types.is_time(kind) else _MOMENTS), pa.int64()
    else:
        return column
    found = pc.min_max(column.cast(whole))
    if found["min"].is_valid and not (least <= found["min"].as_py() and found["max"].as_py() <= most):
        raise pa.ArrowInvalid(f"an infinite value, 24:00:00, or a year beyond 1 to 9999, as {kind}")
    return column


def _refuse(column: pa.Array, wrong: pa.Array, kind: Any) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pc.any(wrong).as_py():
        raise pa.ArrowInvalid(f"{column.filter(wrong)[0].as_py()!r} is no {kind}")
