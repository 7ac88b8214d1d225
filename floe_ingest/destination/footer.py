"""Gives a Parquet file field ids, by its footer alone: no page is read, decoded or written anew.

A footer is a Thrift structure in the compact protocol, ``FileMetaData``
(https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift,
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md). Three things change:
the elements of the schema get ids; ``ARROW:schema``, by which Arrow readers would see types other than those
that Parquet and Iceberg know, goes; and so do the bounds of floating-point columns, since most writers leave
a NaN out of them, and DuckDB and Spark would then skip rows. Everything else is copied byte for byte.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

MAGIC = b"PAR1"
_TAIL = 8
"""The length of the footer in four bytes, and the magic."""

_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT, _UUID = range(14)
_VARINTS = frozenset({_I16, _I32, _I64})
_LIST_OF_STRUCTS = 0x0C

# Numbers of fields: of FileMetaData, SchemaElement, RowGroup, ColumnChunk, ColumnMetaData and Statistics.
_SCHEMA, _ROW_GROUPS, _KEY_VALUES, _ENCRYPTION = 2, 4, 5, 8
_NAME, _CHILDREN, _FIELD_ID = 4, 5, 9
_CHUNKS = 1
_META_DATA, _PAGE_BOUNDS = 3, frozenset({6, 7})
_PHYSICAL_TYPE, _STATISTICS = 1, 12
_BOUNDS = frozenset({1, 2, 5, 6, 7, 8})
_FLOATS = frozenset({4, 5})
_ARROW_SCHEMA = b"ARROW:schema"

NamePath = tuple[str, ...]


class FooterError(ValueError):
    """A file does not end in a footer that can be changed: encrypted, cut off, or no Parquet at all."""


@dataclass(frozen=True, slots=True)
class Footer:
    """The end of a Parquet file.

    Arguments:
        start: the offset in the file at which it begins; what is before it are row groups and indexes.
        data: the Thrift structure.
    """

    start: int
    data: bytes

    @classmethod
    def read(cls, path: Path) -> Footer:
        """Read a file's footer.

        Raises:
            FooterError: it has none in the clear.
            OSError: the file cannot be read.
        """
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            tail = file.read(_TAIL)
            if len(tail) < _TAIL or tail[4:] != MAGIC:
                raise FooterError(f"{path} does not end as a Parquet file with a readable footer does")
            length = int.from_bytes(tail[:4], "little")
            start = size - _TAIL - length
            if start < len(MAGIC):
                raise FooterError(f"{path} is shorter than its footer says")
            file.seek(start)
            return cls(start, file.read(length))

    def with_field_ids(self, ids: Mapping[NamePath, int]) -> bytes:
        """Return the Thrift structure with field ids in its schema and without ``ARROW:schema``.

        Arguments:
            ids: field ids by the path of names from the root, as Parquet has them; an element without one
                here has none afterwards.

        Raises:
            FooterError: this is no Thrift structure of this form.
        """
        try:
            return b"".join(self._changed(ids))
        except (IndexError, UnicodeDecodeError, RecursionError) as error:
            raise FooterError("The footer is no Thrift structure of the form that Parquet gives") from error

    def _changed(self, ids: Mapping[NamePath, int]) -> Iterator[bytes]:
        data, position, last = self.data, 0, 0
        floats = False
        while data[position]:
            begin, (number, kind, position) = position, _field(data, position, last)
            end = _skip(data, position, kind)
            if number == _ENCRYPTION:
                raise FooterError("Columns of the file are encrypted")
            if number == _SCHEMA:
                yield data[begin:position]
                yield _schema_with_ids(data, position, ids)
                floats = _has_floats(data, position)
            elif number == _ROW_GROUPS and floats:
                yield data[begin:position]
                yield _list_with(data, position, lambda group: group.replaced(_CHUNKS, _chunks))
            elif number == _KEY_VALUES:
                yield data[begin:position]
                yield _without_arrow_schema(data, position)
            else:
                yield data[begin:end]
            position, last = end, number
        yield data[position:]


def closed(footer: bytes) -> bytes:
    """Return a footer as it stands at the end of a file, with its length and the magic."""
    return footer + len(footer).to_bytes(4, "little") + MAGIC


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _as_varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _zigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)


def _field(data: bytes, position: int, last: int) -> tuple[int, int, int]:
    """Read a field's header; return its number, its type, and where its value begins."""
    head = data[position]
    position += 1
    if delta := head >> 4:
        return last + delta, head & 0x0F, position
    raw, position = _varint(data, position)
    if (number := _zigzag(raw)) <= 0:
        raise FooterError(f"The footer holds a field with the number {number}")
    return number, head & 0x0F, position


def _header(number: int, kind: int, last: int) -> bytes:
    delta = number - last
    if 0 < delta <= 15:
        return bytes([delta << 4 | kind])
    return bytes([kind]) + _as_varint(number << 1)


def _list_head(data: bytes, position: int) -> tuple[int, int, int]:
    """Read a list's header; return its length, the type of its elements, and where the first begins."""
    head = data[position]
    position += 1
    count = head >> 4
    if count == 15:
        count, position = _varint(data, position)
    return count, head & 0x0F, position


def _as_list_head(count: int) -> bytes:
    if count < 15:
        return bytes([count << 4 | _LIST_OF_STRUCTS])
    return bytes([0xF0 | _LIST_OF_STRUCTS]) + _as_varint(count)


