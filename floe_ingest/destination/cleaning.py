"""Finds and removes data files that no snapshot references: what loads that died have left in storage."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from floe_ingest.destination.catalogs import open_catalog
from floe_ingest.destination.nessie import is_nessie
from floe_ingest.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyiceberg.table import Table

_OURS = "floe-ingest.loads."
_SCHEME_AND_HOST = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:(//[^/]*)?")


@dataclass(frozen=True, slots=True)
class LeftFile:
    """A file in a table's data folder that no snapshot references.

    Arguments:
        location: where it is.
        bytes: its size.
        modified: when it was written, in UTC.
    """

    location: str
    bytes: int
    modified: datetime


def tables_of(name: str, properties: Mapping[str, str], namespace: str) -> Iterator[tuple[str, Table]]:
    """Yield the tables of a namespace that floe-ingest has loaded into, with their full names.

    Raises:
        ConfigurationError: the catalog does not show all snapshots, so that no file is known to be left over.
    """
    from pyiceberg.exceptions import NoSuchNamespaceError

    catalog = open_catalog(name, properties)
    if is_nessie(catalog):
        raise ConfigurationError(
            "Nessie shows the newest snapshot of a table alone, and its branches and older commits may "
            "reference more files. Let Nessie's own garbage collector (nessie-gc) remove what is left over."
        )
    try:
        identifiers = catalog.list_tables(tuple(namespace.split(".")))
    except NoSuchNamespaceError:
        return
    for identifier in identifiers:
        table = catalog.load_table(identifier)
        if any(key.startswith(_OURS) for key in table.properties):
            yield ".".join(identifier), table


def left_files(table: Table, before: datetime) -> list[LeftFile]:
    """Return the files below a table's data folder that no snapshot references, oldest first.

    Arguments:
        table: its metadata is loaded anew after the listing, so that a commit in between counts.
        before: files written after this instant are never returned: a load may be about to commit them.
    """
    found = [file for file in _list(table) if file.modified < before]
    if not found:
        return []
    table.refresh()
    referenced = {_path(location) for location in _referenced(table)}
    left = [file for file in found if _path(file.location) not in referenced]
    return sorted(left, key=lambda file: file.modified)


def remove(table: Table, files: Sequence[LeftFile]) -> None:
    """Remove files from a table's storage."""
    for file in files:
        table.io.delete(file.location)


def _referenced(table: Table) -> Iterator[str]:
    yield from table.inspect.all_files()["file_path"].to_pylist()
    for statistics in (*table.metadata.statistics, *table.metadata.partition_statistics):
        yield statistics.statistics_path


def _list(table: Table) -> Iterator[LeftFile]:
    from pyarrow.fs import FileSelector, FileType
    from pyiceberg.io.fsspec import FsspecFileIO
    from pyiceberg.io.pyarrow import PyArrowFileIO

    folder = table.properties.get("write.data.path", f"{table.metadata.location.rstrip('/')}/data")
    if isinstance(table.io, FsspecFileIO):  # Azure's, which needs no Arrow built for it
        parts = urlsplit(folder)
        files = table.io.get_fs(parts.scheme, parts.hostname)
        root = f"{parts.netloc}{parts.path}"
        for path, info in files.find(root, detail=True).items():
            modified = info.get("last_modified") or files.modified(path)
            yield LeftFile(f"{folder}{path.removeprefix(root)}", info["size"], modified.astimezone(UTC))
        return
    scheme, netloc, path = PyArrowFileIO.parse_location(folder)
    system = PyArrowFileIO(dict(table.io.properties)).fs_by_scheme(scheme, netloc)
    prefix = folder.removesuffix(path)
    for info in system.get_file_info(FileSelector(path, recursive=True, allow_not_found=True)):
        if info.type is FileType.File:
            yield LeftFile(f"{prefix}{info.path}", info.size, info.mtime.astimezone(UTC))


def _path(location: str) -> str:
    """Return what two ways of writing one location have in common: its path, unquoted.

    Engines write ``s3a:`` for ``s3:``, and ``file:`` in several ways. Locations that are not the same and end
    up the same only make a file stay.
    """
    return re.sub("/+", "/", unquote(_SCHEME_AND_HOST.sub("", location)))
