"""Which files a source reads: found by a glob, sorted by name, with size and time."""

from __future__ import annotations

import os
import posixpath
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from glob import escape
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from floe_ingest import SourceConfigurationError, SourceConnectionError
from floe_ingest_sources._resources import listed, nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from fsspec import AbstractFileSystem

    from floe_ingest_sources.filesystem.storage import Storage

_MAGIC = re.compile(r"[*?\[]")
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "modified", "created", "Last-Modified")
_THREADS = 16


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of a source.

    Arguments:
        name: its path below the source's folder, with slashes.
        where: its path as the file system knows it.
        size: in bytes; None where the storage does not tell.
        modified_ns: when it was changed, in nanoseconds since 1970 (UTC); None where it is not told.
    """

    name: str
    where: str
    size: int | None
    modified_ns: int | None


def list_files(storage: Storage, glob: str, key: str, *, timed: bool = False) -> tuple[FoundFile, ...]:
    """Return the files that match a glob, sorted by name; none where the folder holds none at all.

    Arguments:
        storage: the folder.
        glob: relative to it; ``**`` stands for any number of folders.
        key: the option that holds the glob, for messages.
        timed: whether times are needed: some storage tells them one file at a time.

    Raises:
        SourceConfigurationError: the glob is none, or the remote folder does not exist.
        SourceConnectionError: the storage cannot be listed.
    """
    pattern = _pattern(glob, key)
    parts = glob.split("/")
    fixed = next((i for i, part in enumerate(parts) if _MAGIC.search(part)), len(parts) - 1)
    start = "/".join(parts[:fixed])
    depth = None if "**" in parts else len(parts) - fixed
    if storage.system is None:
        walked = _walk_local(storage, start, depth)
    elif _MAGIC.search(glob) or (one := _one(storage, glob)) is None:
        walked = _walk_remote(storage, start, depth)
    else:
        walked = iter([one])
    found = [file for file in walked if pattern.match(file.name) and _counts(file.name)]
    if timed and storage.system is not None:
        found = _timed(storage, found)
    return tuple(sorted(found, key=lambda file: file.name))


def named_file(storage: Storage, endings: Collection[str]) -> tuple[Storage, str | None]:
    """Return the folder of the file that a storage's root is, and a glob for it; the storage and None else.

    Arguments:
        storage: whose root is a folder or a file.
        endings: of files. A web server tells no folder from a file, so there a name has to have one of these.

    Raises:
        SourceConnectionError: remote storage cannot be asked.
    """
    root, _, name = storage.root.rpartition("/")
    folder = replace(storage, root=root, label=storage.label.rpartition("/")[0])
    if storage.system is None:
        is_file = Path(storage.root).is_file()
    else:
        is_file = PurePosixPath(name).suffix.lower() in endings and _one(folder, name) is not None
    return (folder, escape(name)) if is_file else (storage, None)


def no_match(storage: Storage, glob: str, key: str) -> SourceConfigurationError | None:
    """Return the error about a glob that matches nothing; None where there is no file to match."""
    there = [file.name for file in list_files(storage, "**", key)]
    if not there:
        return None
    return SourceConfigurationError(
        f"{key}: no file of {storage.label} matches {glob!r}.{nearest(glob, there[:10_000])} "
        f"There are: {listed(there)}. Write allow_empty: true if that is right"
    )


def _pattern(glob: str, key: str) -> re.Pattern[str]:
    from fsspec.utils import glob_translate

    path = PurePosixPath(glob)
    if path.is_absolute() or ".." in path.parts:
        raise SourceConfigurationError(f"{key}: {glob!r} must be relative to the folder and stay inside it")
    try:
        return re.compile(glob_translate(glob))
    except (ValueError, re.error) as error:
        raise SourceConfigurationError(f"{key}: {glob!r} is not a glob: {error}") from error


def _counts(name: str) -> bool:
    return not any(part.startswith((".", "_")) for part in name.split("/"))


def _walk_local(storage: Storage, start: str, depth: int | None) -> Iterator[FoundFile]:
    """Yield the files below a folder. Links to folders are followed only where the glob names levels."""
    folders = [(posixpath.join(storage.root, start) if start else storage.root, start, 1)]
    while folders:
        folder, prefix, level = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith((".", "_")):
                        continue
                    name = f"{prefix}/{entry.name}" if prefix else entry.name
                    if entry.is_file():
                        stat = entry.stat()
                        yield FoundFile(name, entry.path, stat.st_size, stat.st_mtime_ns)
                    elif (depth is None or level < depth) and entry.is_dir(follow_symlinks=depth is not None):
                        folders.append((entry.path, name, level + 1))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            raise SourceConnectionError(f"The folder {folder} cannot be read: {error.strerror}") from error


def _one(storage: Storage, name: str) -> FoundFile | None:
    """Return the file of that very name, without a listing: web servers often give none."""
    path = f"{storage.root}/{name}"
    try:
        info = storage.system.info(path) if storage.system is not None else {}
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise storage.failure(f"{storage.label}/{name} may not be read", error) from error
    except Exception as error:  # each storage has errors of its own
        raise storage.failure(f"{storage.label}/{name} cannot be looked at", error) from error
    return FoundFile(name, path, info.get("size"), _time(info)) if info.get("type") == "file" else None


def _walk_remote(storage: Storage, start: str, depth: int | None) -> Iterator[FoundFile]:
    system = storage.system
    if system is None:  # pragma: no cover - local folders are walked by _walk_local
        return
    root = f"{storage.root}/{start}".rstrip("/")
    try:
        found: dict[str, dict[str, Any]] = system.find(root, maxdepth=depth, detail=True)
        if not found:
            # `find` is silent about a folder that is not there or may not be listed.
            system.ls(storage.root, detail=False)
    except FileNotFoundError as error:
        if start and system.exists(storage.root):
            return
        raise _missing(storage) from error
    except PermissionError as error:
        raise storage.failure(f"{storage.label} may not be listed", error) from error
    except Exception as error:  # each storage has errors of its own
        raise storage.failure(f"{storage.label} cannot be listed", error) from error
    cut = len(storage.root) + 1
    for path, info in found.items():
        if info.get("type") == "file":
            yield FoundFile(path[cut:], path, info.get("size"), _time(info))


def _missing(storage: Storage) -> SourceConfigurationError:
    """Return the error about a folder that is not there, with the nearest one that is."""
    around, path = "", storage.root
    while path and not around and storage.system is not None:
        path, _, name = path.rpartition("/")
        if there := _names_in(storage.system, path):
            around = f"{nearest(name, there)} There are: {listed(there)}"
    return SourceConfigurationError(f"There is no folder {storage.label!r}, or it is empty.{around}")


def _names_in(system: AbstractFileSystem, path: str) -> list[str]:
    try:
        entries = system.ls(path, detail=False)
    except Exception:  # noqa: BLE001 (only a hint is looked for, and it may be in the folder above)
        return []
    return [str(entry).rstrip("/").rpartition("/")[2] for entry in entries]


def _time(info: dict[str, Any]) -> int | None:
    value = next((info[key] for key in _TIMES if info.get(key) is not None), None)
    if isinstance(value, str):
        try:
            value = parsedate_to_datetime(value) if "," in value else datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        whole = int(aware.replace(microsecond=0).timestamp())
        return whole * 1_000_000_000 + aware.microsecond * 1000
    return int(value * 1_000_000_000) if isinstance(value, (int, float)) else None


def _timed(storage: Storage, files: list[FoundFile]) -> list[FoundFile]:
    """Ask for each file whose time the listing did not tell, several at once."""
    system = storage.system

    def ask(file: FoundFile) -> FoundFile:
        if file.modified_ns is not None or system is None:
            return file
        try:
            info = system.info(file.where)
        except Exception as error:
            raise storage.failure(f"{file.name} of {storage.label} cannot be looked at", error) from error
        if (modified := _time(info)) is None:
            raise SourceConfigurationError(
                f"{storage.label} does not tell when {file.name} was changed, so incremental: modified "
                f"cannot work there; leave it out"
            )
        return replace(file, size=info.get("size"), modified_ns=modified)

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(ask, files))
