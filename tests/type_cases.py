"""Every type that a load can bring, by the way it comes: the cases of tests and of docs/types.md."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Way = Literal["rows", "arrow", "scan"]

NAN, INF = float("nan"), float("inf")
LONG = "żółw 🐢 " * 400_000
ID = uuid.UUID("12345678-1234-5678-1234-567812345678")
DIGITS = Decimal("12345678901234567890123456789012345678")
FRACTION = Decimal("0.12345678901234567890123456789012345678")


@dataclass(frozen=True)
class Case:
    """One type.

    Arguments:
        way: how it comes: Python rows, Arrow, or a bulk scan.
        given: the type as docs/types.md names it; for Arrow and DuckDB how the library writes it.
        iceberg: the Iceberg type of the column.
        values: what is loaded: Python values, for a bulk scan SQL expressions.
        expected: what is read back; ``values`` where None.
        kind: the Arrow type; for a bulk scan ``given`` is the SQL type.
        hints: dlt's column hints.
        null_of_pyiceberg: what pyiceberg 0.12 reads for a NULL; DuckDB reads NULL.
    """

    way: Way
    given: str
    iceberg: str
    values: Sequence[Any]
    expected: Sequence[Any] | None = None
    kind: pa.DataType | None = None
    hints: Mapping[str, Any] = field(default_factory=dict)
    null_of_pyiceberg: Any = None

    def __str__(self) -> str:
        return f"{self.way} {self.given}"

    @property
    def landed(self) -> Sequence[Any]:
        """What is read back."""
        return self.values if self.expected is None else self.expected


def rows(given: str, iceberg: str, values: Sequence[Any], expected: Any = None, **hints: Any) -> Case:
    return Case("rows", given, iceberg, values, expected, hints=hints)


def arrow(kind: pa.DataType, iceberg: str, values: Sequence[Any], expected: Any = None, **more: Any) -> Case:
    return Case("arrow", str(kind), iceberg, values, expected, kind=kind, **more)


def scan(given: str, iceberg: str, values: Sequence[str], expected: Sequence[Any], null: Any = None) -> Case:
    return Case("scan", given, iceberg, values, expected, null_of_pyiceberg=null)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def at(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[arg-type]


EARLY, LATE = date(1, 1, 1), date(9999, 12, 31)
BEFORE_1970 = date(1969, 12, 31)
MICROS = (2024, 2, 29, 23, 59, 59, 999_999)
FLOATS = [1.5, -0.0, NAN, INF, -INF]
TEXTS = ["", " ", "żółw 🐢", "'quoted\"\n\t\\", "\x00null", "NULL", LONG]
BLOBS = [b"", b"\x00\xff", b"abc" * 100_000]

ROWS = (
    rows("int", "long", [2**63 - 1, -(2**63), 0]),
    rows("float", "double", [1.5, -0.0, 1e308, 5e-324]),
    rows("float, NaN and infinities", "double", [0.5, NAN, INF, -INF], [0.5, None, None, None]),
    rows("bool", "boolean", [True, False]),
    rows("str", "string", TEXTS),
    rows("bytes", "binary", BLOBS[1:]),
    rows("date", "date", [EARLY, BEFORE_1970, date(2024, 2, 29), LATE]),
    rows(
        "datetime with a zone",
        "timestamptz",
        [utc(*MICROS), utc(1969, 12, 31, 23), utc(9999, 12, 31), utc(1, 1, 1)],
    ),
    rows(
        "datetime with another zone",
        "timestamptz",
        [datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))],
        [utc(2023, 12, 31, 23)],
    ),
    rows("datetime without a zone", "timestamptz", [at(*MICROS)], [utc(*MICROS)]),
    rows(
        "datetime without a zone, `timezone: False`",
        "timestamp",
        [at(*MICROS), at(1, 1, 1)],
        timezone=False,
        data_type="timestamp",
    ),
    rows("time", "time", [time(0, 0), time(23, 59, 59, 999_999)]),
    rows(
        "Decimal",
        "decimal(38, 9)",
        [Decimal("1.500000001"), Decimal("-99999999999999999999999999999.999999999")],
    ),
    rows(
        "Decimal, `precision: 38`, `scale: 0`",
        "decimal(38, 0)",
        [DIGITS, -DIGITS],
        data_type="decimal",
        precision=38,
        scale=0,
    ),
    rows("UUID", "string", [ID], [str(ID)]),
    rows(
        "dict, `data_type: json`",
        "string",
        [{"a": [1, None]}, {}],
        ['{"a":[1,null]}', "{}"],
        data_type="json",
    ),
    rows("list, `data_type: json`", "string", [[1, "x"], []], ['[1,"x"]', "[]"], data_type="json"),
    rows("int, `precision: 32`", "int", [2**31 - 1, -(2**31)], data_type="bigint", precision=32),
    rows("int, `precision: 16`", "int", [2**15 - 1], data_type="bigint", precision=16),
    rows("int, `precision: 8`", "int", [2**7 - 1], data_type="bigint", precision=8),
    rows(
        "text, `data_type: timestamp`",
        "timestamptz",
        ["2024-02-29T23:59:59.999999Z"],
        [utc(*MICROS)],
        data_type="timestamp",
    ),
    rows("bytes, `precision: 3`", "binary", [b"abc"], data_type="binary", precision=3),
)

ARROW = (
    arrow(pa.int8(), "int", [-128, 127]),
    arrow(pa.int16(), "int", [-(2**15), 2**15 - 1]),
    arrow(pa.int32(), "int", [-(2**31), 2**31 - 1]),
    arrow(pa.int64(), "long", [-(2**63), 2**63 - 1]),
    arrow(pa.uint8(), "int", [0, 255]),
    arrow(pa.uint16(), "int", [0, 2**16 - 1]),
    arrow(pa.uint32(), "long", [0, 2**32 - 1]),
    arrow(pa.uint64(), "decimal(20, 0)", [0, 2**64 - 1], [Decimal(0), Decimal(2**64 - 1)]),
    arrow(pa.float16(), "float", [1.5, NAN, INF, -INF, 65504.0]),
    arrow(pa.float32(), "float", [*FLOATS, 16777216.0]),
    arrow(pa.float64(), "double", [*FLOATS, 1e308, 5e-324]),
    arrow(pa.bool_(), "boolean", [True, False]),
    arrow(pa.decimal32(9, 2), "decimal(9, 2)", [Decimal("1234567.89"), Decimal("-0.01")]),
    arrow(pa.decimal64(18, 2), "decimal(18, 2)", [Decimal("1234567890123456.78")]),
    arrow(pa.decimal128(5, 2), "decimal(5, 2)", [Decimal("999.99"), Decimal("-999.99")]),
    arrow(pa.decimal128(38, 0), "decimal(38, 0)", [DIGITS, -DIGITS]),
    arrow(pa.decimal128(38, 38), "decimal(38, 38)", [FRACTION]),
    arrow(pa.decimal256(38, 10), "decimal(38, 10)", [Decimal("1234567890123456789012345678.9012345678")]),
    arrow(pa.string(), "string", TEXTS),
    arrow(pa.large_string(), "string", TEXTS),
    arrow(pa.dictionary(pa.int32(), pa.string()), "string", ["a", "b", "a"]),
    arrow(pa.binary(), "binary", BLOBS),
    arrow(pa.large_binary(), "binary", BLOBS),
    arrow(pa.binary(4), "binary", [b"abcd", b"\x00\x00\xff\xff"]),
    arrow(pa.date32(), "date", [EARLY, BEFORE_1970, LATE]),
    arrow(pa.date64(), "date", [EARLY, BEFORE_1970, LATE]),
    arrow(pa.time32("s"), "time", [time(0, 0), time(23, 59, 59)]),
    arrow(pa.time32("ms"), "time", [time(23, 59, 59, 999_000)]),
    arrow(pa.time64("us"), "time", [time(0, 0), time(23, 59, 59, 999_999)]),
    arrow(pa.time64("ns"), "time", [time(23, 59, 59, 999_999)]),
    *(
        arrow(pa.timestamp(unit, tz="UTC"), "timestamptz", [utc(1969, 12, 31, 23), utc(2024, 2, 29, 1, 2, 3)])
        for unit in ("s", "ms", "us", "ns")
    ),
    arrow(pa.timestamp("us", tz="Europe/Warsaw"), "timestamptz", [utc(*MICROS)]),
    *(
        arrow(
            pa.timestamp(unit),
            "timestamptz",
            [at(1969, 12, 31, 23), at(2024, 2, 29, 1, 2, 3)],
            [utc(1969, 12, 31, 23), utc(2024, 2, 29, 1, 2, 3)],
        )
        for unit in ("s", "ms", "us", "ns")
    ),
    arrow(pa.list_(pa.int64()), "list<long>", [[1, None, 2], []]),
    arrow(pa.large_list(pa.int64()), "list<long>", [[1, None, 2], []]),
    arrow(pa.list_(pa.int64(), 2), "list<long>", [[1, 2], [3, None]]),
    arrow(pa.list_view(pa.int64()), "list<long>", [[1, None, 2], []]),
    arrow(
        pa.struct([("a", pa.int64()), ("b", pa.string())]),
        "struct<a: long, b: string>",
        [{"a": 1, "b": "x"}, {"a": None, "b": ""}],
    ),
    arrow(pa.map_(pa.string(), pa.int64()), "map<string, long>", [[("k", 1), ("l", None)], []]),
    arrow(
        pa.list_(pa.struct([("a", pa.list_(pa.string()))])),
        "list<struct<a: list<string>>>",
        [[{"a": ["x", None]}], [], [{"a": []}, {"a": None}]],
        null_of_pyiceberg=[],
    ),
    arrow(
        pa.map_(pa.string(), pa.struct([("a", pa.uint32())])),
        "map<string, struct<a: long>>",
        [[("k", {"a": 2**32 - 1})], []],
        null_of_pyiceberg=[],
    ),
    arrow(
        pa.struct([("a", pa.string()), ("b", pa.null())]),
        "struct<a: string>",
        [{"a": "x", "b": None}],
        [{"a": "x"}],
    ),
    arrow(
        pa.struct([("a", pa.struct([("b", pa.timestamp("ms", tz="UTC"))]))]),
        "struct<a: struct<b: timestamptz>>",
        [{"a": {"b": utc(2024, 1, 1)}}, {"a": None}],
    ),
)

SCANS = (
    scan("BOOLEAN", "boolean", ["true", "false"], [True, False]),
    scan("TINYINT", "int", ["-128", "127"], [-128, 127]),
    scan("SMALLINT", "int", ["-32768", "32767"], [-32768, 32767]),
    scan("INTEGER", "int", ["-2147483648", "2147483647"], [-(2**31), 2**31 - 1]),
    scan("BIGINT", "long", ["-9223372036854775808", "9223372036854775807"], [-(2**63), 2**63 - 1]),
    scan("UTINYINT", "int", ["255"], [255]),
    scan("USMALLINT", "int", ["65535"], [65535]),
    scan("UINTEGER", "long", ["4294967295"], [2**32 - 1]),
    scan("UBIGINT", "decimal(20, 0)", ["18446744073709551615"], [Decimal(2**64 - 1)]),
    scan("HUGEINT", "decimal(38, 0)", [str(DIGITS)], [DIGITS]),
    scan("UHUGEINT", "decimal(38, 0)", [str(DIGITS)], [DIGITS]),
    scan("FLOAT", "float", ["1.5", "'nan'", "'inf'", "'-inf'"], [1.5, NAN, INF, -INF]),
    scan("DOUBLE", "double", ["1.5", "'nan'", "'inf'", "'-inf'"], [1.5, NAN, INF, -INF]),
    scan("DECIMAL(12,2)", "decimal(12, 2)", ["'1234567890.12'"], [Decimal("1234567890.12")]),
    scan("DECIMAL(38,0)", "decimal(38, 0)", [f"'{DIGITS}'"], [DIGITS]),
    scan("DECIMAL(38,38)", "decimal(38, 38)", [f"'{FRACTION}'"], [FRACTION]),
    scan(
        "VARCHAR",
        "string",
        ["''", "'żółw 🐢'", "'it''s'", "repeat('x', 3000000)"],
        ["", "żółw 🐢", "it's", "x" * 3_000_000],
    ),
    scan("ENUM('a', 'b')", "string", ["'a'", "'b'"], ["a", "b"]),
    scan("BLOB", "binary", ["''", "'\\x00\\xFF'"], [b"", b"\x00\xff"]),
    scan("DATE", "date", ["'0001-01-01'", "'1969-12-31'", "'9999-12-31'"], [EARLY, BEFORE_1970, LATE]),
    scan("TIME", "time", ["'00:00'", "'23:59:59.999999'"], [time(0, 0), time(23, 59, 59, 999_999)]),
    scan("TIMESTAMP_S", "timestamp", ["'1969-12-31 23:00'"], [at(1969, 12, 31, 23)]),
    scan("TIMESTAMP_MS", "timestamp", ["'1969-12-31 23:00:00.123'"], [at(1969, 12, 31, 23, 0, 0, 123_000)]),
    scan(
        "TIMESTAMP", "timestamp", ["'2024-02-29 23:59:59.999999'", "'0001-01-01'"], [at(*MICROS), at(1, 1, 1)]
    ),
    scan(
        "TIMESTAMP_NS",
        "timestamp",
        ["'2024-02-29 23:59:59.999999999'", "'1969-12-31 23:59:59.999999999'"],
        [at(*MICROS), at(1969, 12, 31, 23, 59, 59, 999_999)],
    ),
    scan(
        "TIMESTAMPTZ",
        "timestamptz",
        ["'2024-02-29 23:59:59.999999Z'", "'2024-01-01 01:00:00+02'"],
        [utc(*MICROS), utc(2023, 12, 31, 23)],
    ),
    scan("TIMETZ", "string", ["'12:30:00+02'"], ["12:30:00+02"]),
    scan("INTERVAL", "string", ["INTERVAL 3 DAY"], ["3 days"]),
    scan("UUID", "string", [f"'{ID}'"], [str(ID)]),
    scan("JSON", "string", ["'{\"a\": 1}'"], ['{"a": 1}']),
    scan("BIT", "string", ["'0101'"], ["0101"]),
    scan("INTEGER[]", "list<int>", ["[1, NULL]", "[]"], [[1, None], []]),
    scan("INTEGER[2]", "list<int>", ["[1, 2]"], [[1, 2]]),
    scan(
        "STRUCT(a INTEGER, b VARCHAR)",
        "struct<a: int, b: string>",
        ["{'a': 1, 'b': ''}", "{'a': NULL, 'b': 'x'}"],
        [{"a": 1, "b": ""}, {"a": None, "b": "x"}],
    ),
    scan(
        "STRUCT(a UUID)[]",
        "list<struct<a: string>>",
        [f"[{{'a': '{ID}'}}]", "[]"],
        [[{"a": str(ID)}], []],
        [],
    ),
    scan("MAP(VARCHAR, BIGINT)", "map<string, long>", ["MAP {'k': 1}", "MAP {}"], [[("k", 1)], []]),
    scan(
        "MAP(VARCHAR, STRUCT(a UINTEGER))",
        "map<string, struct<a: long>>",
        ["MAP {'k': {'a': 4294967295}}"],
        [[("k", {"a": 2**32 - 1})]],
        [],
    ),
)

CASES = (*ROWS, *ARROW, *SCANS)

FAR = "outside the years 1 to 9999"
NANOS = "nanoseconds"

ROWS_REFUSED: dict[str, tuple[Any, str]] = {
    "int of more than 64 bits": (2**64, "64-bit"),
    "int of 64 bits, unsigned": (2**63, "too large"),
    "Decimal of more than 38 digits": (Decimal(10) ** 40, "would cause data loss"),
    "Decimal of more than 9 decimal places": (Decimal("1.1234567891"), "would cause data loss"),
    "Decimal NaN": (Decimal("NaN"), "not a valid decimal128"),
    "timedelta": (timedelta(1), "not JSON serializable"),
}

ARROW_REFUSED: dict[str, tuple[pa.Array, str]] = {
    "decimal of 50 digits": (
        pa.array([Decimal(1)], pa.decimal256(50, 2)),
        "'v' is decimal256.50, 2.; Iceberg's",
    ),
    "nested decimal of 50 digits": (
        pa.array([{"a": Decimal(1)}], pa.struct([("a", pa.decimal256(50, 2))])),
        r"'v\.a' is decimal256.50, 2.; Iceberg's",
    ),
    "date in the year 10000": (
        pa.array([2_932_897], pa.date32()),
        f"Column v holds a date or timestamp {FAR}",
    ),
    "date before the year 1": (pa.array([-719_163], pa.date32()), FAR),
    "nested date in the year 10000": (
        pa.array([[{"d": 2_932_897}]], pa.list_(pa.struct([("d", pa.date32())]))),
        FAR,
    ),
    "timestamp in the year 10000": (pa.array([253_402_300_800], pa.timestamp("s", tz="UTC")), FAR),
    "timestamp beyond 64 bits": (pa.array([10**15], pa.timestamp("s", tz="UTC")), "overflow"),
    "timestamp with nanoseconds": (pa.array([1001], pa.timestamp("ns", tz="UTC")), "would lose data: 1"),
    "nested timestamp with nanoseconds": (
        pa.array([{"a": 1001}], pa.struct([("a", pa.timestamp("ns"))])),
        "would lose data: 1001",
    ),
    "time with nanoseconds": (pa.array([1001], pa.time64("ns")), NANOS),
    "time that would round up to midnight": (pa.array([86_399_999_999_999], pa.time64("ns")), NANOS),
    "list of nulls": (pa.array([[None]], pa.list_(pa.null())), "list or map of values without a type"),
    "struct without fields": (pa.array([{}], pa.struct([])), "with no child field"),
    "struct of nulls": (
        pa.array([{"a": None}], pa.struct([("a", pa.null())])),
        "without any field that holds",
    ),
    "duration": (pa.array([1], pa.duration("s")), "unsupported by dlt"),
    "interval": (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), "unsupported by dlt"),
    "string_view": (pa.array(["a"], pa.string_view()), "unsupported by dlt"),
    "binary_view": (pa.array([b"a"], pa.binary_view()), "unsupported by dlt"),
    "extension<arrow.uuid>": (pa.array([ID.bytes], pa.uuid()), "unsupported by dlt"),
    "extension<arrow.json>": (
        pa.ExtensionArray.from_storage(pa.json_(), pa.array(["1"])),
        "unsupported by dlt",
    ),
    "run_end_encoded": (
        pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array([5])),
        "Unhandled type",
    ),
    "dense_union": (
        pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1])]),
        "Unhandled type",
    ),
}

SCANS_REFUSED: dict[str, tuple[str, str]] = {
    "infinite date": ("'infinity'::DATE", "holds an infinite date or timestamp"),
    "infinite timestamp": ("'-infinity'::TIMESTAMPTZ", "holds an infinite date or timestamp"),
    "infinite nanoseconds": ("'infinity'::TIMESTAMP_NS", "holds an infinite date or timestamp"),
    "nested infinite timestamp": ("{'a': 'infinity'::TIMESTAMP}", FAR),
    "date in the year 10000": ("DATE '10000-01-01'", FAR),
    "date before the year 1": ("DATE '0044-03-15 (BC)'", FAR),
    "timestamp in the year 290000": ("TIMESTAMP '290000-01-01'", FAR),
    "UHUGEINT of 39 digits": (
        "'340282366920938463463374607431768211455'::UHUGEINT",
        "Could not cast value 3402",
    ),
    "HUGEINT of 39 digits": (
        "'170141183460469231731687303715884105727'::HUGEINT",
        "Could not cast value 1701",
    ),
    "UNION": ("union_value(a := 1)", "'v' has the type UNION.a INTEGER., which Iceberg does not have"),
    "BIGNUM": ("'1'::BIGNUM", "'v' has the type BIGNUM"),
    "TIME_NS": ("'12:00:00.123456789'::TIME_NS", "'v' has the type TIME_NS"),
    "VARIANT": ("1::VARIANT", "'v' has the type VARIANT"),
    "GEOMETRY": ("'POINT(1 1)'::GEOMETRY", "'v' has the type GEOMETRY"),
    "struct without names": ("row(1, 2)", "fields have no names"),
}
