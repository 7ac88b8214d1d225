"""Which files a source reads: found, sorted, and known by their format and compression."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args
from urllib.parse import unquote, urlsplit

from floe_ingest import NotSupportedYetError, SourceConfigurationError, SourceConnectionError
from floe_ingest_sources._resources import listed, nearest
from floe_ingest_sources.filesystem.config import Format

if TYPE_CHECKING:
    from collections.abc import Iterator

    from floe_ingest import SourceRequest
    from floe_ingest_sources.filesystem.config import FilesystemConfig, ReaderOptions

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_FORMATS: dict[str, Format] = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_BLOCK = 1 << 22


@dataclass(frozen=True, slots=True)
class FileGroup:
    """The files of one resource, all of one format, sorted by path."""

    name: str
    format: Format
    files: tuple[Path, ...]
    folder: Path

    @property
    def origin(self) -> str:
        """What is read, for messages."""
        count = len(self.files)
        return f"{count} {self.format} file{'s' if count != 1 else ''} of {self.folder.name or self.folder}"


def folder_of(request: SourceRequest) -> Path:
    """Return the folder of a request.

    Raises:
        NotSupportedYetError: it is remote, or storage options are given.
        SourceConfigurationError: there is no such folder, or a file stands there.
    """
    config: FilesystemConfig = request.config
    url = config.bucket_url
    if config.storage_options:
        raise NotSupportedYetError("storage_options is for object storage, which is not supported yet")
    if url.startswith("file://"):
        url = unquote(urlsplit(url).path)
    elif _REMOTE.match(url):
        scheme = url.split("://", 1)[0]
        raise NotSupportedYetError(
            f"bucket_url: {scheme}:// is not supported yet; only local folders are. "
            f"Copy the files to a folder first."
        )
    folder = request.resolve_path(url)
    try:
        if folder.is_dir():
            return folder
        if folder.exists():
            raise SourceConfigurationError(
                f"bucket_url {url!r} is a file, not a folder. Write the folder there, and "
                f"file_glob: {folder.name!r}"
            )
        raise SourceConfigurationError(f"There is no folder {url!r} ({folder}).{_beside(folder)}")
    except PermissionError as error:
        raise SourceConnectionError(f"The folder {folder} cannot be opened: {error.strerror}") from error


def groups_of(request: SourceRequest) -> tuple[FileGroup, ...]:
    """Return the resources of a request with their files.

    Raises:
        NotSupportedYetError, SourceConfigurationError, SourceConnectionError: see ``folder_of``; also for a
            glob without files, for unknown endings, and for several formats in one resource.
    """
    config: FilesystemConfig = request.config
    folder = folder_of(request)
    globs = config.tables or {request.name: config.file_glob}
    return tuple(_group(name, glob, folder, config) for name, glob in globs.items())


def compression_of(file: Path) -> str | None:
    """Return ``gzip``, ``zstd`` or None, by the file's ending."""
    return _COMPRESSIONS.get(file.suffix.lower())


def duckdb_path(file: Path) -> str:
    """Return a path as DuckDB reads it: what it would take for a wildcard is put in brackets."""
    return re.sub(r"([*?\[])", r"[\1]", str(file))


def blocks(file: Path) -> Iterator[bytes]:
    """Yield the content of a file, unpacked.

    Raises:
        SourceConnectionError: the file cannot be read, or its compressed stream is broken or cut off.
    """
    import pyarrow as pa

    try:
        with pa.input_stream(str(file), compression=compression_of(file)) as stream:
            while block := stream.read(_BLOCK):
                yield block
    except (OSError, pa.ArrowInvalid) as error:
        raise unreadable(file, error) from error


def added_columns(group: FileGroup, options: ReaderOptions) -> tuple[str, ...]:
    """Return the names of the columns that the reader adds: the file's name, and partition folders.

    Raises:
        SourceConfigurationError: the files do not all have the same partition folders.
    """
    names = ["filename"] if options.filename else []
    if options.hive_partitioning:
        keys = {file: _partition_keys(file) for file in group.files}
        first = group.files[0]
        for file, found in keys.items():
            if found != keys[first]:
                raise SourceConfigurationError(
                    f"reader_options.hive_partitioning: {first} has the partition folders "
                    f"{listed(keys[first])} and {file} has {listed(found)}; all files must have the same"
                )
        names += keys[first]
    return tuple(names)


def _partition_keys(file: Path) -> list[str]:
    return [part.split("=", 1)[0] for part in file.parent.parts if re.fullmatch(r"[^=]+=[^=]+", part)]


def readable(file: Path) -> None:
    """Read the beginning of a file.

    Raises:
        SourceConnectionError: that is not possible.
    """
    for _ in blocks(file):
        return


def unreadable(file: Path, error: Exception) -> SourceConnectionError:
    """Return the error about a file that cannot be read."""
    if compression_of(file) and not isinstance(error, (PermissionError, FileNotFoundError)):
        return SourceConnectionError(
            f"{file} is damaged or cut off: {error}. No row of it was loaded; write it again."
        )
    return SourceConnectionError(f"{file} cannot be read: {error}")


def _group(name: str, glob: str, folder: Path, config: FilesystemConfig) -> FileGroup:
    files = _matches(glob, folder, name if config.tables else None)
    formats = {file: _format(file, config) for file in files}
    kinds = Counter(formats.values())
    if len(kinds) > 1:
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        raise SourceConfigurationError(
            f"{glob!r} finds files of several formats in {folder} ({found}), and a resource has one format. "
            f"Narrow the glob, or write a resource for each, such as tables: "
            f"{{{files[0].name.split('.')[0]}: {files[0].name!r}}}"
        )
    return FileGroup(name, next(iter(kinds)), files, folder)


def _matches(glob: str, folder: Path, table: str | None) -> tuple[Path, ...]:
    key = f"tables.{table}" if table else "file_glob"
    if Path(glob).is_absolute() or ".." in Path(glob).parts:
        raise SourceConfigurationError(f"{key}: {glob!r} must be relative to the folder and stay inside it")
    try:
        found = sorted(path for path in folder.glob(glob) if _counts(path, folder) and path.is_file())
        if found:
            return tuple(found)
        there = [
            str(path.relative_to(folder))
            for path in folder.rglob("*")
            if _counts(path, folder) and path.is_file()
        ]
    except PermissionError as error:
        raise SourceConnectionError(f"The folder {folder} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SourceConfigurationError(f"{key}: {glob!r} is not a glob: {error}") from error
    raise SourceConfigurationError(
        f"{key}: no file of {folder} matches {glob!r}.{nearest(glob, there)} There are: {listed(there)}"
    )


def _counts(path: Path, folder: Path) -> bool:
    return not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)


def _format(file: Path, config: FilesystemConfig) -> Format:
    if config.format != "auto":
        return config.format
    packed = file.suffix.lower() in _COMPRESSIONS
    ending = (Path(file.stem) if packed else file).suffix.lower()
    kind = _FORMATS.get(ending)
    if kind is None or (packed and kind == "parquet"):
        raise SourceConfigurationError(
            f"The format of {file} cannot be told from its name. Known endings: {', '.join(_FORMATS)}, the "
            f"last three also with .gz or .zst. Narrow file_glob, or write format: "
            f"{' | '.join(get_args(Format))}"
        )
    return kind


def _beside(folder: Path) -> str:
    parent = folder.parent
    while not parent.is_dir():
        parent = parent.parent
    there = [path.name for path in parent.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return f"{nearest(folder.name, there)} {parent} has the folders: {listed(there)}"
