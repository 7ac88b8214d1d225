"""The files of a resource: of one format, on the local disk, unpacked."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, get_args

from floe_ingest import SourceConfigurationError, SourceConnectionError
from floe_ingest_sources._resources import dlt_name
from floe_ingest_sources.filesystem.config import Format
from floe_ingest_sources.filesystem.listing import list_files, named_file, no_match
from floe_ingest_sources.filesystem.storage import Storage, storage_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from floe_ingest import SourceRequest
    from floe_ingest_sources.filesystem.config import FilesystemConfig
    from floe_ingest_sources.filesystem.listing import FoundFile

FORMATS: dict[str, Format] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
"""Formats by a file's ending."""

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
"""Compressions of CSV and JSON by a file's ending."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of one resource, wherever they are.

    Arguments:
        name: of the resource.
        format: of all of them.
        files: sorted by name.
        storage: the folder.
    """

    name: str
    format: Format
    files: tuple[FoundFile, ...]
    storage: Storage


@dataclass(frozen=True, slots=True)
class FileGroup:
    """The files of one resource on the local disk, unpacked.

    Arguments:
        name: of the resource.
        format: of all of them.
        files: in the order of their names.
        label: their folder, for messages.
        names: what messages call a file that is a copy.
    """

    name: str
    format: Format
    files: tuple[Path, ...]
    label: str
    names: Mapping[Path, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """What is read, for messages."""
        count = len(self.files)
        return f"{count} {self.format} file{'s' if count != 1 else ''} of {self.label.rpartition('/')[2]}"

    def shown(self, file: Path) -> str:
        """Return what messages call a file: its path, or the URL that it was copied from."""
        return self.names.get(file, str(file))


def listings_of(request: SourceRequest) -> tuple[Listing, ...]:
    """Return the resources of a request with their files.

    Raises:
        SourceConfigurationError: there is no such folder; a glob matches none of its files; an ending is
            unknown; or a resource has several formats.
        SourceConnectionError: the storage cannot be listed.
        MissingPackageError: the storage needs a package that is not installed.
    """
    config: FilesystemConfig = request.config
    if config.incremental == "modified" and request.write_mode == "replace":
        raise SourceConfigurationError(
            "incremental: modified reads new files alone, and write_mode: replace would drop the rows of all "
            "others. Write write_mode: merge or append, or leave incremental out"
        )
    storage, only = storage_of(request), None
    if config.one_glob:
        storage, only = named_file(storage, {*FORMATS, *COMPRESSIONS})
    globs = config.tables or {request.name: only or config.file_glob}
    return tuple(_listing(name, glob, storage, config) for name, glob in globs.items())


def _listing(name: str, glob: str, storage: Storage, config: FilesystemConfig) -> Listing:
    key = f"tables.{name}" if config.tables else "file_glob"
    files = list_files(
        storage, glob, key, timed=config.incremental == "modified" or bool(config.file_columns)
    )
    if not files and not config.allow_empty and (error := no_match(storage, glob, key)) is not None:
        raise error
    kinds = Counter(_format(file.name, storage, config) for file in files)
    if len(kinds) > 1:
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        raise SourceConfigurationError(
            f"{glob!r} finds files of several formats in {storage.label} ({found}), and a resource has one "
            f"format. Narrow the glob, or write a resource for each, such as tables: "
            f"{{{dlt_name(PurePosixPath(files[0].name).name.split('.')[0])}: {files[0].name!r}}}"
        )
    kind = next(iter(kinds), config.format if config.format != "auto" else "csv")
    return Listing(name, kind, files, storage)


def compression_of(name: str) -> str | None:
    """Return ``gzip``, ``zstd``, ``bz2``, ``xz`` or None, by a file's ending."""
    return COMPRESSIONS.get(PurePosixPath(name).suffix.lower())


def duckdb_path(file: Path) -> str:
    """Return a path as DuckDB reads it: what it would take for a wildcard is put in brackets."""
    return re.sub(r"([*?\[])", r"[\1]", str(file))


def unreadable(file: Path | str, error: Exception) -> SourceConnectionError:
    """Return the error about a file that cannot be read."""
    return SourceConnectionError(f"{file} cannot be read: {error}")


def hive_keys(names: Iterable[str], label: str) -> tuple[str, ...]:
    """Return the keys of the ``key=value`` folders that all names have.

    Raises:
        SourceConfigurationError: they do not all have the same.
    """
    from floe_ingest_sources._resources import listed

    keys: dict[tuple[str, ...], str] = {}
    for name in names:
        keys.setdefault(tuple(hive_values(name)), name)
    if len(keys) > 1:
        (first, one), (second, other), *_ = keys.items()
        raise SourceConfigurationError(
            f"reader_options.hive_partitioning: {one} of {label} has the partition folders {listed(first)} "
            f"and {other} has {listed(second)}; all files must have the same"
        )
    return next(iter(keys), ())


def hive_values(name: str) -> dict[str, str | None]:
    """Return the ``key=value`` folders of a file's name.

    Example:
        >>> hive_values("day=2024-01-02/shop=a%20b/x.csv")
        {'day': '2024-01-02', 'shop': 'a b'}
    """
    from urllib.parse import unquote

    folders = PurePosixPath(name).parts[:-1]
    pairs = [part.split("=", 1) for part in folders if re.fullmatch(r"[^=]+=[^=]*", part)]
    return {
        unquote(key): None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)
        for key, value in pairs
    }


def _format(name: str, storage: Storage, config: FilesystemConfig) -> Format:
    if config.format != "auto":
        return config.format
    path = PurePosixPath(name)
    packed = path.suffix.lower() in COMPRESSIONS
    ending = (PurePosixPath(path.stem) if packed else path).suffix.lower()
    kind = FORMATS.get(ending)
    if kind is None or (packed and kind in ("parquet", "arrow")):
        text = [ending for ending, kind in FORMATS.items() if kind in ("csv", "jsonl")]
        raise SourceConfigurationError(
            f"The format of {name} in {storage.label} cannot be told from its name. Known endings: "
            f"{', '.join(FORMATS)}; {', '.join(text)} also with {', '.join(COMPRESSIONS)}. Narrow file_glob, "
            f"or write format: {' | '.join(get_args(Format))}"
        )
    return kind
