"""Brings files to the local disk, and unpacks them: DuckDB and Arrow then read plain local files.

Ways in which remote files can reach DuckDB, and why they are copied:

- its httpfs and azure extensions read in place. They know S3, GCS by its S3 interface, and Azure; not the
  other storages of fsspec, nor dlt's credentials. Text is read twice where a value is not what a sample
  promised, which is two downloads. Credentials travel in SQL text (``CREATE SECRET``).
- fsspec registered as a file system of DuckDB keeps the GIL for every read.
- a copy by fsspec, several files at once, works the same for every storage; Python alone sees the
  credentials. It needs room on the disk for the files of one load, where that load's data files wait anyway.

Packed text is unpacked on the way. A stream that is cut off is an error here; DuckDB would load the rows
before the cut. And DuckDB reads a plain file on all cores, a packed one on one.
"""

from __future__ import annotations

import lzma
import shutil
import tempfile
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from floe_ingest import SourceConnectionError
from floe_ingest_sources.filesystem.files import COMPRESSIONS, FileGroup, compression_of

if TYPE_CHECKING:
    from floe_ingest import SourceRequest
    from floe_ingest_sources.filesystem.files import Listing
    from floe_ingest_sources.filesystem.listing import FoundFile
    from floe_ingest_sources.filesystem.storage import Storage

_BLOCK = 1 << 20
_THREADS = 8


class WorkFolder:
    """Where a load keeps copies: the engine's folder, or a temporary one that goes with this object."""

    def __init__(self, request: SourceRequest) -> None:
        self._home: Path | None = request.work_folder

    def empty(self, name: str) -> Path:
        """Return an empty folder for one resource."""
        if self._home is None:
            self._home = Path(tempfile.mkdtemp(prefix="floe-ingest-files-"))
            weakref.finalize(self, shutil.rmtree, self._home, ignore_errors=True)
        folder = self._home / name
        # A try that failed may have left its copies.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        return folder


def staged(listing: Listing, files: tuple[FoundFile, ...], work: WorkFolder) -> FileGroup:
    """Return the files of a resource as plain local files; those that are so already stay where they are.

    Arguments:
        listing: the resource.
        files: which of its files.
        work: where copies go.

    Raises:
        SourceConnectionError: a file cannot be had, is damaged or cut off, or the disk is full.
    """
    storage = listing.storage
    packed = listing.format in ("csv", "jsonl")
    copied = [file for file in files if storage.system is not None or (packed and compression_of(file.name))]
    paths = {file: Path(file.where) for file in files}
    names: dict[Path, str] = {}
    if copied:
        folder = work.empty(f"{listing.name}.files")
        _enough_room(folder, storage, copied)
        for number, file in enumerate(copied):
            paths[file] = folder / f"{number:06d}-{_plain_name(file.name, packed)}"
            names[paths[file]] = f"{storage.label}/{file.name}"
        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in pool.map(lambda file: _copy(storage, file, paths[file], unpack=packed), copied):
                pass
    return FileGroup(listing.name, listing.format, tuple(paths[file] for file in files), storage.label, names)


def open_plain(storage: Storage, file: FoundFile, stack: ExitStack, *, unpack: bool = True) -> IO[bytes]:
    """Open a file for reading, unpacked.

    Arguments:
        storage: where it is.
        file: which.
        stack: closes it.
        unpack: whether a packed one is unpacked.
    """
    raw: Any
    if storage.system is None:
        raw = stack.enter_context(open(file.where, "rb"))  # noqa: PTH123, SIM115 - the stack closes it
    else:
        raw = stack.enter_context(storage.system.open(file.where, "rb"))
    compression = compression_of(file.name) if unpack else None
    if compression is None:
        return raw  # type: ignore[no-any-return]
    if compression == "xz":
        return stack.enter_context(lzma.LZMAFile(raw))
    import pyarrow as pa

    return stack.enter_context(pa.CompressedInputStream(raw, compression))


def _plain_name(name: str, packed: bool) -> str:
    path = PurePosixPath(name)
    return path.stem if packed and path.suffix.lower() in COMPRESSIONS else path.name


def _enough_room(folder: Path, storage: Storage, files: list[FoundFile]) -> None:
    needed = sum(file.size or 0 for file in files)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SourceConnectionError(
            f"{len(files)} files of {storage.label} are copied before they are read, which needs "
            f"{needed >> 20} MB, and {folder} has {free >> 20} MB free"
        )


def _copy(storage: Storage, file: FoundFile, target: Path, *, unpack: bool) -> None:
    name = f"{storage.label}/{file.name}"
    try:
        if storage.system is not None and not (unpack and compression_of(file.name)):
            storage.system.get_file(file.where, str(target))
            _is_whole(name, file, target)
            return
        with ExitStack() as stack:
            source = open_plain(storage, file, stack, unpack=unpack)
            shutil.copyfileobj(source, stack.enter_context(target.open("wb")), _BLOCK)
    except SourceConnectionError:
        raise
    except (FileNotFoundError, PermissionError) as error:
        raise storage.failure(f"{name} cannot be read", error) from error
    except Exception as error:  # each storage has errors of its own
        if unpack and compression_of(file.name) and _is_damage(error):
            raise SourceConnectionError(
                f"{name} is damaged or cut off: {storage.told(error)}. No row of it was loaded; write it "
                f"again."
            ) from error
        raise storage.failure(f"{name} cannot be read", error) from error


def _is_damage(error: Exception) -> bool:
    """Tell a broken stream from a disk or network that failed: only those have a number."""
    return isinstance(error, (EOFError, lzma.LZMAError, ValueError)) or (
        isinstance(error, OSError) and error.errno is None
    )


def _is_whole(name: str, file: FoundFile, target: Path) -> None:
    size = target.stat().st_size
    if file.size is not None and size != file.size:
        raise SourceConnectionError(
            f"{name} had {file.size} bytes when it was listed and {size} when it was copied: it was changed "
            f"meanwhile, or cut off"
        )