def _skip(data: bytes, position: int, kind: int) -> int:
    """Return where the value of a field, which begins at ``position``, ends."""
    if kind in _VARINTS:
        while data[position] > 0x7F:
            position += 1
        return position + 1
    if kind == _BINARY:
        length, position = _varint(data, position)
        return position + length
    if kind == _STRUCT:
        while data[position]:
            _, inner, position = _field(data, position, 0)
            position = _skip(data, position, inner)
        return position + 1
    if kind in (_LIST, _SET):
        count, inner, position = _list_head(data, position)
        for _ in range(count):
            # In a list, unlike in a field, a truth value takes a byte.
            position = position + 1 if inner in (_TRUE, _FALSE) else _skip(data, position, inner)
        return position
    sizes = {_TRUE: 0, _FALSE: 0, _BYTE: 1, _DOUBLE: 8, _UUID: 16}
    if kind not in sizes:
        raise FooterError(f"The footer holds a value of type {kind}, which Parquet does not use")
    return position + sizes[kind]


def _schema_with_ids(data: bytes, position: int, ids: Mapping[NamePath, int]) -> bytes:
    """Return the list of schema elements, which are in depth-first order, with field ids."""
    count, _, position = _list_head(data, position)
    parts = [_as_list_head(count)]
    # Groups that are open: the path of each, and how many children it still has.
    open_groups: list[tuple[NamePath, int]] = []
    for index in range(count):
        element, position = _fields(data, position)
        if index == 0:
            path: NamePath = ()
        else:
            while open_groups and open_groups[-1][1] == 0:
                open_groups.pop()
            above, left = open_groups.pop()
            open_groups.append((above, left - 1))
            path = (*above, element.text(_NAME))
        if children := element.number(_CHILDREN):
            open_groups.append((path, children))
        parts.append(element.with_field_id(ids.get(path)).as_bytes())
    return b"".join(parts)


def _has_floats(data: bytes, position: int) -> bool:
    count, _, position = _list_head(data, position)
    for _ in range(count):
        element, position = _fields(data, position)
        if element.number(_PHYSICAL_TYPE) in _FLOATS:
            return True
    return False


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of a structure: number, type, and value as it stands."""

    items: tuple[tuple[int, int, bytes], ...]

    def text(self, number: int) -> str:
        for found, _, value in self.items:
            if found == number:
                _, start = _varint(value, 0)
                return value[start:].decode()
        return ""

    def number(self, number: int) -> int:
        for found, _, value in self.items:
            if found == number:
                return _zigzag(_varint(value, 0)[0])
        return 0

    def without(self, numbers: Collection[int]) -> _Fields:
        return _Fields(tuple(item for item in self.items if item[0] not in numbers))

    def replaced(self, number: int, change: Callable[[bytes], bytes]) -> _Fields:
        """Return these fields with one of them, where it is there, changed."""
        return _Fields(
            tuple((n, kind, change(value) if n == number else value) for n, kind, value in self.items)
        )

    def with_field_id(self, field_id: int | None) -> _Fields:
        items = self.without({_FIELD_ID}).items
        if field_id is None:
            return _Fields(items)
        added = (_FIELD_ID, _I32, _as_varint(field_id << 1))
        return _Fields(tuple(sorted((*items, added), key=lambda item: item[0])))

    def as_bytes(self) -> bytes:
        parts, last = [], 0
        for number, kind, value in self.items:
            parts.append(_header(number, kind, last) + value)
            last = number
        return b"".join(parts) + bytes([_STOP])


def _fields(data: bytes, position: int) -> tuple[_Fields, int]:
    items, last = [], 0
    while data[position]:
        last, kind, position = _field(data, position, last)
        end = _skip(data, position, kind)
        items.append((last, kind, data[position:end]))
        position = end
    return _Fields(tuple(items)), position + 1


def _list_with(data: bytes, position: int, change: Callable[[_Fields], _Fields]) -> bytes:
    """Return a list of structures with each of them changed."""
    count, _, position = _list_head(data, position)
    parts = [_as_list_head(count)]
    for _ in range(count):
        item, position = _fields(data, position)
        parts.append(change(item).as_bytes())
    return b"".join(parts)


def _chunks(data: bytes) -> bytes:
    return _list_with(data, 0, _without_float_bounds)


def _without_float_bounds(chunk: _Fields) -> _Fields:
    """Return a column chunk that claims no bounds if its values are floating-point numbers."""
    if not any(number == _META_DATA and _is_float(value) for number, _, value in chunk.items):
        return chunk

    def unbounded(statistics: bytes) -> bytes:
        return _fields(statistics, 0)[0].without(_BOUNDS).as_bytes()

    def changed(metadata: bytes) -> bytes:
        return _fields(metadata, 0)[0].replaced(_STATISTICS, unbounded).as_bytes()

    return chunk.without(_PAGE_BOUNDS).replaced(_META_DATA, changed)


def _is_float(metadata: bytes) -> bool:
    return _fields(metadata, 0)[0].number(_PHYSICAL_TYPE) in _FLOATS


def _without_arrow_schema(data: bytes, position: int) -> bytes:
    count, _, position = _list_head(data, position)
    kept = []
    for _ in range(count):
        pair, end = _fields(data, position)
        _, key_start = _varint(pair.items[0][2], 0)
        if pair.items[0][2][key_start:] != _ARROW_SCHEMA:
            kept.append(data[position:end])
        position = end
    return _as_list_head(len(kept)) + b"".join(kept)
