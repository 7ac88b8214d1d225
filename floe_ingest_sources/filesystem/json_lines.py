"""JSON lines, and files with one array of objects, as one scan.

A sample of the files shows the keys and their types, and the scan holds every line against them: each key
must be known, and each value must be what the sample had (DuckDB alone would drop unknown keys and round
5.7 to 6). Where one is not, every value is looked at (``json_look``), and the lines are read by the types
that all of them have. So most loads parse their files once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from floe_ingest import BulkScan, SourceConfigurationError
from floe_ingest_sources._sql import call, columns_argument, identifier, literal, select_from
from floe_ingest_sources.filesystem.files import duckdb_path, unreadable
from floe_ingest_sources.filesystem.json_look import Key, Keys, look, look_at, object_of, types_of
from floe_ingest_sources.filesystem.text_types import PATTERNS, TIMES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from floe_ingest_sources.filesystem.files import FileGroup
    from floe_ingest_sources.filesystem.rejected import Rejects
    from floe_ingest_sources.filesystem.text_files import TextFiles

_OBJECT_BYTES = 1 << 24
_SAMPLE = 1 << 22
_SAMPLED_FILES = 32
_KEY_LISTS = 8
_LOOKED_AT_FOR_KEYS = 200
_STOP = "error('a value is not what a sample showed')"
_ROWS_AT_ONCE = 5_000


def scan_jsonl(read: TextFiles, nested: str) -> Iterator[Any]:
    """Yield the scan over the files of a group; nothing where no file has a row.

    Arguments:
        read: the files, all of lines.
        nested: ``native`` or ``json``: what objects and lists become.

    Raises:
        SourceConfigurationError: a line is not a JSON object; names file and line.
        SourceConnectionError: a file cannot be read.
    """

    def all_values(_: Exception | None = None) -> Iterator[Any]:
        return _looked_at(read, nested)

    group, file_column = read.group, read.file_column
    found, key_lists = Keys(read.known_type), list[list[str]]()
    try:
        _sample(group, found, key_lists)
        _distinct([*found.keys, *read.further], group)
    except SourceConfigurationError:
        yield from all_values()
        return
    chosen = [_seen_as(name, key, as_text=nested == "json") for name, key in found.keys.items()]
    if not chosen or None in chosen:
        yield from all_values()
        return
    shape = {name: _extracted(key, as_text=nested == "json") for name, key in found.keys.items()}
    objects = call(
        "read_json_objects",
        format=literal("newline_delimited"),
        maximum_object_size=str(_OBJECT_BYTES),
        filename=literal(file_column) if file_column else "false",
    )
    inner = ["json", f"json_transform(json, {literal(json.dumps(shape))}) AS r", "json_keys(json) AS k"]
    outer = [column for column in chosen if column is not None]
    if file_column:
        inner.append(identifier(file_column))
        outer.append(identifier(file_column))
    select = f"{select_from(outer, f'({select_from(inner, objects)})')} WHERE {_known_keys(found, key_lists)}"
    paths = [duckdb_path(file) for file in group.files]
    yield BulkScan(select, (paths,), origin=group.origin, otherwise=all_values)


def rows_of(group: FileGroup, rejects: Rejects | None) -> Iterator[Any]:
    """Yield the objects of the files as Python rows, for dlt to make child tables of.

    Raises:
        SourceConfigurationError: a line is not a JSON object; names file and line.
    """
    from floe_ingest_sources.filesystem.json_look import broken_line
    from floe_ingest_sources.filesystem.rejected import Rejected

    rows: list[dict[str, Any]] = []
    for file in group.files:
        try:
            with file.open("rb") as stream:
                for number, line in enumerate(stream, start=1):
                    if not line.strip():
                        continue
                    try:
                        rows.append(object_of(line))
                    except ValueError as error:
                        text = line.decode(errors="replace").rstrip("\r\n")
                        told = Rejected(group.shown(file), number, str(error), text)
                        if rejects is None:
                            raise broken_line(told) from error
                        rejects.add([told])
                    if len(rows) >= _ROWS_AT_ONCE:
                        yield rows
                        rows = []
        except OSError as error:
            raise unreadable(group.shown(file), error) from error
    if rows:
        yield rows
    if rejects is not None:
        yield from rejects.items()


def _looked_at(read: TextFiles, nested: str) -> Iterator[Any]:
    """Look at every value, and yield the scan over the lines by the types of all of them."""
    group, rejects = read.group, read.rejects
    found = Keys(read.known_type)
    copies: dict[Path, Path] = {}
    folder = read.kept() if rejects is not None else None
    for number, file in enumerate(group.files):
        if rejects is None or folder is None:
            look(file, group.shown(file), found)
            continue
        copy = folder / f"{number:06d}.jsonl"
        with copy.open("wb") as stream:
            rejected = look(file, group.shown(file), found, stream.write)
        rejects.add(rejected)
        if rejected:
            copies[file] = copy
        else:
            copy.unlink()
    if found.keys:
        _distinct([*found.keys, *read.further], group)
        yield _scan(group, copies, found, nested, read.file_column)
    if rejects is not None:
        yield from rejects.items()


def _scan(
    group: FileGroup, copies: Mapping[Path, Path], found: Keys, nested: str, file_column: str | None
) -> BulkScan:
    """Return the scan by the types of all values; ``copies`` stand in for files with broken lines."""
    read: dict[str, str] = {}
    chosen: list[str] = []
    for name, key in found.keys.items():
        read[name], cast = types_of(key, as_text=nested == "json")
        column = identifier(name)
        chosen.append(f"CAST({column} AS {cast}) AS {column}" if cast else column)
    if file_column:
        column = identifier(file_column)
        named = "".join(
            f" WHEN {literal(str(copy))} THEN {literal(str(file))}" for file, copy in copies.items()
        )
        chosen.append(f"CASE {column}{named} ELSE {column} END AS {column}" if named else column)
    read_json = call(
        "read_json",
        format=literal("newline_delimited"),
        columns=columns_argument(read),
        maximum_object_size=str(max(_OBJECT_BYTES, 2 * found.longest)),
        filename=literal(file_column) if file_column else "false",
    )
    paths = [duckdb_path(copies.get(file, file)) for file in group.files]
    return BulkScan(select_from(chosen, read_json), (paths,), origin=group.origin)


def _sample(group: FileGroup, found: Keys, key_lists: list[list[str]]) -> None:
    step = max(1, len(group.files) // _SAMPLED_FILES)
    chosen = dict.fromkeys([*group.files[::step][:_SAMPLED_FILES], group.files[-1]])
    size = _SAMPLE // len(chosen)
    for file in chosen:
        try:
            with file.open("rb") as stream:
                data = stream.read(size)
        except OSError as error:
            raise unreadable(group.shown(file), error) from error
        if len(data) == size:
            data = data[: data.rfind(b"\n") + 1]  # the last line may be cut off
        look_at(data, group.shown(file), 1, found)
        for line in data.split(b"\n", _LOOKED_AT_FOR_KEYS)[:_LOOKED_AT_FOR_KEYS]:
            if line.strip() and len(key_lists) < _KEY_LISTS:
                try:
                    keys = list(object_of(line))
                except ValueError:
                    continue  # the load will meet it
                if keys not in key_lists:
                    key_lists.append(keys)


def _known_keys(found: Keys, key_lists: list[list[str]]) -> str:
    """Return the condition that a line is an object with known keys, each once; the query stops at others."""
    often = " OR ".join(f"k = {_list(keys)}" for keys in key_lists) or "false"
    return (
        f"CASE WHEN {often} THEN true "
        f"WHEN json_type(json) = 'OBJECT' AND list_has_all({_list(list(found.keys))}, k) "
        f"AND len(k) = len(list_distinct(k)) THEN true ELSE {_STOP} END"
    )


def _list(words: list[str]) -> str:
    return f"[{', '.join(literal(word) for word in words)}]::VARCHAR[]"


def _extracted(key: Key, *, as_text: bool) -> str:
    """Return what a line's value is taken out as: JSON where a text must be told from a number."""
    return "VARCHAR" if _text_kind(key, as_text=as_text) else "JSON"


