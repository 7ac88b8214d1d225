"""Turns JSON files that are not lines (an array of objects, objects over several lines) into lines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from floe_ingest import BulkScan, SourceConfigurationError, scan_batches
from floe_ingest_sources._sql import call, literal, select_from
from floe_ingest_sources.filesystem.files import duckdb_path, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from floe_ingest_sources.filesystem.files import FileGroup

_HEAD = 1 << 16
_LARGEST_OBJECT = 1 << 27


def as_lines(group: FileGroup, work: Callable[[], Path]) -> FileGroup:
    """Return a group whose files are all of lines; those that are not are written anew.

    Arguments:
        group: JSON files.
        work: gives an empty folder for copies.

    Raises:
        SourceConfigurationError: a file is no JSON; names it.
        SourceConnectionError: a file cannot be read.
    """
    kinds = {file: _kind(file, group.shown(file)) for file in group.files}
    if not any(kinds.values()):
        return group
    folder = work()
    names = dict(group.names)
    files = []
    for number, file in enumerate(group.files):
        kind = kinds[file]
        if kind is None:
            files.append(file)
            continue
        copy = folder / f"{number:06d}.jsonl"
        _rewrite(file, group.shown(file), kind, copy)
        names[copy] = group.shown(file)
        files.append(copy)
    return replace(group, files=tuple(files), names=names)


def _kind(file: Path, shown: str) -> str | None:
    """Return DuckDB's name of a file's form; None for lines."""
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError as error:
        raise unreadable(shown, error) from error
    if head.startswith(b"["):
        return "array"
    first = head.partition(b"\n")[0].strip()
    # An object that a line opens and does not close goes on below.
    opened = first.startswith(b"{") and not first.endswith(b"}") and len(head) > len(first)
    return "unstructured" if opened and file.suffix.lower() == ".json" else None


def _rewrite(file: Path, shown: str, kind: str, copy: Path) -> None:
    read = call("read_json_objects", format=literal(kind), maximum_object_size=str(_LARGEST_OBJECT))
    scan = BulkScan(
        select_from(["json(json) AS line"], read), ([duckdb_path(file)],), ordered=True, origin=shown
    )
    try:
        with copy.open("wb") as stream:
            for batch in scan_batches(scan):
                lines = batch.column(0).to_pylist()
                stream.write("".join(f"{line}\n" for line in lines).encode())
    except ValueError as error:
        raise SourceConfigurationError(f"{shown} is no JSON {kind}: {error}") from error
