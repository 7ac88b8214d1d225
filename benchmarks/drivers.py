"""How an Arrow driver alone reads ``lineitem`` from a database: one thread, streamed into pyiceberg."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from pyiceberg.catalog import Catalog

COLUMNS = {
    "l_orderkey": "bigint",
    "l_partkey": "bigint",
    "l_suppkey": "bigint",
    "l_linenumber": "int",
    "l_quantity": "decimal(15,2)",
    "l_extendedprice": "decimal(15,2)",
    "l_discount": "decimal(15,2)",
    "l_tax": "decimal(15,2)",
    "l_returnflag": "char(1)",
    "l_linestatus": "char(1)",
    "l_shipdate": "date",
    "l_commitdate": "date",
    "l_receiptdate": "date",
    "l_shipinstruct": "varchar(25)",
    "l_shipmode": "varchar(10)",
    "l_comment": "varchar(44)",
}


def schema() -> pa.Schema:
    import pyarrow as pa

    kinds = {
        "bigint": pa.int64(),
        "int": pa.int32(),
        "decimal(15,2)": pa.decimal128(15, 2),
        "date": pa.date32(),
    }
    return pa.schema([(name, kinds.get(kind, pa.string())) for name, kind in COLUMNS.items()])


def driver_batches(url: str) -> Iterator[pa.RecordBatch]:
    """Read the table by the driver itself."""
    if url.startswith("mysql"):
        import connectorx

        plain = url.replace("mysql+pymysql", "mysql").replace(" ", "%20")
        yield from connectorx.read_sql(
            plain, "SELECT * FROM lineitem", return_type="arrow_stream", batch_size=100_000
        )
        return
    if url.startswith("sqlite"):
        from adbc_driver_sqlite import dbapi

        uri = url.removeprefix("sqlite:///")
    else:
        from adbc_driver_postgresql import dbapi

        uri = url
    with dbapi.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM lineitem")
        yield from cursor.fetch_record_batch()


def load_limit(url: str, catalog: Catalog) -> None:
    """Append the table by one thread of the driver's Arrow reader, streamed into pyiceberg."""
    import pyarrow as pa
    from pyiceberg.exceptions import NoSuchTableError

    def plain(column: pa.Array, kind: pa.DataType) -> pa.Array:
        if isinstance(column, pa.ExtensionArray):
            column = column.storage
        # SQLite has no decimals, and keeps those without a fraction as whole numbers.
        if pa.types.is_decimal(kind) and pa.types.is_integer(column.type):
            column = column.cast(pa.decimal128(21, 2))
        return column.cast(kind, safe=not pa.types.is_floating(column.type))

    before = pa.cpu_count()
    pa.set_cpu_count(1)
    try:
        wanted = schema()
        batches = (
            pa.RecordBatch.from_arrays(
                [plain(column, field.type) for column, field in zip(batch.columns, wanted, strict=True)],
                schema=wanted,
            )
            for batch in driver_batches(url)
        )
        try:
            target = catalog.load_table("bronze.limit")
        except NoSuchTableError:
            catalog.create_namespace_if_not_exists("bronze")
            target = catalog.create_table("bronze.limit", wanted)
        target.append(pa.RecordBatchReader.from_batches(wanted, batches))
    finally:
        pa.set_cpu_count(before)
