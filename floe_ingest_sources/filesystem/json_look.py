"""Looks at every value of JSON lines, for the type of each key.

DuckDB's own inference is not used: it drops the zone of ``2024-01-02T03:04:05Z`` and reads long whole
numbers as doubles. Arrow parses the files, in bounded memory (an irregular stretch is parsed by Python):

| values of a key | type |
| --- | --- |
| true, false | BOOLEAN |
| whole numbers within 64 bits | BIGINT |
| numbers with a fraction or exponent | DOUBLE (what JSON numbers are) |
| whole numbers beyond 64 bits | DECIMAL(38,0) |
| whole numbers beyond 2^53 mixed with fractions | VARCHAR, digit for digit |
| strings: all ISO dates, times, date and time with or without zone | DATE, TIME, TIMESTAMPTZ, TIMESTAMP |
| other strings; strings mixed with numbers or booleans | VARCHAR |
| objects, lists | STRUCT, list; strings inside stay text |
| objects or lists that differ in kind, or are empty | JSON text |
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from floe_ingest import SourceConfigurationError
from floe_ingest_sources._sql import identifier
from floe_ingest_sources.filesystem.files import unreadable
from floe_ingest_sources.filesystem.rejected import Rejected
from floe_ingest_sources.filesystem.text_types import TIMES, TextColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

_BLOCK = 1 << 22
_CHUNK = 1 << 25
_PIECE = 1 << 22
_HEAD = 1 << 16
_EXACT_IN_DOUBLE = float(1 << 53)


@dataclass(slots=True)
class Key:
    """What is known of the values of one key; ``known`` is dlt's type of the table's column for it."""

    type: Any = None
    mixed: bool = False
    nested: bool = False
    beyond_double: bool = False
    fractions: bool = False
    text: TextColumn = field(default_factory=lambda: TextColumn(TIMES))
    known: str | None = None


@dataclass(slots=True)
class Keys:
    """What is known of a group of files so far.

    Arguments:
        known_type: gives dlt's type of the table's column for a key.
    """

    known_type: Callable[[str], str | None] = lambda _: None
    keys: dict[str, Key] = field(default_factory=dict)
    as_text: set[str] = field(default_factory=set)
    longest: int = 0

    def key(self, name: str) -> Key:
        """Return what is known of a key."""
        if name not in self.keys:
            self.keys[name] = Key(known=self.known_type(name))
        return self.keys[name]


def look(
    file: Path, shown: str, found: Keys, keep: Callable[[bytes], object] | None = None
) -> list[Rejected]:
    """Read a file to its end, and take every value of every key into account.

    Arguments:
        file: which.
        shown: what messages call it.
        found: gathers what is known.
        keep: takes the lines that can be read, so that those that cannot are left out and returned;
            without it the first of those raises.

    Raises:
        SourceConfigurationError: a line is not a JSON object; names file and line.
        SourceConnectionError: the file cannot be read.
    """
    rejected: list[Rejected] = []
    line = 1
    try:
        for chunk in _chunks(file):
            broken = look_at(chunk, shown, line, found, skip=keep is not None)
            rejected += broken
            if keep is not None:
                keep(_without(chunk, {row.line - line for row in broken}))
            line += chunk.count(b"\n")
    except OSError as error:
        raise unreadable(shown, error) from error
    return rejected


def _without(chunk: bytes, positions: set[int]) -> bytes:
    if not positions:
        return chunk
    lines = chunk.split(b"\n")
    return b"\n".join(line for position, line in enumerate(lines) if position not in positions)


def _chunks(file: Path) -> Iterator[bytes]:
    """Yield whole lines, about ``_CHUNK`` bytes at a time."""
    rest = bytearray()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            rest += block
            if len(rest) >= _CHUNK and (end := rest.rfind(b"\n")) >= 0:
                yield bytes(rest[: end + 1])
                del rest[: end + 1]
    if rest:
        yield bytes(rest)


def look_at(chunk: bytes, shown: str, line: int, found: Keys, *, skip: bool = False) -> list[Rejected]:
    """Take whole lines into account; return those that cannot be read, if they are to be skipped.

    Arguments:
        chunk: whole lines.
        shown: what messages call their file.
        line: the number of the first.
        found: gathers what is known.
        skip: whether lines that cannot be read are returned; otherwise the first one raises.
    """
    import pyarrow as pa

    found.longest = max(found.longest, *map(len, chunk.split(b"\n")))
    if not chunk.strip():
        return []
    try:
        if not found.keys and (head := chunk[: chunk.find(b"\n", _HEAD) + 1]).strip():
            # The beginning alone tells most keys that hold times, so that the chunk is parsed once; and
            # the order of keys, in which Arrow puts those of known type first.
            for name in _parse(head, found).column_names:
                found.key(name)
        table = _parse(chunk, found)
    except pa.ArrowInvalid:
        # Arrow takes one type for a key; Python tells a mixed key from a broken line.
        columns, rejected = _parse_slowly(chunk, shown, line, skip=skip)
        for name, values in columns.items():
            _see_values(found.key(name), values)
        return rejected
    for name in table.column_names:
        for values in table.column(name).chunks:
            _see(found.key(name), values)
    return []


def _parse(chunk: bytes, found: Keys) -> pa.Table:
    import pyarrow as pa
    from pyarrow import json as arrow_json
    from pyarrow import types

    def read(names: set[str], others: str) -> pa.Table:
        return arrow_json.read_json(
            pa.BufferReader(chunk),
            read_options=arrow_json.ReadOptions(block_size=max(_PIECE, 2 * found.longest)),
            parse_options=arrow_json.ParseOptions(
                explicit_schema=pa.schema([(name, pa.string()) for name in sorted(names)]),
                unexpected_field_behavior=others,
            ),
        )

    table = read(found.as_text, "infer")
    # Arrow makes timestamps of such strings and forgets their zone: they are read again, as written.
    times = {name for name in table.column_names if types.is_timestamp(table.schema.field(name).type)}
    if times:
        found.as_text |= times
        written = read(times, "ignore")
        for name in times:
            table = table.set_column(table.column_names.index(name), name, written.column(name))
    return table


def _parse_slowly(
    chunk: bytes, shown: str, line: int, *, skip: bool
) -> tuple[dict[str, list[Any]], list[Rejected]]:
    columns: dict[str, list[Any]] = {}
    rejected: list[Rejected] = []
    for number, text in enumerate(chunk.split(b"\n"), start=line):
        if not text.strip():
            continue
        try:
            row = object_of(text)
        except ValueError as error:
            told = Rejected(shown, number, str(error), text.decode(errors="replace"))
            if not skip:
                raise broken_line(told) from error
            rejected.append(told)
            continue
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return columns, rejected


def object_of(text: bytes) -> dict[str, Any]:
    """Return the object of a line.

    Raises:
        ValueError: it is none, or has a key twice.
    """
    row = json.loads(text, object_pairs_hook=_pairs)
    if not isinstance(row, dict):
        raise ValueError(f"it is {_word(row)}, and every line must be an object")  # noqa: TRY004
    return row


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return row


def broken_line(row: Rejected) -> SourceConfigurationError:
    return SourceConfigurationError(
        f"{row.file}, line {row.line}: not a line of JSON lines: {row.reason}. Each line holds one object. "
        f"No row was loaded; correct the file, or write on_bad_row: skip"
    )


def _word(value: Any) -> str:
    return "a list" if isinstance(value, list) else f"the value {str(value)[:40]!r}"


def _see_values(key: Key, values: list[Any]) -> None:
    import pyarrow as pa

    if any(
        isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 63 for value in values
    ):
        values = [
            float(value) if isinstance(value, int) and not isinstance(value, bool) else value
            for value in values
        ]
        key.beyond_double = True
    try:
        _see(key, pa.array(values))
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        key.mixed = True
        key.nested |= any(isinstance(value, dict | list) for value in values)


def _see(key: Key, values: pa.Array) -> None:
    import pyarrow as pa
    from pyarrow import types

    kind = values.type
    if types.is_null(kind):
        return
    key.nested |= bool(types.is_nested(kind))
    if types.is_string(kind):
        key.text.see(values)
    _see_numbers(key, values)
    if key.type is None or key.mixed:
        key.type = kind
        return
    try:
        both = [pa.schema([("x", key.type)]), pa.schema([("x", kind)])]
        key.type = pa.unify_schemas(both, promote_options="permissive").field("x").type
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        key.mixed = True


def _see_numbers(key: Key, values: pa.Array) -> None:
    """Note whole numbers that a double would change, and doubles that are not whole numbers."""
    import pyarrow.compute as pc
    from pyarrow import types

    kind = values.type
    if types.is_struct(kind):
        for position in range(kind.num_fields):
            _see_numbers(key, values.field(position))
    elif types.is_list(kind):
        _see_numbers(key, values.flatten())
    elif types.is_integer(kind) or types.is_floating(kind):
        bounds = pc.min_max(values).as_py()
        if bounds["min"] is None:
            return
        key.beyond_double |= max(abs(bounds["min"]), abs(bounds["max"])) >= _EXACT_IN_DOUBLE
        if types.is_floating(kind):
            key.fractions |= not pc.all(pc.equal(values, pc.trunc(values))).as_py()
            key.fractions |= max(abs(bounds["min"]), abs(bounds["max"])) >= 1e38


def types_of(key: Key, *, as_text: bool = False) -> tuple[str, str | None]:
    """Return the type that DuckDB reads a key as, and the type to cast that to (None: as it is).

    Arguments:
        key: what is known of its values.
        as_text: whether objects and lists stay JSON text.
    """
    from pyarrow import types

    if key.nested and (as_text or key.known == "text"):
        return "JSON", None
    if key.known == "text":
        return "VARCHAR", None
    if key.mixed:
        return ("JSON" if key.nested else "VARCHAR"), None
    if key.type is None:
        return "VARCHAR", None
    if key.nested:
        name = _duckdb(key.type)
        return ("JSON" if name is None or (key.beyond_double and "DOUBLE" in name) else name), None
    if types.is_floating(key.type) and key.beyond_double:
        return ("VARCHAR" if key.fractions else "DECIMAL(38,0)"), None
    if types.is_string(key.type):
        kind = key.text.kind
        return "VARCHAR", (None if kind == "VARCHAR" else kind)
    kind = _duckdb(key.type) or "JSON"
    return ("DOUBLE" if kind == "BIGINT" and key.known == "double" and not key.beyond_double else kind), None


def _duckdb(kind: Any) -> str | None:
    """Return DuckDB's name of an Arrow type; None where an object has no fields."""
    from pyarrow import types

    if types.is_struct(kind):
        fields = [
            (kind.field(position).name, _duckdb(kind.field(position).type))
            for position in range(kind.num_fields)
        ]
        if not fields or any(inner is None for _, inner in fields):
            return None
        return "STRUCT(" + ", ".join(f"{identifier(name)} {inner}" for name, inner in fields) + ")"
    if types.is_list(kind):
        inner = _duckdb(kind.value_type)
        return None if inner is None else f"{inner}[]"
    if types.is_boolean(kind):
        return "BOOLEAN"
    if types.is_integer(kind):
        return "BIGINT"
    return "DOUBLE" if types.is_floating(kind) else "VARCHAR"