def _text_kind(key: Key, *, as_text: bool) -> str | None:
    """Return the kind of a key whose values are all texts: VARCHAR, or what they look like."""
    kind, cast = types_of(key, as_text=as_text)
    is_text = kind == "VARCHAR" and key.type is not None and not key.mixed and not key.beyond_double
    return (cast or kind) if is_text else None


def _seen_as(name: str, key: Key, *, as_text: bool) -> str | None:
    """Return the expression of a key of which a sample alone is known; None where all values are needed."""
    column = identifier(name)
    value = f"r.{column}"
    text = _text_kind(key, as_text=as_text)
    if text == "VARCHAR":
        pointer = "/" + name.replace("~", "~0").replace("/", "~1")
        inside = f"json_type(json, {literal(pointer)}) = 'VARCHAR'"
        nested = f"starts_with({value}, '{{') OR starts_with({value}, '[')"
        looked = f"CASE WHEN {inside} THEN {value} ELSE {_STOP} END"
        return f"CASE WHEN {nested} THEN {looked} ELSE {value} END AS {column}"
    if text in TIMES:
        whole = f"regexp_full_match({value}, {literal(PATTERNS[text])})"
        if text == "DATE":
            whole = f"{value} LIKE '____-__-__' AND {value} < ':'"
        return (
            f"CASE WHEN {value} IS NULL THEN NULL WHEN {whole} THEN CAST({value} AS {text}) "
            f"ELSE {_STOP} END AS {column}"
        )
    written = f"CAST({value} AS VARCHAR)"
    if key.type is None and not key.mixed:
        # Named, since DuckDB takes a NULL without a type for an integer.
        return f"CAST(CASE WHEN {value} IS NOT NULL THEN {_STOP} END AS VARCHAR) AS {column}"
    kind, cast = types_of(key, as_text=as_text)
    if cast is not None or key.mixed:
        return None
    if kind == "JSON" and key.nested and (as_text or key.known == "text"):
        return f"{written} AS {column}"
    if kind == "BOOLEAN":
        return (
            f"CASE WHEN {value} IS NULL THEN NULL WHEN {written} = 'true' THEN true "
            f"WHEN {written} = 'false' THEN false ELSE {_STOP} END AS {column}"
        )
    if kind == "BIGINT":
        tried = f"TRY_CAST({written} AS BIGINT)"
        same = f"CAST({tried} AS VARCHAR) IS DISTINCT FROM {written}"
        return f"CASE WHEN {same} THEN {_STOP} ELSE {tried} END AS {column}"
    if kind == "DOUBLE":
        number = f"TRY_CAST({written} AS DOUBLE)"
        exact = f"{written} >= '-' AND {written} < ':' AND abs({number}) < 9007199254740992"
        return f"CASE WHEN {exact} THEN {number} WHEN {value} IS NULL THEN NULL ELSE {_STOP} END AS {column}"
    return None


def _distinct(names: list[str], group: FileGroup) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if name.casefold() in seen:
            raise SourceConfigurationError(
                f"{group.origin}: the columns {seen[name.casefold()]!r} and {name!r} have the same name in a "
                f"table, where letter case does not count"
            )
        seen[name.casefold()] = name
